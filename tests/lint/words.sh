#!/bin/sh
# Calls that have no bound or start a shell, notes to oneself, and white space that nobody sees.
# shellcheck source=tests/lint/verdict
. "$(dirname -- "$0")/verdict"

# forbid WHY PATTERN LIST: PATTERN (extended) stands in none of the files that LIST names.
forbid() {
    # shellcheck disable=SC2046 # paths of this tree have no spaces
    grep -nHE -e "$2" $(cat "$3") /dev/null | sed "s/\$/    <- $1/" >> "$work/faults"
}

sources src tests -- c h cc hh > "$work/c"
forbid "has no bound; use snprintf, memcpy, buf.h or mem.h" \
    '(^|[^A-Za-z0-9_])(strcpy|stpcpy|strcat|strncpy|strncat|v?sprintf|gets|alloca)[[:space:]]*\(' \
    "$work/c"
forbid "starts a shell" '(^|[^A-Za-z0-9_])(system|popen)[[:space:]]*\(' "$work/c"
forbid "tells no error; use strtol" '(^|[^A-Za-z0-9_])ato(i|l|ll|f)[[:space:]]*\(' "$work/c"
forbid "is guessable; use O_TMPFILE or mkostemp" \
    '(^|[^A-Za-z0-9_])(mktemp|tmpnam|tempnam)[[:space:]]*\(' "$work/c"
forbid "is indented by spaces; make format" '^        ' "$work/c"

sources src tests tools bench -- py lua > "$work/spaced"
forbid "has a tab" "$(printf '\t')" "$work/spaced"

# Recognised texts under tests/data, and what a fuzzer is fed with, are what they are.
find . -type f -not -path './.git*' -not -path './build*' -not -path './autom4te*' \
    -not -path './tests/data/*' -not -path './tests/fuzz/corpus/*' -not -name Makefile.in -not -name 'configure' -not -name '*~' \
    -not -name aclocal.m4 -not -name 'config.h.in*' -not -name '*.pyc' \
    -exec grep -lI '' {} + | sort > "$work/texts"
forbid "is a note to oneself; do it, or open an issue" \
    '(^|[^A-Za-z_])(TO''DO|FIX''ME|XX''X)([^A-Za-z_]|$)' "$work/texts"
forbid "ends in white space" '[[:space:]]$' "$work/texts"
verdict "$(count "$work/texts") files"
