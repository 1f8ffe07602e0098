# For ctest/run and languages/run: a temporary folder, $work; the sandbox, with its variables set; and `apart`, which runs
# a part of the work. Whatever way the script ends, also by a signal, all that it started ends with it.
set -euo pipefail
capi=$(CDPATH="" cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=${CARGO_TARGET_DIR:-$capi/../target}
work=$(mktemp -d)
export PAYTOKEN_WORK=$work
part="" group="" sandbox=""

# start_sandbox: builds it, starts it, and sets its variables. With SANDBOX=given, the caller has done that.
start_sandbox() {
  # Beside the sandbox's, a store or a proxy of the caller's would count.
  unset PAYTOKEN_STORE HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy
  [ "${SANDBOX:-}" != given ] || return 0
  apart cargo build --quiet --locked -p paytoken-sandbox
  : >"$work/sandbox.log"
  # Where setpriv is, it ends with this shell even where that is killed.
  local with_us=""
  ! command -v setpriv >/dev/null || with_us="setpriv --pdeathsig TERM"
  # shellcheck disable=SC2086
  $with_us "$target/debug/paytoken-sandbox" --directory "$work/sandbox" >"$work/sandbox.log" &
  sandbox=$!
  for ((waited = 0; waited < 3000; waited++)); do
    ! grep -q '^In another shell' "$work/sandbox.log" || break
    kill -0 "$sandbox" || { echo "the sandbox ended before it served" >&2; exit 1; }
    sleep 0.01
  done
  # shellcheck source=/dev/null
  . "$work/sandbox/env.sh"
}

# run_part NAME COMMAND...: with a heading before it, and a failure told under its name.
run_part() {
  local begun=$SECONDS
  part=$1
  printf '\n-- %s\n' "$part"
  apart "${@:2}"
  echo "       $((SECONDS - begun)) s"
  part=""
}

# apart COMMAND...: runs it in a process group of its own, which ends whole. It may be a function: `set -e` counts in it,
# as nobody asks for its outcome but `wait`.
apart() {
  set -m
  "$@" </dev/null &
  set +m
  group=$!
  wait "$group"
  group=""
}

finish() {
  local status=$?
  trap '' HUP INT TERM
  if [ -n "$group" ] && kill -- -"$group" 2>/dev/null; then
    for ((waited = 0; waited < 500; waited++)); do
      kill -0 -- -"$group" 2>/dev/null || break
      sleep 0.01
    done
    kill -KILL -- -"$group" 2>/dev/null || true
  fi
  if [ -n "$sandbox" ]; then
    kill "$sandbox" 2>/dev/null || true
    wait "$sandbox" || true
  fi
  rm -rf "$work"
  [ "$status" = 0 ] || echo "${0#"$capi/"}: failed${part:+: $part}" >&2
  exit "$status"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
