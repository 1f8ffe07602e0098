# For ../run: see there. Programs for docs/more-languages.md, and nginx with Lua for docs/nginx-lua.md.

run_more() {
  local least="-I$installed/include -L$installed/lib -lpaytoken" built=$work/more
  mkdir "$built"
  shown more-languages.md perl perl/token.pl
  shown more-languages.md ocaml ocaml/token.ml c ocaml/stub.c
  shown more-languages.md erlang erlang/token.escript c erlang/port.c
  shown more-languages.md fortran fortran/token.f90
  if perl -MFFI::Platypus -e 1 2>/dev/null || missing "FFI::Platypus (package libffi-platypus-perl)" "Perl"; then
    three Perl perl "$here/more/perl/token.pl"
  fi
  if there ocamlopt ocaml-nox OCaml; then
    cp "$here"/more/ocaml/* "$built"
    (cd "$built" && ocamlopt -ccopt "-Wall -I$installed/include" -o ocaml stub.c token.ml -ccopt "-L$installed/lib" -cclib -lpaytoken)
    three OCaml "$built/ocaml"
  fi
  if there escript erlang-base Erlang; then
    # shellcheck disable=SC2086
    cc -Wall -Wextra "$here/more/erlang/port.c" $least -o "$built/port"
    three Erlang escript "$here/more/erlang/token.escript" "$built/port"
  fi
  if there gfortran gfortran Fortran; then
    # shellcheck disable=SC2086
    gfortran -Wall -std=f2018 "$here/more/fortran/token.f90" $least -o "$built/fortran"
    three Fortran "$built/fortran"
  fi
}

# These are big, so they are not installed in the gate.
there() { # TOOL PACKAGE LANGUAGE
  command -v "$1" >/dev/null || { echo "languages: $1 (package $2) is not here: $3 is not run" >&2; return 1; }
}

# shown PAGE [LANGUAGE FILE]...: the page has these files, as they are; together no more than 30 lines, but for nginx's.
shown() {
  local page=$1 lines=0
  shift
  while [ $# -gt 0 ]; do
    [[ $(<"$here/../../docs/$page") == *$'\n```'"$1"$'\n'"$(<"$here/more/$2")"$'\n```\n'* ]] ||
      { echo "languages: docs/$page does not show $2 as it is" >&2; exit 1; }
    lines=$((lines + $(wc -l <"$here/more/$2")))
    shift 2
  done
  [ "$lines" -le 30 ] || [ "$page" = nginx-lua.md ] || { echo "languages: $lines lines in docs/$page's $2" >&2; exit 1; }
}

control() { curl -fsS -X POST "$PAYTOKEN_SANDBOX_CONTROL/$1" >/dev/null; }
counted() { # WHAT
  curl -fsS "$PAYTOKEN_SANDBOX_CONTROL/stats" | sed 's/.*"send-payments":{[^{}]*"'"$1"'":\([0-9]*\).*/\1/'
}
fail() { echo "languages: $*" >&2; exit 1; }

# ends STATUS BEGINNING COMMAND...: with that status, and what it says begins so.
ends() {
  local status=0 said
  said=$("${@:3}") || status=$?
  [[ $status == "$1" && $said == "$2"* ]] || fail "${*:3}: status $status instead of $1: $said"
}

# three LANGUAGE COMMAND...: a token by one request, a refusal, an outage.
three() {
  control reset
  ends 0 "a value for Authorization, " "${@:2}"
  [ "$(counted token_requests)" = 1 ] || fail "$1 made $(counted token_requests) requests instead of 1"
  ends 1 "refused:" env SENDPAYMENTS_CLIENT_SECRET=wrong "${@:2}"
  ends 1 "refused:" env -u SENDPAYMENTS_CLIENT_ID "${@:2}"
  control "send-payments/fault?kind=503&times=always"
  ends 75 "an outage:" "${@:2}"
  echo "ok     $1: a value by 1 request, a refusal, an outage"
}
