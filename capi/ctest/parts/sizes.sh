# the stripped library and the statically linked example, and what they need
. "$(dirname "$0")/../common.sh"

have pkg-config pkg-config || exit 0
installed_examples
for file in "$root/lib/libpaytoken.so.0" "$work/worker_pool-static"; do
  bytes=$(stat -Lc %s "$file")
  echo "   $(basename "$file"): $bytes bytes"
  # The goal is 1,700,000; this notices what makes it worse.
  [ "$bytes" -lt 2800000 ] || fail "2,800,000 bytes are the limit"
  ldd "$file"
done
