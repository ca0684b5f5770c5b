#!/bin/sh
# Includes point down: the table is in the file layers.
# shellcheck source=tests/lint/verdict
. "$(dirname -- "$0")/verdict"

sources src -- c h cc hh > "$work/sources"
sed 's,^src/,,' "$work/sources" > "$work/files"
# shellcheck disable=SC2046 # paths of this tree have no spaces
awk -f tests/lint/layers.awk tests/lint/layers "$work/files" $(cat "$work/sources") \
    > "$work/faults" || fault "awk failed"
verdict "$(count "$work/sources") files"
