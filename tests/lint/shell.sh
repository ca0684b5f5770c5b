#!/bin/sh
# Shell scripts, found by their first line, are sound.
# shellcheck source=tests/lint/check.sh
. "$(dirname -- "$0")/check.sh"
need shellcheck shellcheck

{
    find . -type f -not -path './.git/*' -not -path './build*' -not -path './autom4te*' \
        -not -name 'configure*' -exec grep -lIE -m 1 '^#! ?/(usr/)?bin/(env )?(ba|da)?sh' {} +
    echo ./tests/lint/check.sh
} | sort -u > "$work/scripts"
while read -r script; do
    head -n 1 "$script" | grep -q '^#!' || [ "$script" = ./tests/lint/check.sh ] || continue
    echo "$script"
done < "$work/scripts" > "$work/shell"
while read -r script; do
    shellcheck --external-sources -f gcc "$script" >> "$work/faults"
done < "$work/shell"
verdict "$(count "$work/shell") scripts"
