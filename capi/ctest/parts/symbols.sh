# what the header declares is what the library exports; its SONAME; what it needs; which functions block
. "$(dirname "$0")/../common.sh"

have nm binutils || exit 0
plain_library
# preprocessed FLAGS...: the header, with the word that marks a function left in.
preprocessed() { cc -E -P "$@" -I "$include" -x c - <<<'#include "paytoken.h"'; }

preprocessed -DPAYTOKEN_API= | grep -oE '\bpaytoken_[a-z0-9_]+ ?\(' | tr -d ' (' | sort -u >"$work/declared"
nm -D --defined-only "$shared" | awk '{ print $3 }' | sort -u >"$work/exported"
diff "$work/declared" "$work/exported" || fail "declared (<) and exported (>) differ"

readelf -d "$shared" >"$work/dynamic"
grep -q 'SONAME.*\[libpaytoken\.so\.0\]' "$work/dynamic" || fail "no SONAME"
grep -q 'FLAGS_1.*NODELETE' "$work/dynamic" || fail "no NODELETE: see build.rs"
needed=$(sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' "$work/dynamic" | sort)
[ -n "$needed" ] || fail "it needs nothing, not even libc"
! grep -vE '^(libc\.so\.6|libgcc_s\.so\.1|libm\.so\.6|ld-linux.*)$' <<<"$needed" || fail "it needs more than libc and libgcc_s"
echo "ok     symbols: $(wc -l <"$work/declared") functions; needs $(xargs <<<"$needed")"

# What the header marks as blocking is what hosts.c calls without the host's lock; all else, it calls with the lock held.
preprocessed -CC -DPAYTOKEN_API=PAYTOKEN_API | awk '/^ *\* Blocks: / { marked = 1 }
  /^PAYTOKEN_API / { if (marked && match($0, /paytoken_[a-z0-9_]+\(/)) print substr($0, RSTART, RLENGTH - 1); marked = 0 }' |
  sort -u >"$work/blocking"
[ -s "$work/blocking" ] || fail "no function is marked as blocking"
comm -23 "$work/declared" "$work/blocking" >"$work/others"
called() { awk "/^static void $1/,/^}/" "$ctest/hosts.c" | grep -oE '\bpaytoken_[a-z0-9_]+\(' | tr -d '(' | sort -u; }
called held >"$work/held"
# Without the lock, what reads an error or frees may be called, too.
called released >"$work/released"
comm -23 "$work/released" "$work/others" | diff "$work/blocking" - ||
  fail "marked as blocking in the header (<), and called without the host's lock in hosts.c (>), differ"
diff "$work/others" "$work/held" || fail "not marked (<), and called with the host's lock held in hosts.c (>), differ"
echo "ok     symbols: $(wc -l <"$work/blocking") functions may block, and say so"
