#!/bin/sh
# Each check beside this one finds the fault that is planted for it in a small tree, and nothing in
# the tree before.
# shellcheck source=tests/lint/verdict
. "$(dirname -- "$0")/verdict"
need_build
need "${CC:-cc}" gcc

# A tree of one module, above one that is below it, sound in every way.
new_tree() {
    rm -rf "$work/tree"
    mkdir -p "$work/tree/src" "$work/tree/tests" "$work/tree/man" "$work/tree/build/src"
    cp -R tests/lint "$work/tree/tests/"
    sed -i '/^ERR_/d' "$work/tree/tests/lint/failures" # none is made there
    cp configure.ac Makefile.am .clang-format .clang-tidy "$work/tree/"
    cp "$build/config.h" "$work/tree/build/"
    cd "$work/tree" || exit 70
    printf '#ifndef BUF_H\n#define BUF_H\n\nint buf_len(int len);\n\n#endif\n' > src/buf.h
    printf '#include "buf.h"\n\nint buf_len(int len)\n{\n\treturn len + 1;\n}\n' > src/buf.c
    printf '#ifndef JSON_H\n#define JSON_H\n\nextern const char *const json_names[2];\n\nint json_len(int len);\n\n#endif\n' \
        > src/json.h
    cat > src/json.c << 'END'
#include "json.h"

#include "buf.h"

#include <stdio.h>

const char *const json_names[2] = {"one", "two"};

int json_len(int len)
{
	return printf("%d\n", buf_len(len));
}
END
    printf '.Dd November 1, 2026\n.Dt X 8\n.Os\n.Sh NAME\n.Nm x\n.Nd a page\n' > man/x.8
    compile
    cd "$root" || exit 70
}

compile() {
    ${CC:-cc} -c -Isrc -o build/src/json.o src/json.c
}

run() {
    script=$work/tree/tests/lint/$1
    [ -x "$script" ] || script=$script.sh
    env -u builddir "$script" > "$work/said" 2>&1
}

# finds CHECK WORDS: run behind a fault planted in the tree.
finds() {
    if run "$1"; then
        fault "$1 does not see: $2"
    else
        grep -qF -- "$2" "$work/said" ||
            fault "$1 does not say '$2' but: $(head -n 1 "$work/said")"
    fi
    planted=$((planted + 1))
    new_tree
}

# plant FILE TEXT: adds lines to a file of the tree.
plant() {
    printf '%b' "$2" >> "$work/tree/$1"
}

planted=0
new_tree
checks="headers layers failures sizes words one_library globals format shell manual cppcheck tidy"
for check in $checks; do
    run "$check" || fault "$check finds in a sound tree: $(head -n 1 "$work/said")"
done

plant src/err.h 'size_t err_len(void);\n'
finds headers 'src/err.h'
plant src/err.h 'enum { ERR_ONE };\n'
finds headers 'src/err.h'

plant src/buf.c '#include "json.h"\n'
finds layers 'buf.c:7: buf (level 3) includes json.h of json (level 6)'
plant src/worker.h '\n' && plant src/keeper.c '#include "worker.h"\n'
finds layers 'keeper (level 80) includes worker.h of worker (level 80)'
mkdir "$work/tree/src/helpers" && plant src/http.h '\n'
plant src/helpers/render_plan.c '#include "../http.h"\n'
finds layers 'helpers/render_plan.c:1: helpers/render (level 30) includes ../http.h of http (level 40)'
plant src/stray.c '\n'
finds layers 'stray.c: is in no module'

plant src/storage.c 'int f(void)\n{\n\treturn err_set(err, ERR_MISSING,\n\t\t"gone", "it is %%s", "away");\n}\n'
finds failures 'ERR_MISSING gone: has no line'
plant src/storage.c 'int f(void)\n{\n\treturn err_errno(err, ERR_SYSTEM, "cannot open %%s", a);\n}\n'
finds failures 'ERR_SYSTEM system: has no line'
plant tests/lint/failures 'ERR_MISSING gone again\n'
finds failures 'ERR_MISSING gone: is in tests/lint/failures, but nothing makes it'
plant tests/lint/failures 'ERR_MISSING gone perhaps\n'
finds failures 'not "kind code fate"'

plant src/json.c "\nint json_long(void)\n{\n$(printf '%078d' 0 | sed 's/0/\\n/g')\n\treturn 0;\n}\n"
finds sizes 'json_long() has 82 lines'
plant tests/long.py "$(printf '%0601d' 0 | sed 's/0/#\\n/g')"
finds sizes 'tests/long.py: 601 lines'

for call in strcpy strcat sprintf vsprintf strncpy system popen atoi mktemp; do
    plant src/json.c "\t$call(a);\n"
    finds words "$call(a)"
done
plant src/json.c '/* TO''DO */\n'
finds words 'TO''DO'
plant src/json.c '/* end */ \n'
finds words 'ends in white space'
plant tests/x.py '\tpass\n'
finds words 'has a tab'
plant src/json.c '        return;\n'
finds words 'indented by spaces'

plant src/json.c '#include <curl/curl.h>\n'
finds one_library 'src/json.c:13: includes <curl/curl.h>, which belongs to src/http.c'
plant src/json.c '#include <zlib.h>\n'
finds one_library 'includes <zlib.h>, which is in no line'

plant src/json.c 'int json_count;\n' && (cd "$work/tree" && compile)
finds globals 'json_count'
plant src/json.c 'int f(void);\nint f(void)\n{\n\tstatic int calls = 3;\n\treturn calls++;\n}\n'
(cd "$work/tree" && compile)
finds globals 'calls'
rm "$work/tree/build/src/json.o"
finds globals 'build first'

plant src/json.c 'int  json_bad(void);\n'
finds format 'src/json.c:'

# shellcheck disable=SC2016 # the unquoted word is the fault
plant tests/x '#!/bin/sh\nrm $1\n'
finds shell './tests/x:2'

plant man/x.8 '.Xy z\n'
finds manual 'man/x.8'

plant src/json.c 'int f(void);\nint f(void)\n{\n\tint a[2] = {0};\n\treturn a[2];\n}\n'
finds cppcheck 'src/json.c'
plant src/json.c 'int f(int *p);\nint f(int *p)\n{\n\tif (p == 0)\n\t\treturn *p;\n\treturn 0;\n}\n'
finds tidy 'src/json.c'

verdict "$planted faults planted"
