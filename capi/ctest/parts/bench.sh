# nanoseconds per call from C and from Rust, resident memory (BENCH_CALLS, default 10,000,000)
. "$(dirname "$0")/../common.sh"

installed_library
make -s -C "$capi" token_loop
plain_library
compile bench "" -O2
calls=${BENCH_CALLS:-10000000}
for _ in 1 2 3; do
  LD_LIBRARY_PATH=$root/lib "$work/bench" "$calls"
  "$target/release/examples/token_loop" "$calls"
done
