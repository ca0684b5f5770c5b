#!/bin/sh
# Manual pages are sound mdoc.
# shellcheck source=tests/lint/verdict
. "$(dirname -- "$0")/verdict"
need mandoc mandoc

sources man -- 1 5 7 8 > "$work/pages"
while read -r page; do
    mandoc -T lint -W warning "$page" >> "$work/faults" 2>&1
done < "$work/pages"
verdict "$(count "$work/pages") pages"
