# For ../run and ../package: see there.

# A gem for each platform, with its library inside.
pack_ruby() {
  local platform library tree
  for platform in x86_64-linux aarch64-linux; do
    library=$(native "$platform-gnu")
    [ -n "$library" ] || continue
    tree=$work/ruby/$platform
    mkdir -p "$tree"
    cp -r "$here"/ruby/{lib,README.md,paytoken.gemspec} "$here"/../../LICENSE-* "$tree"
    install -D "$library" "$tree/lib/paytoken/libpaytoken.so.0"
    find "$tree" -type f -exec chmod a=r,u+w {} +
    (cd "$tree" && GEM_VERSION=$version GEM_PLATFORM=$platform gem build --silent --output "$out/paytoken-$version-$platform.gem" paytoken.gemspec)
  done
}

run_ruby() {
  have ruby ruby ruby || return 0
  on_the_page ruby ruby/test.rb
  packages ruby
  du -b "$work"/packages/ruby/*.gem
  gem install --silent --no-document --local "$work"/packages/ruby/*"$(uname -m)"*.gem -i "$work/gems"
  env -u LD_LIBRARY_PATH GEM_PATH="$work/gems" ruby -w "$here/ruby/test.rb"
}

# Puma's workers, forked after the source was made.
hosts_ruby() {
  have puma puma ruby || return 0
  local dir=$work/puma server begun status=0
  unset LD_LIBRARY_PATH
  install -d "$dir"
  pages() { curl -sS --no-progress-meter --unix-socket "$dir/puma.sock" --parallel --parallel-immediate --parallel-max 64 "http://shop/$1"; }
  workers_answer() { pages '[1-40]' >"$dir/answers"; [ "$(cut -d ' ' -f 2 "$dir/answers" | sort -u | wc -l)" = 3 ]; }
  control reset
  control send-payments/hold
  GEM_PATH=$work/gems:$(gem env path) SOCKET=$dir/puma.sock PAYTOKEN_STORE=$dir/tokens \
    puma -C "$here/ruby/hosts/puma.rb" "$here/ruby/hosts/config.ru" >"$dir/puma.log" 2>"$dir/puma.err" &
  server=$!
  trap "kill $server" EXIT
  await "$server" "Puma to bind" test -S "$dir/puma.sock"
  await "$server" "Puma's workers" workers_answer
  cp "$dir/answers" "$dir/first"
  pages token >"$dir/one" &
  await "$server" "a request for a token" counts token_requests 1
  # One waits for a token: the workers answer what needs none.
  await "$server" "an answer meanwhile" workers_answer
  [ ! -s "$dir/one" ]
  pages 'token?[1-400]' >"$dir/tokens.txt" &
  control send-payments/release
  wait $!
  [ "$(grep -c '^served ' "$dir/tokens.txt")" = 400 ] || { sort "$dir/tokens.txt" | uniq -c | head -5 >&2; cat "$dir"/puma.* >&2; return 1; }
  counts token_requests 1
  grep -q paytoken:.*send-payments "$dir/puma.log" # by a thread of the worker's own
  await "$server" "all workers" workers_answer
  # Asked to end while a call waits for a token, it answers that call first.
  control send-payments/hold
  pages 'token?force' >"$dir/last" &
  await "$server" "the forced request" counts token_requests 2
  begun=$(date +%s%3N)
  kill -TERM "$server"
  await "$server" "Puma to take note" grep -q Gracefully "$dir/puma.log"
  control send-payments/release
  timeout 20 tail -s 0.02 --pid="$server" -f /dev/null
  trap - EXIT
  wait "$server" || status=$?
  [ "$status" = 143 ] # as Puma does at TERM
  grep -q '^served ' "$dir/last"
  awk -v ended="$(($(date +%s%3N) - begun))" 'FNR == NR { if (!($2 in first)) first[$2] = $4; next }
    { if ($4 - first[$2] > more) more = $4 - first[$2]; if ($3 > threads) threads = $3; if ($5 > pause) pause = $5 }
    END { printf "   Puma: 401 pages of 3 workers: 1 request; the lock was held %d ms at the most; %d threads each; %d descriptors more at the most; ended %d ms after TERM, with the last answer\n", pause, threads, more, ended }' \
    "$dir/first" "$dir/answers"
}
