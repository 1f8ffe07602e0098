# arguments, described providers, failures, details of them, threads, logging, hosts (with a lock of their own), fork
. "$(dirname "$0")/../common.sh"

plain_library
for name in $basic; do
  compile "$name" ""
  "$work/$name"
done
