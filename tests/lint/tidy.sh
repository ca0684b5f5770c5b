#!/bin/sh
# clang-tidy finds nothing in the code; the checks are in .clang-tidy. Part of 'make analyse'.
# shellcheck source=tests/lint/check.sh
. "$(dirname -- "$0")/check.sh"
need clang-tidy clang-tidy
need_flags

# tidy SUFFIX STANDARD
tidy() {
    sources src -- "$1" > "$work/$1"
    # shellcheck disable=SC2016 # expanded by the inner shell
    xargs -r -P "$(nproc)" -n 4 sh -c '
        work=$1 flags=$2
        shift 2
        # shellcheck disable=SC2086
        clang-tidy --quiet --warnings-as-errors="*" "$@" -- $flags \
            > "$work/messages.$$" 2> "$work/noise.$$" ||
            cat "$work/messages.$$" "$work/noise.$$" > "$work/found.$$"
    ' tidy "$work" "-std=$2 $flags" < "$work/$1" || fault "clang-tidy could not be run"
}

tidy c gnu11
tidy cc gnu++17
find "$work" -name 'found.*' -exec cat {} + | grep -E ': (error|warning):' |
    sed "s,^$root/,," | sort -u >> "$work/faults"
cat "$work/c" "$work/cc" > "$work/files"
verdict "$(count "$work/files") files"
