# For ../run and ../package: see there.

pack_node() {
  local platform library package=$work/node-package folder
  mkdir "$package"
  cp "$here"/node/{paytoken.cjs,paytoken-worker.cjs,paytoken.d.cts,README.md} "$here"/../../LICENSE-* "$package/"
  sed "s/\"VERSION\"/\"$version\"/" "$here/node/package.json" >"$package/package.json"
  # The folders are named as process.platform and process.arch say.
  while read -r platform folder; do
    library=$(native "$platform")
    [ -n "$library" ] || continue
    mkdir -p "$package/natives/$folder"
    cp "$library" "$package/natives/$folder/$(native_name "$platform")"
  done <<<"x86_64-linux-gnu linux-x64
aarch64-linux-gnu linux-arm64
x86_64-windows win32-x64
aarch64-macos darwin-arm64"
  (cd "$package" && npm pack --silent --pack-destination "$out" >/dev/null)
}

run_node() {
  have node nodejs node && have npm npm node || return 0
  unset PAYTOKEN_LIBRARY NODE_PATH
  on_the_page js node/test.cjs
  local tarball
  tarball=$(echo "$(packages node)"/*.tgz)
  echo "   Node: $(basename "$tarball"), $(($(stat -c %s "$tarball") / 1024)) KiB"
  mkdir "$work/node"
  cp "$here"/node/{test,hosts,bundled}.cjs "$work/node/"
  cd "$work/node"
  # esbuild is for bundled.cjs alone.
  npm install --no-audit --no-fund --loglevel=error --ignore-scripts --save-exact "$tarball" esbuild@0.28.2 >/dev/null
  env -u LD_LIBRARY_PATH node test.cjs
  # The library: in the package, where PAYTOKEN_LIBRARY says, the system's; else one sentence.
  local inside says
  inside=$(realpath node_modules/paytoken/natives/*/libpaytoken.so.0)
  loads() { env -u LD_LIBRARY_PATH "$@" node -e "require('paytoken'); console.log(require('fs').readFileSync('/proc/self/maps', 'utf8').match(/\/.*(libpaytoken|elsewhere).*/)[0])" 2>&1; }
  [ "$(loads PAYTOKEN_LIBRARY=/not/there)" = "$inside" ]
  mv "$inside" elsewhere.so
  [ "$(loads PAYTOKEN_LIBRARY="$PWD/elsewhere.so")" = "$PWD/elsewhere.so" ]
  [ "$(loads LD_LIBRARY_PATH="$installed/lib")" = "$(realpath "$installed/lib/libpaytoken.so.0")" ]
  for says in "$inside" PAYTOKEN_LIBRARY "the system's libpaytoken.so.0"; do
    [[ "$(loads PAYTOKEN_LIBRARY=/not/there)" == *"Error: paytoken's C library"*"$says"* ]]
  done
  mv elsewhere.so "$inside"
  # An ES module finds the same names.
  node --input-type=module -e "import { Source, PaytokenError, describe, logTo } from 'paytoken'; Source.name.at; PaytokenError.name.at; describe.at; logTo.at"
  env -u LD_LIBRARY_PATH node bundled.cjs
  echo "ok     Node"
}

hosts_node() {
  [ -d "$work/node" ] || return 0
  cd "$work/node"
  PAYTOKEN_STORE=$work/node/store timeout 60 env -u LD_LIBRARY_PATH -u PAYTOKEN_LIBRARY node hosts.cjs
}
