# not one of all: fuzz under libFuzzer, guided by coverage, with AddressSanitizer on both sides; takes
# a nightly toolchain, and clang (CLANG) with its runtime
. "$(dirname "$0")/../common.sh"

machine=x86_64-unknown-linux-gnu
sanitized="-Zsanitizer=address -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
sanitized+=" -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
sanitized+=" -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Ccodegen-units=1"
RUSTFLAGS=$sanitized CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_STRIP=none CARGO_TARGET_DIR=$target/guided \
  cargo +nightly build --quiet --locked --release -p paytoken-capi --target $machine

findings=$capi/../fuzz/guided/artifacts
mkdir -p "$work/corpus" "$findings"
# shellcheck disable=SC2086
"${CLANG:-clang}" $flags -DGUIDED -fsanitize=fuzzer,address "$ctest/fuzz.c" "$target/guided/$machine/release/libpaytoken.a" \
  -o "$work/fuzz-guided" -pthread -ldl -lm
"$work/fuzz-guided" -max_total_time="${FUZZ_SECONDS:-60}" -max_len=512 -len_control=0 -detect_leaks=0 \
  -artifact_prefix="$findings/" "$work/corpus"
