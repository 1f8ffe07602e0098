# each row of the tables of docs/errors.md: its code is brought about
. "$(dirname "$0")/../common.sh"

plain_library
compile tables ""
# The first table has the name first and C's code last, the other the code first and the name next.
rows=$(awk -F ' *[|] *' '/^[|] `ErrorKind`/ { kinds = 1; next } /^[|] code [|] name [|]/ { codes = 1; next } !/^[|]/ { kinds = codes = 0 }
  /^[|] *-/ { next } { gsub(/`/, "") } kinds { print $2, $7 } codes { print $3, $2 }' "$capi/../docs/errors.md")
# shellcheck disable=SC2086
"$work/tables" $rows
