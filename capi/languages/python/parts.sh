# For ../run and ../package: see there.

pack_python() {
  local platform library tag
  for platform in x86_64-linux-gnu aarch64-linux-gnu x86_64-windows aarch64-macos; do
    library=$(native "$platform")
    [ -n "$library" ] || continue
    case $platform in
      *-linux-gnu)
        # The newest version of the system's C library whose symbols it uses.
        tag=manylinux_$(readelf --wide --version-info "$library" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -1 | cut -d_ -f2 | tr . _)_${platform%%-*}
        ;;
      *-windows) tag=win_amd64 ;;
      *-macos) tag=macosx_11_0_arm64 ;;
    esac
    "$here/python/wheel" "$out" "$version" "py3-none-$tag" "$library" "$(native_name "$platform")"
  done
}

run_python() {
  have python3 python3 python || return 0
  on_the_page python python/test.py
  unset PYTHONPATH PAYTOKEN_LIBRARY
  local wheel python=$work/python/bin/python
  wheel=$(echo "$(packages python)"/*"_$(uname -m).whl")
  python3 -m venv "$work/python"
  "$python" -m pip install --quiet --no-index "$wheel"
  echo "   Python: $(basename "$wheel"), $(($(stat -c %s "$wheel") / 1024)) KiB"
  mkdir "$work/python/empty"
  cp "$here/python/test.py" "$work/python/empty/"
  cd "$work/python/empty"
  env -u LD_LIBRARY_PATH "$python" -W error test.py
  # The library: beside the package, where PAYTOKEN_LIBRARY says, the system's; else one sentence.
  local place says
  place=$("$python" -c 'import os, paytoken; print(os.path.dirname(paytoken.__file__))')
  where() { env -u LD_LIBRARY_PATH "$@" "$python" -c 'import paytoken; print(paytoken._lib._name)' 2>&1 | tail -1; }
  [ "$(where PAYTOKEN_LIBRARY=/not/there)" = "$place/libpaytoken.so.0" ]
  mv "$place/libpaytoken.so.0" "$work/python/elsewhere.so"
  [ "$(where "PAYTOKEN_LIBRARY=$work/python/elsewhere.so")" = "$work/python/elsewhere.so" ]
  [ "$(where "LD_LIBRARY_PATH=$installed/lib")" = libpaytoken.so.0 ]
  for says in "$place/libpaytoken.so.0" PAYTOKEN_LIBRARY "the system's libpaytoken.so.0"; do
    [[ "$(where PAYTOKEN_LIBRARY=/not/there)" == ImportError:*"$says"* ]]
  done
  mv "$work/python/elsewhere.so" "$place/libpaytoken.so.0"
  echo "ok     Python"
}

hosts_python() {
  [ -x "$work/python/bin/python" ] || return 0
  "$work/python/bin/python" -m pip install --quiet --requirement "$here/python/hosts.txt"
  cd "$work/python/empty"
  cp "$here"/python/{green,hosts,shop}.py .
  unset LD_LIBRARY_PATH PYTHONPATH PAYTOKEN_LIBRARY
  local host when
  for host in gevent eventlet; do
    for when in before after; do timeout 60 "$work/python/bin/python" -W ignore green.py "$host" "$when"; done
  done
  PATH=$work/python/bin:$PATH timeout 120 "$work/python/bin/python" hosts.py
}
