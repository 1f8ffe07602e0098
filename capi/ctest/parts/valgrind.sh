# basic under memcheck; then the installed library, with the suppressions that go with it
. "$(dirname "$0")/../common.sh"

have valgrind valgrind || exit 0
plain_library
log=$work/valgrind.log
memcheck() {
  valgrind --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite,indirect --log-file="$log" "$@"
}

for name in $basic; do
  say "valgrind $name"
  compile "$name" ""
  memcheck --show-leak-kinds=definite,indirect,possible --num-callers=30 --suppressions="$ctest/valgrind.supp" "$work/$name" ||
    { cat "$log" >&2; exit 1; }
  grep -hE 'ERROR SUMMARY|definitely|indirectly|possibly|All heap' "$log"
done

say "valgrind: the installed library, without symbols"
installed_library
compile threads ""
export LD_LIBRARY_PATH=$root/lib
memcheck --suppressions="$root/share/paytoken/paytoken.supp" "$work/threads" || { cat "$log" >&2; exit 1; }
# They are needed: without them the same run fails.
status=0
memcheck "$work/threads" >/dev/null || status=$?
[ "$status" = 9 ] || fail "without the suppressions it ends with $status, not with 9: are they needed no more?"
