#!/bin/sh
# No variables that everybody can change: the writable data of the objects against the file globals.
# shellcheck source=tests/lint/verdict
. "$(dirname -- "$0")/verdict"
need_build
need nm binutils
set -f

# allowed FILE SYMBOL
allowed() {
    while read -r may_file may_symbol; do
        # shellcheck disable=SC2254 # they are meant as patterns
        case $1 in $may_file) case $2 in $may_symbol) return 0 ;; esac ;; esac
    done < "$work/allowed"
    return 1
}

grep -vE '^(#|$)' tests/lint/globals > "$work/allowed"
find "$build/src" -name '*.o' > "$work/objects"
[ -s "$work/objects" ] || fault "no objects under $build: build first"
# Constant tables that hold addresses are in .data.rel.ro, which the loader closes. Symbols that a
# compiler made begin with a dot, two underscores or DW.ref.
while read -r object; do
    nm --format=sysv --defined-only "$object" > "$work/symbols" 2>&1 ||
        fault "$object: $(head -n 1 "$work/symbols")"
    awk -F '|' -v object="$object" '
        { gsub(/ /, "", $1); gsub(/ /, "", $7) }
        ($7 ~ /^\.(data|bss|tdata|tbss)/ || $7 == "*COM*") && $7 !~ /^\.data\.rel\.ro/ &&
            $4 ~ /OBJECT|TLS/ && $1 !~ /^(__|\.|DW\.ref\.)/ { print object, $1 }
    ' "$work/symbols"
done < "$work/objects" | sort -u > "$work/found"
while read -r object symbol; do
    file=${object##*/}
    file=${file%.o}
    file=${file##*-}
    allowed "$file" "$symbol" ||
        fault "${object#"$build"/}: $symbol can be changed: make it const or a struct's member, or list it"
done < "$work/found"
verdict "$(count "$work/objects") objects, $(count "$work/found") variables"
