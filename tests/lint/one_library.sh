#!/bin/sh
# One library, one file: the table is in the file one_library.
# shellcheck source=tests/lint/verdict
. "$(dirname -- "$0")/verdict"
set -f

# matches TEXT PATTERN...
matches() {
    text=$1
    shift
    for pattern; do
        # shellcheck disable=SC2254 # it is meant as a pattern
        case $text in $pattern) return 0 ;; esac
    done
    return 1
}

# judge FILE LINE HEADER
judge() {
    while read -r rule; do
        case $rule in '' | '#'*) continue ;; esac
        # shellcheck disable=SC2086 # a rule is a list of patterns
        matches "$3" ${rule%% : *} || continue
        # shellcheck disable=SC2086
        matches "$1" ${rule#* : } ||
            fault "$1:$2: includes <$3>, which belongs to ${rule#* : }"
        return
    done < tests/lint/one_library
    fault "$1:$2: includes <$3>, which is in no line of tests/lint/one_library"
}

sources src tests -- c h cc hh > "$work/files"
# shellcheck disable=SC2046 # paths of this tree have no spaces
grep -nHoE '^[[:space:]]*#[[:space:]]*include[[:space:]]*<[^>]+>' $(cat "$work/files") |
    sed -E 's/^([^:]*):([^:]*):.*<(.*)>$/\1 \2 \3/' > "$work/includes"
while read -r file line header; do
    judge "$file" "$line" "$header"
done < "$work/includes"
verdict "$(count "$work/includes") includes"
