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
  [ "$(at_sandbox send-payments token_requests)" = 1 ] || fail "$1 made $(at_sandbox send-payments token_requests) requests instead of 1"
  ends 1 "refused:" env SENDPAYMENTS_CLIENT_SECRET=wrong "${@:2}"
  ends 1 "refused:" env -u SENDPAYMENTS_CLIENT_ID "${@:2}"
  control "send-payments/fault?kind=503&times=always"
  ends 75 "an outage:" "${@:2}"
  echo "ok     $1: a value by 1 request, a refusal, an outage"
}

# nginx with Lua, two workers, from the page's own files, in a folder of its own.
hosts_more() {
  shown nginx-lua.md nginx nginx-lua/nginx.conf
  have nginx nginx-light "nginx with Lua" || return 0
  [ -e /usr/lib/nginx/modules/ngx_http_lua_module.so ] ||
    missing "nginx's Lua module (package libnginx-mod-http-lua)" "nginx with Lua" || return 0
  local line
  while read -r line; do
    grep -qxF -- "$line" <(sed 's/^ *//' "$installed/include/paytoken_ffi.h") || fail "paytoken.lua declares what the library does not have: $line"
  done < <(sed -n '/^ffi.cdef/,/^]]/{//!p}' "$here/more/nginx-lua/paytoken.lua")

  nginx=$work/nginx dir=$work/nginx
  mkdir -m 755 "$nginx"
  cp "$here"/more/nginx-lua/*.lua "$nginx"
  secret "$SENDPAYMENTS_CLIENT_SECRET"
  # Beside the page's: files of its own, and a way to see whether the event loops turn.
  cat >"$nginx/test.conf" <<END
    log_format short '\$pid \$status';
    access_log access.log short;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    proxy_ssl_name localhost;
    lua_check_client_abort on;
    server {
        listen unix:$nginx/test.sock;
        access_log off;
        location / { content_by_lua_block { require("watch").answer() } }
    }
END
  sed -e "s|https://api.send.example|$SENDPAYMENTS_BASE_URL|; s|/etc/ssl/certs/ca-certificates.crt|$PAYTOKEN_CA|" \
    -e "s|listen 127.0.0.1:8080|listen unix:$nginx/front.sock|; /^http {/r $nginx/test.conf" \
    "$here/more/nginx-lua/nginx.conf" >"$nginx/nginx.conf"
  control reset
  local user=""
  [ "$(id -u)" != 0 ] || user="user root;"
  env -u SENDPAYMENTS_CLIENT_SECRET SENDPAYMENTS_CLIENT_SECRET_FILE="$nginx/secret" PAYTOKEN_STORE="$nginx/store" \
    nginx -p "$nginx" -c nginx.conf -e stderr -g "daemon off; env PAYTOKEN_CA; $user" 2>"$nginx/start.log" &
  master=$!
  await "$master" "the start" all_work
  local before asking begun
  before=$(held)

  control send-payments/hold
  front "[1-40]" >"$nginx/answers" &
  asking=$!
  await "$master" "the request for a token" counts token_requests 1
  await "$master" "an answer of both workers while the fetch is held" all_work
  local pauses=${answers//$'\n'/, }
  control send-payments/release
  wait "$asking"
  same "40 requests" "$(sort "$nginx/answers" | uniq -c | xargs)" "40 200"
  await "$master" "a request to the other worker" both_served
  same "requests for a token" "$(at_sandbox send-payments token_requests)" 1
  echo "ok     nginx with Lua: 1 request for a token for $(wc -l <"$nginx/access.log") requests to 2 workers"
  echo "       longest pause of each worker's loop while the fetch was held (pid ms): $pauses"
  echo "       threads and descriptors of the workers: before $before, after $(held)"

  # A revoked token: once more with another one; the other worker takes that from the store.
  control send-payments/revoke-all
  same "a POST with a revoked token" "$(front 1 -H 'Content-Type: application/json' -d '{"reference": "r"}')" 201
  same "40 requests" "$(front "[1-40]" | sort | uniq -c | xargs)" "40 200"
  same "requests for a token" "$(at_sandbox send-payments token_requests)" 2
  echo "ok     nginx with Lua: a 401 is replayed, body and all"

  reload
  same "after the reload" "$(front "[1-40]" | sort | uniq -c | xargs)" "40 200"
  same "requests for a token" "$(at_sandbox send-payments token_requests)" 2
  echo "ok     nginx with Lua: a reload makes no request for a token"

  secret wrong
  anew
  same "a wrong secret" "$(front 1)" 502
  secret "$SENDPAYMENTS_CLIENT_SECRET"
  reload
  same "the right secret again" "$(front 1)" 200
  anew
  control "send-payments/fault?kind=503&times=always"
  same "an outage" "$(front 1)" 503
  grep -q "paytoken: PAYTOKEN_REJECTED: " "$nginx/error.log" || fail "nginx's log has no refusal"
  echo "ok     nginx with Lua: 502 for a refusal, 503 for an outage"
  anew
  control "send-payments/fault?kind=status=401&times=always&endpoint=api"
  same "an API that always answers 401" "$(front 1)" 401
  same "requests for a token" "$(at_sandbox send-payments token_requests)" 2
  echo "ok     nginx with Lua: a 401 is replayed once, and the second one goes to the client"

  # The client gives up, and nobody else asks before the token is there.
  anew
  control send-payments/hold
  curl -s --unix-socket "$nginx/front.sock" http://front/accounts &
  asking=$!
  await "$master" "the request for a token" counts token_requests 1
  kill "$asking"
  wait "$asking" || true
  await "$master" "the end of that request" grep -q " 499$" "$nginx/access.log"
  control send-payments/release
  await "$master" "the token" counts tokens_issued 1
  same "40 requests" "$(front "[1-40]" | sort | uniq -c | xargs)" "40 200"
  same "requests for a token" "$(at_sandbox send-payments token_requests)" 1
  ! grep "runtime error" "$nginx/error.log" >&2 || fail "nginx with Lua: an error in paytoken.lua"
  echo "ok     nginx with Lua: a client that gives up does not end the fetch"

  anew
  control send-payments/hold
  front 1 >"$nginx/answers" &
  asking=$!
  await "$master" "the request for a token" counts token_requests 1
  begun=${EPOCHREALTIME/./}
  kill -TERM "$master"
  wait "$master"
  echo "ok     nginx with Lua: TERM while a fetch is held: all processes ended after $(((${EPOCHREALTIME/./} - begun) / 1000)) ms"
  wait "$asking" || true
}

secret() { (umask 077 && printf %s "$1" >"$nginx/secret"); }
same() { [ "$2" = "$3" ] || fail "nginx with Lua: $1: $2 instead of $3"; }
# front NUMBERS [OPTION...]: the statuses of requests through nginx, at the same time.
front() {
  curl -s --max-time 30 --parallel --parallel-immediate --parallel-max 40 --unix-socket "$nginx/front.sock" -o /dev/null -w '%{http_code}\n' \
    "${@:2}" "http://front/accounts?$1" 2>/dev/null
}
workers() { xargs -n 1 <"/proc/$master/task/$master/children" | sort; }
# Both workers answer: their event loops turn. Sets $answers.
all_work() {
  answers=$(curl -s --max-time 30 --parallel --parallel-immediate --unix-socket "$nginx/test.sock" "http://test/[1-40]" 2>/dev/null | sort -rn -k 2 | sort -u -k 1,1)
  [ "$(wc -l <<<"$answers")" = 2 ] && [ "$(cut -d ' ' -f 1 <<<"$answers")" = "$(workers)" ]
}
both_served() { front 1 >/dev/null && [ "$(cut -d ' ' -f 1 "$nginx/access.log" | sort -u)" = "$(workers)" ]; }
held() { for worker in $(workers); do echo "$(find "/proc/$worker/task" -mindepth 1 -maxdepth 1 | wc -l)+$(find "/proc/$worker/fd" -mindepth 1 | wc -l)"; done | xargs; }
reload() {
  local old
  old=$(workers)
  kill -HUP "$master"
  await "$master" "the end of the old workers" gone
  await "$master" "an answer of the new workers" all_work
}
# Without what is remembered.
anew() {
  control reset
  rm -r "$nginx/store"
  reload
}
gone() { [ -z "$(comm -12 <(echo "$old") <(workers))" ]; }
