# What the parts share, each a script in parts/ that `run` starts with the sandbox's variables set: where things are, and
# how they are built. What several parts need is built by the first of them.
set -euo pipefail
: "${PAYTOKEN_SANDBOX_CONTROL:?run this with ctest/run}" "${PAYTOKEN_WORK:?}"
work=$PAYTOKEN_WORK
ctest=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
capi=$(dirname "$ctest")
target=${CARGO_TARGET_DIR:-$capi/../target}
include=$capi/include
# Where `installed_library` puts it.
root=$work/root/opt/paytoken

warnings="-Wall -Wextra -Wpedantic -Werror"
flags="-std=c99 -D_XOPEN_SOURCE=700 -O1 -g $warnings -I $include"
# The tests that every tool looks at.
basic="arguments described failures details threads logging hosts fork"

say() { printf '\n-- %s\n' "$*"; }
fail() { echo "ctest: $*" >&2; exit 1; }

# have TOOL PACKAGE: true where the tool is there. Missing, it is named, and fails in CI.
have() {
  ! command -v "$1" >/dev/null || return 0
  missing "$1 (package $2)"
}
missing() {
  [ "${CI:-}" != true ] || fail "$1 is missing"
  echo "ctest: $1 is missing: $(basename "$0" .sh) is left out, or a part of it" >&2
  return 1
}

# debug_library NAME CARGO-ARGUMENTS...: builds the library, and copies it to where programs find it by the name that they
# look for. `shared` is the copy.
debug_library() {
  shared=$work/$1/libpaytoken.so.0
  export LD_LIBRARY_PATH=$work/$1
  [ ! -e "$shared" ] || return 0
  cargo "${@:2}"
  mkdir "$work/$1"
  cp "$target/debug/libpaytoken.so" "$shared"
}
# PLAIN_LIBRARY says what cargo builds instead of the one package: what a caller has built already.
# shellcheck disable=SC2086
plain_library() { debug_library plain build --quiet --locked ${PLAIN_LIBRARY:--p paytoken-capi}; }

# compile NAME SUFFIX FLAGS...: ctest/NAME.c with the library of `debug_library`, as $work/NAMESUFFIX.
compile() {
  # shellcheck disable=SC2086
  cc $flags "${@:3}" "$ctest/$1.c" -o "$work/$1$2" "$shared" -pthread
}

# The library as it is installed, in $root.
installed_library() {
  [ ! -e "$root" ] || return 0
  say "make install (release)"
  make -s -C "$capi" install PREFIX=/opt/paytoken DESTDIR="$work/root"
  ls -l "$root/lib" | sed 's/^/   /'
}

# The examples of the installed library, through pkg-config: dynamic, static, fully static.
installed_examples() {
  installed_library
  [ ! -e "$work/worker_pool-fully-static" ] || return 0
  local strict="-std=c99 -D_XOPEN_SOURCE=700 -O2 $warnings"
  # shellcheck disable=SC2046,SC2086
  {
    cc $strict "$capi/examples/worker_pool.c" $(installed --cflags --libs paytoken) -pthread -o "$work/worker_pool"
    # Statically: the archive in place of the shared object, and what it needs in turn.
    cc $strict "$capi/examples/worker_pool.c" $(installed --cflags paytoken) -Wl,-Bstatic $(installed --libs paytoken) \
      -Wl,-Bdynamic $(installed --static --libs-only-other --libs-only-l paytoken | sed 's/-lpaytoken//') \
      -Wl,--gc-sections -s -pthread -o "$work/worker_pool-static"
    if pkg-config --exists libcurl; then
      cc $strict "$capi/examples/balance.c" $(installed --cflags --libs paytoken) $(pkg-config --cflags --libs libcurl) \
        -o "$work/balance"
    else
      missing "libcurl.pc (package libcurl4-openssl-dev)" || true
    fi
    # The C library's linker warns that getaddrinfo needs the shared one at run time: known, see docs/c.md.
    cc -static $strict "$capi/examples/worker_pool.c" $(installed --static --cflags --libs paytoken) -pthread \
      -o "$work/worker_pool-fully-static" 2>"$work/static.log" || { cat "$work/static.log" >&2; exit 1; }
  }
}
installed() {
  env PKG_CONFIG_LIBDIR="$root/lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$work/root" pkg-config "$@"
}
