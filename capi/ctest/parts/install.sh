# make install into a temporary folder; examples compiled through pkg-config: dynamic, static, fully static
. "$(dirname "$0")/../common.sh"

have pkg-config pkg-config || exit 0
installed_examples
[ "$(installed --modversion paytoken)" = "$(sed -n 's/#define PAYTOKEN_VERSION "\(.*\)"/\1/p' "$include/paytoken.h")" ] ||
  fail "pkg-config and paytoken.h name different versions"
! grep -v 'getaddrinfo' "$work/static.log" | grep -i 'warning' || fail "the linker warns"
! readelf -d "$work/worker_pool-static" | grep 'libpaytoken' || fail "not static"
! readelf -d "$work/worker_pool-fully-static" | grep 'NEEDED' || fail "not fully static"
echo "ok     compiled"
