#!/bin/sh
# Shell scripts, found by their first lines, are sound.
# shellcheck source=tests/lint/verdict
. "$(dirname -- "$0")/verdict"
need shellcheck shellcheck

find . -type f -not -path './.git/*' -not -path './build*' -not -path './autom4te*' \
    -not -path './tests/data/*' -not -name 'configure*' -exec grep -lI '' {} + | sort > "$work/texts"
while read -r file; do
    head -n 2 "$file" |
        grep -qE '^#! ?/(usr/)?bin/(env )?(ba|da)?sh|^# shellcheck shell=' && echo "$file"
done < "$work/texts" > "$work/scripts"
# SC2317: a function that only a trap calls looks unreachable to it.
while read -r script; do
    shellcheck --exclude=SC2317 --external-sources -f gcc "$script" >> "$work/faults"
done < "$work/scripts"
verdict "$(count "$work/scripts") scripts"
