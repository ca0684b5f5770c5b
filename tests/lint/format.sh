#!/bin/sh
# The code is as clang-format 14 leaves it; 'make format' does it.
# shellcheck source=tests/lint/verdict
. "$(dirname -- "$0")/verdict"
clang_format=${CLANG_FORMAT:-$(command -v clang-format-14 || echo clang-format)}
need "$clang_format" clang-format-14

case $($clang_format --version) in
*"version 14."*) ;;
*) fault "$clang_format is not version 14; versions differ in what they find good" ;;
esac
sources src tests -- c h cc hh > "$work/files"
while read -r file; do
    $clang_format --dry-run -Werror "$file" > "$work/messages" 2>&1 ||
        fault "$(head -n 1 "$work/messages" | cut -d: -f1-2): not as formatted; make format"
done < "$work/files"
verdict "$(count "$work/files") files"
