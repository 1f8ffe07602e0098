# threads, logging and hosts with ThreadSanitizer on the C side
. "$(dirname "$0")/../common.sh"

plain_library
for name in threads logging hosts; do
  say "tsan $name"
  compile "$name" -tsan -fsanitize=thread
  TSAN_OPTIONS="suppressions=$ctest/tsan.supp" "$work/$name-tsan"
done
