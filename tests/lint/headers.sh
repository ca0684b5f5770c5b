#!/bin/sh
# Every header compiles by itself, and twice in one file.
# shellcheck source=tests/lint/verdict
. "$(dirname -- "$0")/verdict"
need_flags

sources src tests -- h hh > "$work/headers"
while read -r header; do
    case $header in
    *.hh) language=c++ compiler=${CXX:-c++} standard=gnu++17 ;;
    *) language=c compiler=${CC:-cc} standard=gnu11 ;;
    esac
    # shellcheck disable=SC2086,SC2090 # flags and compilers are lists of words
    printf '#include "%s"\n#include "%s"\n' "$root/$header" "$root/$header" |
        $compiler -x $language -std=$standard -Wall -Wextra -Werror -fsyntax-only $flags - \
            > "$work/messages" 2>&1 ||
        fault "$header: $(grep -m 1 -E 'error' "$work/messages")"
done < "$work/headers"
verdict "$(count "$work/headers") headers"
