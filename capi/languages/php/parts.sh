# For ../run and ../package: see there.

# For Composer: an archive with the library for each platform inside.
pack_php() {
  local tree=$work/php platform library
  mkdir "$tree"
  cp -r "$here"/php/{src,preload.php,README.md} "$here"/../include/paytoken_ffi.h "$here"/../../LICENSE-* "$tree"
  sed "s|\"description\"|\"version\": \"$version\",\n    &|" "$here/php/composer.json" >"$tree/composer.json"
  for platform in x86_64-linux-gnu aarch64-linux-gnu x86_64-windows aarch64-macos; do
    library=$(native "$platform")
    [ -n "$library" ] || continue
    mkdir -p "$tree/natives/$platform"
    cp "$library" "$tree/natives/$platform/$(native_name "$platform")"
  done
  find "$tree" -type f -exec chmod a=r,u+w {} + -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
  rm -f "$out/paytoken-php-$version.zip"
  (cd "$tree" && find . -type f | LC_ALL=C sort | TZ=UTC zip -qX9 "$out/paytoken-php-$version.zip" -@)
}

# install_php FOLDER: as a program does that asks Composer for the package; nothing else is asked.
install_php() {
  export COMPOSER_HOME=$work/composer COMPOSER_ALLOW_SUPERUSER=1 COMPOSER_NO_INTERACTION=1 COMPOSER_DISABLE_NETWORK=1
  local archives
  archives=$(packages php)
  mkdir -p "$1"
  cd "$1"
  composer init --quiet --name shop/shop
  composer config repositories.paytoken artifact "$archives"
  composer config repositories.packagist.org false
  composer require --quiet paytoken/paytoken
}

run_php() {
  have php php-cli php && have composer composer php && have zip zip php || return 0
  on_the_page php php/test.php
  install_php "$work/shop"
  du -b "$work"/packages/php/*.zip
  env -u LD_LIBRARY_PATH php "$here/php/test.php" "$work/shop/vendor/autoload.php"
}

# Eight workers of a real FPM, which preloads, behind a real nginx: with the package's library, and with one that PAYTOKEN_LIBRARY names.
hosts_php() {
  local fpm shop=$work/shop user=www-data
  fpm=$(compgen -c php-fpm | sort | tail -1)
  [ -n "$fpm" ] || missing "php-fpm (package php-fpm)" php || return 0
  have nginx nginx-light php || return 0
  [ "$(id -u)" = 0 ] || user=$(id -un)
  unset LD_LIBRARY_PATH
  chmod a+x "$work" # the workers are another user's
  serve_fpm "the package's library"
  mv "$shop/vendor/paytoken/paytoken/natives" "$work/elsewhere"
  export PAYTOKEN_LIBRARY
  PAYTOKEN_LIBRARY=$(echo "$work"/elsewhere/*/*)
  serve_fpm "PAYTOKEN_LIBRARY's"
}

serve_fpm() { # WHOSE-LIBRARY
  local dir=$work/fpm described=$shop/vendor/paytoken/paytoken/src/Described.php server proxy begun
  rm -rf "$dir"
  install -d "$dir/conf.d"
  install -d -m 700 -o "$user" "$dir/tokens"
  install -m 644 "$here/php/hosts/page.php" "$PAYTOKEN_CA" "$dir"
  fpm_lines 1 >"$dir/conf.d/paytoken.ini"
  cat >"$dir/fpm.conf" <<END
[global]
error_log = $dir/fpm.log
[shop]
user = $user
listen = $dir/fpm.sock
listen.mode = 0666
pm = static
pm.max_children = 8
$(fpm_lines 2)
END
  cat >"$dir/nginx.conf" <<END
daemon off; pid $dir/nginx.pid; error_log $dir/nginx.log; user $user; worker_processes 2;
events { worker_connections 512; }
http {
  access_log off; client_body_temp_path $dir/b; proxy_temp_path $dir/p; fastcgi_temp_path $dir/f; uwsgi_temp_path $dir/u; scgi_temp_path $dir/s;
  server {
    listen unix:$dir/nginx.sock;
    location / {
      fastcgi_pass unix:$dir/fpm.sock;
      fastcgi_param REQUEST_METHOD \$request_method; fastcgi_param QUERY_STRING \$query_string;
      fastcgi_param SCRIPT_FILENAME $dir/page.php;
    }
  }
}
END
  pages() { curl -sS --no-progress-meter --unix-socket "$dir/nginx.sock" --parallel --parallel-immediate --parallel-max 64 "http://shop/$1"; }
  is_new() { [[ $(pages '') == *new ]]; }
  control reset
  control send-payments/hold
  PHP_INI_SCAN_DIR=:$dir/conf.d SHOP=$shop PAYTOKEN_STORE=$dir/tokens PAYTOKEN_CA=$dir/${PAYTOKEN_CA##*/} "$fpm" -F -y "$dir/fpm.conf" 2>"$dir/fpm.err" &
  server=$!
  trap "kill $server" EXIT # it has a process group of its own
  nginx -c "$dir/nginx.conf" 2>"$dir/nginx.err" &
  proxy=$!
  await "$server" "FPM to start" test -S "$dir/fpm.sock"
  await "$proxy" "nginx to start" test -S "$dir/nginx.sock"
  pages '[1-400]' >"$dir/answers" &
  await "$server" "a request for a token" counts token_requests 1
  control send-payments/release
  wait $!
  [ "$(grep -c '^served [0-9 ]* old$' "$dir/answers")" = 400 ] || { sort "$dir/answers" | uniq -c | head -5 >&2; cat "$dir"/*.err "$dir/fpm.log" >&2; return 1; }
  counts token_requests 1
  # What is preloaded stays until FPM is told.
  sed -i 's/^{$/&\n    public const MADE_ANEW = 1;/' "$described"
  [[ $(pages '') == *old ]]
  kill -USR2 "$server"
  await "$server" "the reload" is_new
  sed -i /MADE_ANEW/d "$described"
  counts token_requests 1
  # It ends while a worker waits for a token.
  control send-payments/hold
  pages '?force' >"$dir/cut" &
  await "$server" "the forced request" counts token_requests 2
  begun=$(date +%s%3N)
  kill -TERM "$server"
  timeout 20 tail -s 0.02 --pid="$server" -f /dev/null
  trap - EXIT
  wait "$server"
  ! pgrep -P "$server" || { echo "workers outlive FPM" >&2; return 1; }
  awk -v ended="$(($(date +%s%3N) - begun))" -v whose="$1" '!($2 in first) { first[$2] = $4; workers++ }
    { if ($4 - first[$2] > more) more = $4 - first[$2]; if ($3 > threads) threads = $3 }
    END { printf "   FPM, %s: %d pages of %d workers: 1 request; %d threads each at most; %d descriptors more; reloaded; ended %d ms after TERM\n", whose, NR, workers, threads, more, ended; exit workers != 8 }' "$dir/answers"
  kill -TERM "$proxy"
  wait "$proxy"
  control send-payments/release
}

# fpm_lines N: the N-th block of settings that docs/languages.md shows for FPM, in this run's folders.
fpm_lines() {
  awk -v wanted="$1" '/^## / { php = $0 == "## PHP" } /^```$/ { inside = 0 } inside && blocks == wanted
    /^```ini$/ && php { blocks++; inside = 1 }' "$here/../../docs/languages.md" | sed "s|/var/www/shop|$shop|; s|www-data|$user|"
}
