# For ../run and ../package: see there.

run_node() {
  have node nodejs node && have npm npm node || return 0
  on_the_page js node/test.cjs
  mkdir "$work/node"
  cp "$here"/node/{package.json,package-lock.json,.npmrc,paytoken.cjs,test.cjs} "$work/node/"
  (
    cd "$work/node"
    npm ci --no-audit --no-fund --loglevel=error >/dev/null
    node test.cjs
  )
}
