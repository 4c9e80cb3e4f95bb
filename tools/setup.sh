#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs from the distribution what building (and, with --test, testing) needs and is missing.
# It lists the packages first. Without root or sudo it prints the command to run and fails.
#
#   tools/setup.sh [--test]
set -eu

build_packages="gcc libc6-dev make meson ninja-build pkg-config python3
    libmicrohttpd-dev libjansson-dev libcurl4-openssl-dev libssl-dev libpcre2-dev libedit-dev
    libpng-dev libturbojpeg0-dev libwebp-dev"
test_packages="libcmocka-dev clang libclang-rt-14-dev docker-registry skopeo curl procps
    gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user busybox-static prometheus tmux"

wanted=$build_packages
[ "${1:-}" = "--test" ] && wanted="$build_packages $test_packages"

if ! command -v dpkg-query >/dev/null 2>&1; then
    if command -v meson >/dev/null 2>&1 && command -v ninja >/dev/null 2>&1; then
        exit 0 # another distribution with the tools in place: meson names what it lacks
    fi
    echo "This is no Debian-like system. Please install the equivalents of:" >&2
    echo "   " $wanted >&2
    exit 1
fi

# Any node will do for the client SDKs; the distribution's is large.
if [ "${1:-}" = "--test" ] && ! { command -v node && command -v npm; } >/dev/null 2>&1; then
    wanted="$wanted nodejs npm"
fi

# A Docker engine for the tests, unless there is one from elsewhere, which the distribution's would
# replace.
if [ "${1:-}" = "--test" ] && ! command -v dockerd >/dev/null 2>&1 &&
    ! dpkg-query -W docker-ce-cli >/dev/null 2>&1; then
    wanted="$wanted docker.io"
fi

missing=""
for package in $wanted; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "Missing packages:$missing"
if [ "$(id -u)" = 0 ]; then
    sudo=""
elif command -v sudo >/dev/null 2>&1; then
    sudo="sudo"
else
    echo "Please run as root:  apt-get update && apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

echo "Installing them with ${sudo:+sudo }apt-get …"
install() {
    $sudo env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends $missing >/dev/null
}
# A machine that has its package lists needs no update; a fresh one has none.
install 2>/dev/null || { $sudo apt-get update -q >/dev/null && install; }
