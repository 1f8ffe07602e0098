# arbitrary arguments for FUZZ_SECONDS (default 3), with AddressSanitizer on the C side
. "$(dirname "$0")/../common.sh"

plain_library
# shellcheck disable=SC2086
cc $flags -DGUIDED -fsyntax-only "$ctest/fuzz.c"
compile fuzz -asan -fsanitize=address,undefined -fno-sanitize-recover=all
ASAN_OPTIONS=detect_leaks=1 "$work/fuzz-asan"
