# Shared by the checks beside it, which source it: each calls fault for every finding and verdict
# at its end, and so prints one line, "ok <name>" or "FAIL <name>", behind its findings.
#
# A check runs in the source tree, from wherever it is called. Those that need a configured or
# built tree find it in $builddir, else in the directory they were called from, else in build/.
# shellcheck shell=sh disable=SC2034,SC2089 # what is set here is used by those that source it
set -u
export LC_ALL=C.UTF-8

name=$(basename "$0" .sh)
called_from=$PWD
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd) || exit 70
cd "$root" || exit 70
work=$(mktemp -d) || exit 71
trap 'rm -rf "$work"' EXIT
trap 'exit 70' HUP INT TERM
: > "$work/faults"

fault() {
    printf '%s\n' "$*" >> "$work/faults"
}

# verdict WHAT: ends the check; WHAT was looked at, "31 headers".
verdict() {
    if [ -s "$work/faults" ]; then
        sed 's/^/  /' "$work/faults"
        echo "FAIL $name ($1)"
        exit 1
    fi
    echo "ok $name ($1)"
    exit 0
}

# need PROGRAM PACKAGE
need() {
    command -v "$1" > /dev/null && return
    fault "$1 is not installed (Debian: $2)"
    verdict "not run"
}

# Sets build to a configured tree.
need_build() {
    for build in "${builddir:-}" "$called_from" "$root/build"; do
        [ -n "$build" ] && [ -f "$build/config.h" ] && return
    done
    fault "no configured tree: run it as 'make lint', or with builddir=DIRECTORY"
    verdict "not run"
}

# Sets flags to what every file compiles with. The libraries are those of configure.ac.
need_flags() {
    need_build
    need pkg-config pkg-config
    sed -n 's/^PKG_CHECK_MODULES(\[[A-Z]*\], \[\([^]]*\)\].*/\1/p' configure.ac > "$work/libraries"
    flags="-D_GNU_SOURCE -include $build/config.h -I$root/src -I$root/tests/unit
        -DSYSCONFDIR=\"/etc\" -DLOCALSTATEDIR=\"/var\" -DPKGLIBEXECDIR=\"/usr/libexec/indexocr\"
        -DPKGSYSCONFDIR=\"/etc/indexocr\" -DRUNSTATEDIR=\"/run\""
    while read -r library; do
        flags="$flags $(pkg-config --cflags "$library")" || fault "pkg-config knows no $library"
    done < "$work/libraries"
}

# sources FOLDER... -- SUFFIX...: the files of these kinds, sorted.
sources() {
    folders=
    while [ "$1" != -- ]; do
        [ -d "$1" ] && folders="$folders $1"
        shift
    done
    shift
    [ -n "$folders" ] || return 0
    for suffix; do
        # shellcheck disable=SC2086 # folders of this tree have no spaces
        find $folders -type f -name "*.$suffix"
    done | sort
}

count() {
    wc -l < "$1" | tr -d ' '
}
