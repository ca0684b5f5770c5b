# shellcheck shell=bash
# What tools/demo and tools/check share: packages, the build, and not being root. Sourced, not run.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() {
    printf '%s\n' "$*" >&2
}

die() {
    say "$(basename "$0"): $*"
    exit 1
}

# Runs a command as root: as it is, or through sudo.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "root is needed to install packages, and there is no sudo: $*"
    fi
}

# packages_for GROUP...: the names in tools/packages.
packages_for() {
    local group
    for group in "$@"; do
        awk -v group="$group" '$1 == group { for (i = 2; i <= NF; i++) print $i }' "$top/tools/packages"
    done
}

# install_packages GROUP...: what is missing, through apt; says what.
install_packages() {
    local wanted missing=() name
    mapfile -t wanted < <(packages_for "$@")
    for name in "${wanted[@]}"; do
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "this is not Debian: install the equivalents of ${missing[*]}"
    say "Installing ${#missing[@]} Debian packages: ${missing[*]}"
    (
        trap unlock_services EXIT
        trap 'exit 130' INT TERM
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update >&2
        lock_services
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >&2
    ) || die "apt could not install the packages"
}

# A package's server must not start by itself: the demo and the tests run their own.
lock_services() {
    printf '#!/bin/sh\nexit 101\n' | as_root sh -c '[ -e /usr/sbin/policy-rc.d ] || { touch /usr/sbin/policy-rc.d.indexocr && cat >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d; }'
}

unlock_services() {
    as_root sh -c '[ ! -e /usr/sbin/policy-rc.d.indexocr ] || rm -f /usr/sbin/policy-rc.d /usr/sbin/policy-rc.d.indexocr'
}

# build DIRECTORY CONFIGURE-OPTION...: configures where that was not done, or the build system is newer; then makes.
build() {
    local dir=$1
    shift
    [ ! -e "$top/config.status" ] || die "this tree is configured in place: run \"make distclean\" first, and build in a directory of its own"
    mkdir -p "$dir"
    if [ ! -x "$top/configure" ] || [ "$top/configure.ac" -nt "$top/configure" ] || [ "$top/Makefile.am" -nt "$top/Makefile.in" ]; then
        say "Making configure"
        "$top/autogen.sh" >"$dir/autogen.log" 2>&1 || { tail -n 30 "$dir/autogen.log" >&2; die "autogen.sh failed"; }
    fi
    if [ ! -e "$dir/Makefile" ] || [ "$(cat "$dir/options" 2>/dev/null)" != "$*" ]; then
        say "Configuring $dir"
        (cd "$dir" && "$top/configure" -q "$@") >"$dir/configure.log" 2>&1 ||
            { tail -n 30 "$dir/configure.log" >&2; die "configure failed, see $dir/config.log"; }
        printf '%s' "$*" >"$dir/options"
    fi
    say "Building in $dir"
    make -C "$dir" -j"$(nproc)" --no-print-directory >"$dir/make.log" 2>&1 ||
        { grep -E 'error|Error' "$dir/make.log" | head -n 30 >&2; die "the build failed, see $dir/make.log"; }
}

# The account that runs servers and daemons where we are root: PostgreSQL refuses root, and so do our workers.
plain_user() {
    if [ "$(id -u)" = 0 ]; then
        printf 'nobody'
    else
        id -un
    fi
}

# exec_plain COMMAND...: becomes that command as that account; with "&" behind it, $! is the command's own pid.
exec_plain() {
    if [ "$(id -u)" = 0 ]; then
        exec setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups --inh-caps=-all -- "$@"
    else
        exec "$@"
    fi
}

as_plain() {
    (exec_plain "$@")
}
