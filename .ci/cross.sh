# For scripts that build for other systems: the tools, unpacked into a folder of their own, target/platforms/tools or $PLATFORM_TOOLS (Debian's Rust
# with the standard library's source; zig as C compiler and linker); `target` says what for, `cross` is cargo for it.
root=$PWD
tools=${PLATFORM_TOOLS:-$root/target/platforms/tools}

# unpack PACKAGE...: Debian's packages into $tools/debian, with lists of their own: the machine's packages stay as they are.
unpack() {
  local apt=$tools/apt
  mkdir -p "$apt"/{state/lists/partial,cache/archives/partial,packages} "$tools/debian"
  : >"$apt/status"
  cat >"$apt/conf" <<CONF
Dir::State "$apt/state";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
APT::Sandbox::User "root";
Acquire::Languages "none";
CONF
  APT_CONFIG=$apt/conf apt-get update -q
  (cd "$apt/packages" && APT_CONFIG=$apt/conf apt-get download -q "$@")
  for package in "$apt"/packages/*.deb; do dpkg -x "$package" "$tools/debian"; done
  rm -rf "$apt"
}

# zig_cc TARGET: zig as the C compiler and linker for one of its targets; prints its path. cargo and the crate cc name the
# target in words of their own, and libraries that zig brings along.
zig_cc() {
  local script=$tools/bin/cc-$1
  cat >"$script" <<SCRIPT
#!/bin/sh
for argument; do
  shift
  case "\$argument" in
    --target=* | -mmacosx-version-min=* | -liconv | -lgcc_s | -lgcc_eh | -lgcc) ;;
    *) set -- "\$@" "\$argument" ;;
  esac
done
case $1 in
  *-linux-gnu* | *-freebsd*) set -- "\$@" -lunwind ;;
  *-macos) set -- "\$@" -Wl,-s ;;
esac
exec "$tools/zig/ziglang/zig" cc -target $1 "\$@"
SCRIPT
  chmod +x "$script"
  echo "$script"
}

get_tools() {
  [ ! -e "$tools/complete" ] || return 0
  step "tools: Debian's Rust with its source, zig, other machines' C libraries"
  rm -rf "$tools"
  unpack rustc-web cargo-web rust-web-src libstd-rust-web-1.96 libstd-rust-web-dev libllvm22 libgit2-1.5 libhttp-parser2.9 \
    libmbedcrypto7 libmbedtls14 libmbedx509-1 libssh2-1 {libc6,libgcc-s1}-{arm64,s390x,i386}-cross
  # Half of it, and nothing here reads it.
  rm -rf "$tools"/debian/usr/src/rustc-*/{src,vendor,tests,compiler} "$tools"/debian/usr/share/{doc,cargo}
  python3 -m pip install -q --disable-pip-version-check --root-user-action=ignore --no-deps --target "$tools/zig" ziglang==0.17.1
  mkdir -p "$tools/bin"
  printf '#!/bin/sh\nexec "%s" ar "$@"\n' "$tools/zig/ziglang/zig" >"$tools/bin/ar"
  # What strips for macOS, and Debian's Rust does not bring: zig's linker has done it.
  printf '#!/bin/sh\n' >"$tools/bin/rust-objcopy"
  chmod +x "$tools/bin"/*
  : >"$tools/complete"
}
export ZIG_GLOBAL_CACHE_DIR=$tools/zig-cache
rust=$tools/debian/usr

# other_cargo ARGUMENTS...: Debian's, which builds the standard library for any target. Lines in backtraces would make
# everything twice as large.
other_cargo() {
  env -u RUSTUP_TOOLCHAIN PATH="$PATH:$tools/bin" LD_LIBRARY_PATH="$rust/lib/x86_64-linux-gnu:$rust/lib" RUSTC="$rust/bin/rustc" RUSTDOC="$rust/bin/rustdoc" \
    RUSTC_BOOTSTRAP=1 CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0 "$rust/bin/cargo" "$@"
}

# target TRIPLE LINKER [RUNNER]: what `cross` builds for from now on.
target() {
  triple=$1
  local variable=${triple//-/_}
  export "CC_$variable=$2" "CARGO_TARGET_${variable^^}_LINKER=$2"
  case $2 in "$tools"/*) export "AR_$variable=$tools/bin/ar" ;; esac
  [ -z "${3:-}" ] || export "CARGO_TARGET_${variable^^}_RUNNER=$3"
  built=$CARGO_TARGET_DIR/$triple/debug
}
cross() { other_cargo "$1" --locked -Z build-std --target "$triple" "${@:2}"; }
