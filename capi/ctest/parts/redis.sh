# a server as the store, with a library built for it: two processes, one token
. "$(dirname "$0")/../common.sh"

have redis-server redis-server || exit 0
debug_library redis build --quiet --locked -p paytoken-capi --features redis
compile redis -test
socket=$work/redis/redis.sock
setpriv --pdeathsig TERM redis-server --port 0 --unixsocket "$socket" --save "" --dir "$work/redis" >"$work/redis/log" 2>&1 &
server=$!
trap 'kill $server; wait $server || true' EXIT
for ((waited = 0; waited < 1000; waited++)); do
  [ ! -S "$socket" ] || break
  kill -0 $server || break
  sleep 0.01
done
PAYTOKEN_TEST_REDIS=redis+unix://$socket "$work/redis-test" || { cat "$work/redis/log" >&2; exit 1; }
