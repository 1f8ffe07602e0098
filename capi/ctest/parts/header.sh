# the header as C99 and C++11, warnings are errors; what docs/c.md shows; its structs on many targets
. "$(dirname "$0")/../common.sh"

echo '#include "paytoken.h"' >"$work/header.c"
cp "$work/header.c" "$work/header.cc"
# shellcheck disable=SC2086
cc -std=c99 $warnings -Wstrict-prototypes -I "$include" -fsyntax-only "$work/header.c"
# shellcheck disable=SC2086
! have c++ g++ || c++ -std=c++11 $warnings -Wold-style-cast -I "$include" -fsyntax-only "$work/header.cc"

{
  printf '#include <paytoken.h>\n#include <stdlib.h>\n'
  echo 'void host_log(uint32_t level, const char *text);'
  echo 'void shown(void);'
  echo 'void shown(void) {'
  awk '/^```c$/ { code = 1; text = ""; next }
    /^```$/ { if (code && text !~ /int main/) printf "%s", text; code = 0 }
    code { text = text $0 "\n" }' "$capi/../docs/c.md"
  echo '}'
} >"$work/page.c"
[ "$(wc -l <"$work/page.c")" -gt 8 ] || fail "docs/c.md shows no code"
# shellcheck disable=SC2086
cc -std=c99 $warnings -I "$include" -fsyntax-only "$work/page.c"
echo "ok     header, and the page docs/c.md"

# Structs are laid out where an object of them is; clang lays them out for every target, with no C library there.
have clang clang || exit 0
sed -n 's/^} \(paytoken_[a-z_]*\);/\1/p' "$include/paytoken.h" >"$work/structs"
[ -s "$work/structs" ] || fail "no struct in paytoken.h"
{ echo '#include "paytoken.h"' && sed 's/.*/& object_of_&; char size_of_&[sizeof(&)];/' "$work/structs"; } >"$work/layout.c"
for machine in x86_64-linux-gnu i686-linux-gnu armv7-linux-gnueabihf aarch64-linux-gnu mipsel-linux-gnu powerpc-linux-gnu \
  riscv32-linux-gnu s390x-linux-gnu x86_64-pc-windows-msvc; do
  clang --target=$machine -std=c99 -ffreestanding -Wpadded -Werror -I "$include" -c "$work/layout.c" -o "$work/layout.o"
  nm -S --size-sort "$work/layout.o" 2>/dev/null | awk '/size_of/ { print $2, $4 }' | sed 's/^0*//' | sort >"$work/sizes.$machine"
done
[ "$(wc -l <"$work/sizes.x86_64-linux-gnu")" = "$(wc -l <"$work/structs")" ] || fail "not every struct was laid out"
# The same size everywhere: no member depends on the target either.
for machine in i686-linux-gnu armv7-linux-gnueabihf mipsel-linux-gnu; do
  diff "$work/sizes.x86_64-linux-gnu" "$work/sizes.$machine" || fail "a struct's size depends on the target: $machine"
done
echo "ok     layouts: $(tr '\n' ' ' <"$work/structs")"
