# For scripts that are a row of stages: `step` begins one, and at the end all of them are listed with their times, also after a failure.

# step WORDS...: ends the stage before, with its time, and begins another. What follows is plain commands: the first that
# fails ends the script, and `finish` names its stage.
step() {
  end_stage
  stage=$* begun=$SECONDS
  printf '\n== %s\n' "$stage"
}
end_stage() {
  [ -n "$stage" ] || return 0
  stages+=("$(printf '%5d s  %s' $((SECONDS - begun)) "$stage")")
  printf '== %d s: %s\n' $((SECONDS - begun)) "$stage"
  stage=""
}
finish() {
  local status=$?
  local took=$((SECONDS - begun))
  if [ "$status" = 0 ]; then end_stage; else stages+=("$(printf '%5d s  FAILED: %s' "$took" "$stage")"); fi
  printf '\n'
  printf '%s\n' "${stages[@]}" "$(printf '%5d s  in all' "$SECONDS")"
  if [ "$status" = 0 ]; then
    printf '\n== all green\n'
  else
    echo "${0##*/} failed in \"$stage\", after $took s of it" >&2
  fi
}
stages=() stage="" begun=0
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# need COMMAND PACKAGE: notes a Debian package whose command is missing; install_missing installs them.
missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }
install_missing() {
  [ "${#missing[@]}" -gt 0 ] || return 0
  step "install ${missing[*]}"
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}" libc6-dev
  missing=()
}

# tool NAME VERSION: installs it where it is missing, unoptimised: that builds in a third of the time.
tool() {
  command -v "$1" >/dev/null || CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=target/tools \
    cargo install --quiet --locked --debug "$1" --version "$2"
}
