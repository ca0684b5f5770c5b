#!/bin/sh
# No function over 80 lines, no file over 600 (a unit test, which is a table, over 800); the median function is shown, it should be at most
# 20. A function stands between "{" and "}" in the first column, as the formatter leaves it.
# shellcheck source=tests/lint/verdict
. "$(dirname -- "$0")/verdict"

sources src tests tools bench -- c h cc hh py sh sql lua > "$work/files"
while read -r file; do
    lines=$(count "$file")
    case $file in
    tests/unit/*) most=800 ;;
    *) most=600 ;;
    esac
    [ "$lines" -le "$most" ] || fault "$file: $lines lines, at most $most"
done < "$work/files"

sources src tests -- c cc > "$work/code"
# shellcheck disable=SC2046 # paths of this tree have no spaces
awk '
    FNR == 1 { start = 0; title = "" }
    /^[A-Za-z_].*\(/ { title = $0; sub(/\(.*/, "", title); sub(/.*[ *]/, "", title) }
    /^\{/ && title != "" { start = FNR; name = title }
    /^\}/ && start { print FNR - start + 1, FILENAME ":" start, name; start = 0 }
    /^\}|;$/ { title = "" }
' $(cat "$work/code") | sort -n > "$work/functions"
awk '$1 > 80 { print $2 ": " $3 "() has " $1 " lines, at most 80" }' "$work/functions" \
    >> "$work/faults"
functions=$(count "$work/functions")
[ "$functions" -gt 0 ] || fault "no function found: is the code formatted?"
median=$(awk -v middle=$(((functions + 1) / 2)) 'NR == middle { print $1 }' "$work/functions")
verdict "$(count "$work/files") files, $functions functions, median ${median:-0} lines"
