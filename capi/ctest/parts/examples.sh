# the installed examples run; an API that answers 401 once, and twice
. "$(dirname "$0")/../common.sh"

have pkg-config pkg-config || exit 0
installed_examples
export LD_LIBRARY_PATH=$root/lib
for program in worker_pool worker_pool-static worker_pool-fully-static; do
  "$work/$program" | tee "$work/out"
  grep -q '8000 headers, 1 token request' "$work/out"
done

# Compiled where libcurl is.
[ -x "$work/balance" ] && have curl curl || exit 0
control() { curl -sS -f -X POST "$PAYTOKEN_SANDBOX_CONTROL$1" >/dev/null; }
control /reset
"$work/balance"
# 401 once: one replay, then the answer. Always: two requests, then the end.
control '/ntx-pay/fault?kind=status=401&times=1&endpoint=api'
"$work/balance" 2>"$work/err"
grep -q 'once more' "$work/err"
control '/ntx-pay/fault?kind=status=401&times=2&endpoint=api'
! "$work/balance" 2>/dev/null || fail "a second 401 passed for success"
echo "ok     examples"
