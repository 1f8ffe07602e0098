# basic with AddressSanitizer and UndefinedBehaviorSanitizer on the C side
. "$(dirname "$0")/../common.sh"

plain_library
for name in $basic; do
  say "asan $name"
  compile "$name" -asan -fsanitize=address,undefined -fno-sanitize-recover=all
  ASAN_OPTIONS=detect_leaks=1 "$work/$name-asan"
done
