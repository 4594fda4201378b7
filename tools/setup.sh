#!/bin/sh
# Installs what building clipgo needs and this machine lacks, where apt (as root) or Homebrew can; else says how to.
# usage: setup.sh            cmake
#        setup.sh aarch64    a cross compiler for 64-bit Arm, and qemu
#        setup.sh clang      clang
#        setup.sh simde      x86's wide instructions in plain C
set -eu

need() { # need COMMAND-OR-FILE DEBIAN-PACKAGES HOMEBREW-PACKAGES
    command -v "$1" >/dev/null 2>&1 || [ -e "$1" ] && return 0
    if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
        echo "setup: installing $2" >&2
        apt-get update -qq >/dev/null
        # shellcheck disable=SC2086
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $2 >/dev/null
    elif [ -n "$3" ] && command -v brew >/dev/null 2>&1; then
        echo "setup: installing $3" >&2
        # shellcheck disable=SC2086
        brew install --quiet $3
    elif command -v apt-get >/dev/null 2>&1; then
        echo "setup: $1 is missing: run 'sudo apt-get install $2', then this again" >&2
        exit 2
    else
        echo "setup: $1 is missing: install ${3:-$2} with your package manager, then run this again" >&2
        exit 2
    fi
}

case "${1:-}" in
'')
    command -v go >/dev/null 2>&1 || { echo "setup: go is missing: install Go 1.26 or later from https://go.dev/dl" >&2; exit 2; }
    command -v cc >/dev/null 2>&1 || need cc "gcc libc6-dev" ""
    need cmake cmake cmake
    ;;
aarch64)
    need aarch64-linux-gnu-gcc "gcc-aarch64-linux-gnu libc6-dev-arm64-cross" ""
    need qemu-aarch64 qemu-user ""
    ;;
clang)
    need clang clang ""
    ;;
simde)
    need /usr/include/simde/x86/avx512.h libsimde-dev ""
    ;;
*)
    echo "setup: unknown part $1: expected nothing, aarch64, clang or simde" >&2
    exit 2
    ;;
esac
