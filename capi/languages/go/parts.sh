# For ../run and ../package: see there.

# A folder that GOPROXY=file://... reads. It holds no library: cgo links to one that is installed.
# PAYTOKEN_GO_MODULE: the address that it is published under. Until there is one, the name is one that nobody can serve.
pack_go() {
  local module=${PAYTOKEN_GO_MODULE:-paytoken.example/paytoken} versions root
  versions=$out/$module/@v root=$work/go/$module@v$version
  mkdir -p "$versions" "$root"
  cp "$here"/go/{paytoken.go,needs_cgo.go,paytoken_test.go} "$here"/../../LICENSE-{MIT,APACHE} "$root/"
  printf 'module %s\n\ngo 1.19\n' "$module" | tee "$root/go.mod" >"$versions/v$version.mod"
  sed "s/@VERSION@/$version/" "$here/go/README.md.in" >"$root/README.md"
  zipped "$versions/v$version.zip" "$work/go"
  printf '{"Version":"v%s","Time":"%s"}\n' "$version" "$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)" >"$versions/v$version.info"
  echo "v$version" >"$versions/list"
}

# The module's test in a program's module, from nothing but the packed module; and the two ways to the library.
run_go() {
  have go golang-go go && have pkg-config pkg-config go || return 0
  on_the_page go go/paytoken_test.go
  local made said shop=$work/go/shop
  made=$(packages go)
  mkdir -p "$shop" "$work/go/unpacked"
  cd "$shop"
  unset LD_LIBRARY_PATH
  # The compiled standard library stays for the next run.
  export GOCACHE=$target/go GOMODCACHE=$work/go/modules GOFLAGS="-modcacherw -mod=mod -ldflags=-r=$installed/lib" GONOSUMDB=paytoken.example GOPROXY=file://$made
  cp "$here/go/host/main.go" .

  # By its address, with the library by pkg-config.
  export PKG_CONFIG_PATH=$installed/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$work/root
  go mod init shop 2>/dev/null
  go get "paytoken.example/paytoken@v$(version)"
  go build -o host .
  go vet paytoken.example/paytoken
  # -v shows the figures.
  go test -count=1 -v -bench Cached -benchtime 200000x paytoken.example/paytoken >"$work/go.log" 2>&1 || { cat "$work/go.log"; exit 1; }
  sed -n 's/^    paytoken_test.go:[0-9]*: /   Go: /p; s/^BenchmarkCached-[0-9]* */   Go, cached calls: /p' "$work/go.log"

  # Without a proxy, from a folder; with the library by a path.
  unset PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
  # The same path in each run: all that uses cgo is compiled for these two.
  ln -sfn "$installed" "$target/go/installed"
  export GOPROXY=off CGO_CFLAGS=-I$target/go/installed/include CGO_LDFLAGS=-L$target/go/installed/lib
  python3 -m zipfile -e "$made"/paytoken.example/paytoken/@v/*.zip "$work/go/unpacked"
  mv "$work"/go/unpacked/paytoken.example/paytoken@* ../paytoken
  rm go.mod go.sum
  go mod init shop 2>/dev/null
  go mod edit -replace paytoken.example/paytoken=../paytoken
  go mod tidy
  go build -tags paytoken_path -o by-path .
  [ "$(./by-path found)" = found ]
  ! said=$(go build . 2>&1) || { echo "Go: builds without pkg-config's file" >&2; exit 1; }
  grep -q 'PKG_CONFIG_PATH' <<<"$said" || { echo "Go: $said" >&2; exit 1; }
  ! said=$(CGO_ENABLED=0 go build . 2>&1) || { echo "Go: builds without cgo" >&2; exit 1; }
  grep -q 'needs_cgo' <<<"$said" || { echo "Go: $said" >&2; exit 1; }
  echo "   Go: $(stat -c '%n, %s bytes' "$made"/paytoken.example/paytoken/@v/*.zip | sed 's|.*/||')"
  echo "ok     Go"
}

hosts_go() {
  [ ! -x "$work/go/shop/host" ] || serves Go "$work/go/shop/host"
}
