# For ../run and ../package: see there.

run_python() {
  have python3 python3 python || return 0
  on_the_page python python/test.py
  python3 -W error "$here/python/test.py"
}
