#!/bin/sh
# cppcheck finds nothing in the code; part of make analyse.
# shellcheck source=tests/lint/check.sh
. "$(dirname -- "$0")/check.sh"
need cppcheck cppcheck
need_build

sources src -- c cc > "$work/files"
cppcheck --quiet --error-exitcode=1 --std=c11 --std=c++17 --enable=warning,portability,performance \
    --inline-suppr --suppress=missingIncludeSystem --include="$build/config.h" -Isrc \
    --template='{file}:{line}: {message} [{id}]' --file-list="$work/files" \
    > "$work/messages" 2>&1 || cat "$work/messages" >> "$work/faults"
verdict "$(count "$work/files") files"
