# a deliberate panic in each function, with a library made for that
. "$(dirname "$0")/../common.sh"

debug_library panic rustc --quiet --locked -p paytoken-capi --lib -- --cfg paytoken_test_panic
# What stays in the target folder is the library without it.
cargo build --quiet --locked -p paytoken-capi
compile panics ""
"$work/panics" 2>"$work/panics.log" || { cat "$work/panics.log" >&2; exit 1; }
