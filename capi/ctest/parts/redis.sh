# a server as the store, with a library built for it: two processes, one token; and by TLS
. "$(dirname "$0")/../common.sh"

have redis-server redis-server && have openssl openssl || exit 0
debug_library redis build --quiet --locked -p paytoken-capi --features redis
compile redis -test
socket=$work/redis/redis.sock
# An authority, and a certificate of it for each end.
cd "$work/redis"
new="openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
$new -x509 -days 2 -subj /CN=authority -keyout ca.key -out ca.pem 2>/dev/null
for end in server client; do
  $new -subj "/CN=$end" -keyout $end.key -out $end.csr 2>/dev/null
  printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n' >extensions
  openssl x509 -req -days 2 -in $end.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile extensions -out $end.pem 2>/dev/null
done
cd - >/dev/null
# A port that nobody listens on; another's that takes it first is told by the server's log.
port=$(perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport')
setpriv --pdeathsig TERM redis-server --port 0 --unixsocket "$socket" --bind 127.0.0.1 --tls-port "$port" \
  --tls-cert-file "$work/redis/server.pem" --tls-key-file "$work/redis/server.key" --tls-ca-cert-file "$work/redis/ca.pem" --save "" --dir "$work/redis" >"$work/redis/log" 2>&1 &
server=$!
trap 'kill $server; wait $server || true' EXIT
for ((waited = 0; waited < 3000; waited++)); do
  [ ! -S "$socket" ] || break
  kill -0 $server || break
  sleep 0.01
done
export PAYTOKEN_TEST_TLS=$work/redis PAYTOKEN_TEST_PORT=$port
PAYTOKEN_TEST_REDIS=redis+unix://$socket "$work/redis-test" || { cat "$work/redis/log" >&2; exit 1; }
