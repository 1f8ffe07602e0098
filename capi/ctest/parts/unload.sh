# a plug-in that uses the library, loaded and unloaded UNLOAD_TIMES (default 200), renewals under way
. "$(dirname "$0")/../common.sh"

plain_library
# shellcheck disable=SC2086
cc $flags -DPLUGIN -shared -fPIC "$ctest/unload.c" -o "$work/plugin.so" "$shared"
# shellcheck disable=SC2086
cc $flags -rdynamic "$ctest/unload.c" -o "$work/unload" -pthread -ldl
"$work/unload" "$work/plugin.so" "${UNLOAD_TIMES:-200}"
