# secrets in core dumps before and after the objects are freed
. "$(dirname "$0")/../common.sh"

have gcore gdb || exit 0
have xxd xxd || exit 0
installed_library
plain_library
compile core_dump ""

# grep reads needles from files: the secrets are in no argument and no variable.
printf '%s' "$NTXPAY_CLIENT_SECRET" >"$work/secret"
key=$NTXPAY_CLIENT_KEY
sed -n 2p "$key" >"$work/key-line"
# PKCS#8 of a P-256 key: 36 bytes of framing, then the key.
sed /---/d "$key" | base64 -d | tail -c +37 | head -c 32 | xxd -p | tr -d '\n' >"$work/key-hex" || true
occurrences() { { LC_ALL=C grep -ao "$@" || true; } | wc -l; }
count_in_core() { # CORE WHEN
  local line raw="?" token="-"
  core_secret=$(occurrences -Ff "$work/secret" "$1")
  line=$(occurrences -Ff "$work/key-line" "$1")
  [ ! -s "$work/key-hex" ] || raw=$(occurrences -P "$(sed 's/../\\x&/g' "$work/key-hex")" "$1")
  [ ! -s "$work/token" ] || token=$(occurrences -Ff "$work/token" "$1")
  echo "   $2: client secret $core_secret, private key as PEM $line, its 32 bytes $raw, token $token"
}

for mode in no-fetch fetch; do
  rm -f "$work/token"
  coproc HELD {
    exec env -i LD_LIBRARY_PATH="$root/lib" NTXPAY_CLIENT_ID="$NTXPAY_CLIENT_ID" NTXPAY_BASE_URL="$NTXPAY_BASE_URL" \
      PAYTOKEN_CA="$PAYTOKEN_CA" NTXPAY_CLIENT_CERT="$NTXPAY_CLIENT_CERT" \
      "$work/core_dump" "$work/secret" "$key" "$work/token" "$mode"
  }
  held=$HELD_PID to=${HELD[1]} from=${HELD[0]}
  for stage in held freed; do
    read -r answer <&"$from"
    [ "$answer" = "$stage" ]
    gcore -a -o "$work/core" "$held" >/dev/null 2>&1 || fail "gcore failed"
    count_in_core "$work/core.$held" "$mode, $stage"
    rm -f "$work/core.$held"
    [ $stage = freed ] || [ "$core_secret" -gt 0 ] || fail "the check sees nothing"
    printf x >&"$to"
  done
  wait "$held"
  [ "$core_secret" -le "${CORE_SECRETS_ALLOWED:-0}" ] || fail "the secret is in memory after everything was freed"
done
