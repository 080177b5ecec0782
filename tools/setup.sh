#!/bin/sh
# Installs what building and testing need and this machine lacks, with apt-get, and says what.
# Nothing is installed where nothing is missing.
#
#   sh tools/setup.sh          what building needs
#   sh tools/setup.sh test     what all tests need too
set -eu

missing=
# need COMMAND PACKAGE...
need() {
    command=$1
    shift
    command -v "$command" > /dev/null 2>&1 || missing="$missing $*"
}
# need_file PATTERN PACKAGE
need_file() {
    # shellcheck disable=SC2086 # a pattern is meant as one
    ls -d $1 > /dev/null 2>&1 || missing="$missing $2"
}

need cmake cmake
need make make
need cc gcc libc6-dev
need_file /usr/include/stdio.h libc6-dev
if [ "${1:-}" = test ]; then
    need gcc gcc
    need g++ g++
    need clang clang
    need nm binutils
    need python3 python3
    if [ "$(uname -m)" = x86_64 ]; then
        need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross
        need qemu-aarch64 qemu-user
    fi
    need_file '/usr/include/criterion/criterion.h' libcriterion-dev
    need_file '/usr/include/*/cblas.h' libopenblas-dev
    need clang-format clang-format
    # A GPU in software, and the headers for the GPU path.
    need_file '/usr/lib/*/libEGL.so.1' libegl1
    need_file '/usr/lib/*/libGLESv2.so.2' libgles2
    need_file '/usr/lib/*/dri/swrast_dri.so' libgl1-mesa-dri
    need_file '/usr/include/EGL/eglext.h' libegl-dev
    need_file '/usr/include/GLES3/gl31.h' libgles-dev
    # Reads the page that bench makes. Elsewhere than on Debian there is no such package.
    if grep -q '^ID=debian' /etc/os-release 2> /dev/null; then need chromium chromium; fi
fi

# shellcheck disable=SC2086 # words
set -- $(printf '%s\n' $missing | sort -u)
[ $# -gt 0 ] || exit 0
if ! command -v apt-get > /dev/null; then
    echo "setup: missing, and there is no apt-get to install it: $*" >&2
    exit 1
fi
as_root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo > /dev/null || {
        echo "setup: missing, and only root may install it: $*" >&2
        exit 1
    }
    as_root=sudo
fi
echo "setup: installing with apt-get: $*" >&2
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
try() {
    # Another apt-get may be at work: wait for its lock.
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@" \
        > "$log" 2>&1 < /dev/null
}
if ! { try update -q && try install -q -y --no-install-recommends "$@"; }; then
    tail -n 15 "$log" >&2
    echo "setup: apt-get failed" >&2
    exit 1
fi
rm -f "$log"
