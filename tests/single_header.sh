#!/bin/sh
# The single header compiles without a warning as C11 (pedantic), gnu17 and C++17 with every
# compiler that is here, and gives the same text and the same logits as the program.
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
    m.path = argc > 1 ? argv[1] : NULL;
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

strict="-Wall -Wextra -Werror -I$work"
for compiler in gcc clang; do
    if ! command -v $compiler > /dev/null; then
        echo "skip $compiler: not installed"
        continue
    fi
    # shellcheck disable=SC2086 # options are words
    for standard in c11 gnu17; do
        pedantic=
        [ $standard = c11 ] && pedantic=-pedantic
        compile "${compiler}_$standard" $compiler -std=$standard $pedantic -O2 $strict \
            "$work/hash.c" "$work/user.c" -o "$work/hash_${compiler}_$standard" -lm -pthread
    done
done
for compiler in g++ clang++; do
    if ! command -v $compiler > /dev/null; then
        echo "skip $compiler: not installed"
        continue
    fi
    # shellcheck disable=SC2086
    compile "${compiler}_c++17" $compiler -std=c++17 -O2 $strict "$work/hash.cpp" \
        -o "$work/hash_${compiler}" -lm -pthread
done
if command -v aarch64-linux-gnu-gcc > /dev/null; then
    # shellcheck disable=SC2086
    compile aarch64_c11 aarch64-linux-gnu-gcc -std=c11 -O2 $strict "$work/hash.c" \
        -o "$work/hash_aarch64" -static -lm -pthread
    rm -f "$work/hash_aarch64"
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
done

# The example of the README, as it stands there.
awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' README.md > "$work/example.c"
lines=$(wc -l < "$work/example.c")
if [ "$lines" -gt 0 ] && [ "$lines" -le 25 ]; then
    pass example_has_at_most_25_lines
else
    fail example_has_at_most_25_lines "$lines lines"
fi
compile example "$CC" -O2 -Wall -Wextra -Werror "$work/example.c" -o "$work/example" -lm -pthread
"$work/example" "$MODEL" > "$work/a"
"$CHORD" run -m "$MODEL" -p "Once upon a time" -n 64 --temp 0 -q > "$work/b"
if cmp -s "$work/a" "$work/b"; then
    pass example_writes_the_same_text
else
    fail example_writes_the_same_text "$(head -n 3 "$work/a")" "$(head -n 3 "$work/b")"
fi
finish
