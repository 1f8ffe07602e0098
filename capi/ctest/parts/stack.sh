# a fetch and every failure on a thread of 64 KiB, with the library as it is installed
. "$(dirname "$0")/../common.sh"

installed_library
plain_library
compile stack ""
LD_LIBRARY_PATH=$root/lib "$work/stack"
