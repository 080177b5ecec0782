#!/bin/sh
# The single header compiles without a warning as C11 (pedantic), gnu17 and C++17 with every
# compiler that is here, and gives the same logits as the program, also with a model built in.
# tests/readme.sh holds the README's example to the program's text.
. "$(dirname "$0")/common.sh"

sh tools/amalgamate.sh "$work/chord.h" || exit 1

cat > "$work/hash.c" << 'END'
#define CHORD_IMPLEMENTATION
#include "chord.h"
#include <stdio.h>

int main(int argc, char **argv) {
    chord_model_desc m;
    chord_session_desc s;
    chord_generate_desc g;
    chord_error error;
    chord_stats stats;
    chord_model *model = NULL;
    chord_session *session = NULL;
    memset(&m, 0, sizeof m);
    memset(&s, 0, sizeof s);
    memset(&g, 0, sizeof g);
    if (argc > 1)
        m.path = argv[1];
    else
        m.data = chord_builtin_model(&m.data_bytes);
    g.max_tokens = 32;
    if (chord_model_open(&m, &model, &error) || chord_session_open(model, &s, &session, &error)) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    chord_session_hash(session, true);
    if (chord_session_prompt(session, "Once upon a time", CHORD_PROMPT_BOS) ||
        chord_session_generate(session, &g, NULL)) {
        fprintf(stderr, "%s\n", chord_session_error(session));
        return 1;
    }
    chord_session_get_stats(session, &stats);
    printf("logits hash %016llx\n", (unsigned long long)stats.logits_hash);
    chord_session_close(session);
    chord_model_close(model);
    return 0;
}
END
cp "$work/hash.c" "$work/hash.cpp"
cat > "$work/user.c" << 'END'
#include "chord.h"
#include "chord.h"
const char *user(void);
const char *user(void) {
    return chord_version();
}
END

# compile NAME COMMAND...: without a word from the compiler.
compile() {
    name=$1
    shift
    if "$@" > "$work/log" 2>&1 && [ ! -s "$work/log" ]; then
        pass "$name"
    else
        fail "$name" "$(head -n 12 "$work/log")"
    fi
}

# Some builds are whole, and run below; for the others it is enough that the text is accepted.
# shellcheck disable=SC2086 # options are words
build() {
    command -v "$1" > /dev/null || {
        echo "skip $1: not installed"
        return
    }
    compile "$1 $2" "$1" $2 -Wall -Wextra -Werror "-I$work" $3
}
c="$work/hash.c $work/user.c"
cpp="$work/hash.cpp"
libraries="-lm -pthread"
# There is no model in it unless one is named: gcc's is built without.
builtin=
[ -z "$MODEL" ] || builtin="-DCHORD_BUILTIN_MODEL=\"$work/built.gguf\""
[ -z "$MODEL" ] || cp "$MODEL" "$work/built.gguf"
build gcc "-std=c11 -pedantic -O1" "$c -o $work/hash_gcc $libraries"
build clang "-O1 $builtin" "$c -o $work/hash_clang $libraries"
build g++ "-std=c++17 -O2 $builtin" "$cpp -o $work/hash_g++ $libraries"
build aarch64-linux-gnu-gcc "-std=c11 -fsyntax-only" "$c"
build gcc "-std=gnu17 -fsyntax-only" "$c"
build clang "-std=c11 -pedantic -fsyntax-only" "$c"
build clang++ "-std=c++17 -fsyntax-only" "$cpp"
build clang++ "-std=c++20 -fsyntax-only" "$cpp"
if [ -f /usr/include/EGL/eglext.h ] && [ -f /usr/include/GLES3/gl31.h ]; then
    build gcc "-std=c11 -pedantic -fsyntax-only -DCHORD_GLES=1" "$c"
    build clang++ "-std=c++20 -fsyntax-only -DCHORD_GLES=1" "$cpp"
    build g++ "-std=c++17 -fsyntax-only -DCHORD_GLES=1" "$cpp"
fi

[ -n "$MODEL" ] || finish
want=$("$CHORD" run -m "$MODEL" -p "Once upon a time" -n 32 --temp 0 --hash 2>&1 > /dev/null |
    grep 'logits hash')
for program in "$work"/hash_*; do
    got=$("$program" "$MODEL" 2>&1)
    if [ -n "$want" ] && [ "$got" = "$want" ]; then
        pass "same_${program##*/}"
    else
        fail "same_${program##*/}" "program: $got" "chord:   $want"
    fi
    got=$("$program" 2>&1)
    case $program in
        *_gcc) printf '%s' "$got" | grep -q 'exactly one of path and data' ;;
        *) [ "$got" = "$want" ] ;;
    esac
    report "builtin_${program##*/}" $? "program: $got" "wanted:  $want"
done

finish
