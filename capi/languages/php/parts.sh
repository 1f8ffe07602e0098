# For ../run and ../package: see there.

run_php() {
  have php php-cli php || return 0
  on_the_page php php/test.php
  php "$here/php/test.php"
}
