#!/bin/sh
# Every failure that a document can meet has its line in the table, and every line is met: the table is in the file
# failures.
# shellcheck source=tests/lint/verdict
. "$(dirname -- "$0")/verdict"

# Not on the way of a document.
elsewhere='/(child|conf|control|err|generations|lifeline|lockfile|log|main|master|permissions|privileges|queue_listen|queue_migrate|queue_operator|scoreboard|spool|startup)[_a-z]*\.|src/(ctl|web)'

# met FILE: "ERR_KIND code" for each error that it makes; err_errno() has one code for all. Comparisons are not makings.
met() {
    tr '\n\t' '  ' < "$1" | sed -E 's/[=!]= ERR_[A-Z_]+//g' |
        grep -oE '(err_errno\([^"]*)?ERR_[A-Z_]+[^";]*"[^"]*"' |
        sed -nE -e 's/^err_errno\(.*(ERR_[A-Z_]+)[^"]*".*/\1 system/p' -e t \
            -e 's/^.*(ERR_[A-Z_]+)[^"]*"([a-z][a-z0-9-]*)"$/\1 \2/p'
}

sources src -- c cc | grep -vE "$elsewhere" > "$work/sources"
while read -r file; do
    met "$file"
done < "$work/sources" | sort -u > "$work/met"
sed -e 's/#.*//' -e '/^ *$/d' tests/lint/failures > "$work/table"
awk '{ print $1, $2 }' "$work/table" | sort > "$work/known"
{
    awk 'NF != 3 || $3 !~ /^(fails|again|nobody|drop)$/ { print "tests/lint/failures: not \"kind code fate\": " $0 }' "$work/table"
    uniq -d "$work/known" | sed 's/^/stands twice in the table: /'
    comm -23 "$work/met" "$work/known" | sed 's,$,: has no line in tests/lint/failures: what becomes of the document?,'
    comm -13 "$work/met" "$work/known" | sed 's,$,: is in tests/lint/failures\, but nothing makes it,'
} >> "$work/faults"
verdict "$(count "$work/met") failures"
