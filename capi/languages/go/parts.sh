# For ../run and ../package: see there.

run_go() {
  have go golang-go go || return 0
  on_the_page go go/paytoken_test.go
  (
    cd "$here/go"
    export GOCACHE=$work/go GOFLAGS=-modcacherw CGO_CFLAGS="-I$installed/include" CGO_LDFLAGS="-L$installed/lib"
    go vet .
    # -v shows the figures.
    go test -count=1 -v -bench Cached -benchtime 200000x . >"$work/go.log" 2>&1 || { cat "$work/go.log"; exit 1; }
    sed -n 's/^    paytoken_test.go:[0-9]*: /   Go: /p; s/^BenchmarkCached-[0-9]* */   Go, cached calls: /p' "$work/go.log"
  )
  echo "ok     Go"
}
