#!/bin/sh
# Every command in the README works: the lines of its ```sh blocks are run one by one, in a folder
# that has the sources, build/chord, build/chord.h and a model.gguf. A block after <!-- not run -->
# is left out (it is for a fresh checkout, and tools/test.sh does its work).
. "$(dirname "$0")/common.sh"
need_model

mkdir "$work/here" "$work/here/build"
for entry in "$root"/*; do
    case ${entry##*/} in build*) ;; *) ln -s "$entry" "$work/here/" ;; esac
done
cp "$MODEL" "$work/here/model.gguf"
ln -s "$CHORD" "$work/here/build/chord"
printf 'Once upon a time, there was a little girl named Lily.\n' > "$work/here/story.txt"
awk '/^<!-- not run -->/ { off = 1 }
     /^```c$/ { code = 1; next }
     /^```sh$/ { on = !off; off = 0; next }
     /^```$/ { on = 0; code = 0 }
     code { print > example }
     on && NF && $0 !~ /^#/ { print }' example="$work/here/example.c" README.md > "$work/commands"

if ! has_builtin; then
    echo "skip what wants the built-in model: this build has none"
    grep -vE 'chord (run|chat|bench|export-model)' "$work/commands" > "$work/some"
    grep -E 'chord (run|chat|bench).* -m ' "$work/commands" >> "$work/some"
    mv "$work/some" "$work/commands"
fi

cd "$work/here" || exit 1
number=0
while read -r line; do
    number=$((number + 1))
    if timeout 120 sh -c "$line" > "$work/out" 2> "$work/err" < /dev/null; then
        pass "$line"
    else
        fail "$line" "status $?" "$(tail -n 3 "$work/err")"
    fi
done < "$work/commands"
[ $number -gt 0 ] || fail "the README has commands"

# The example compiles without a warning, is short, and writes what the program writes.
lines=$(wc -l < example.c)
if [ "$lines" -gt 0 ] && [ "$lines" -le 25 ]; then
    pass "the example has at most 25 lines"
else
    fail "the example has at most 25 lines" "it has $lines"
fi
if "$CC" -fsyntax-only -Wall -Wextra -Werror -I build example.c 2> "$work/err"; then
    pass "the example compiles without a warning"
else
    fail "the example compiles without a warning" "$(head -n 5 "$work/err")"
fi
build/example model.gguf > "$work/a"
build/chord run -m model.gguf -p "Once upon a time" -n 64 --temp 0 -q > "$work/b"
if [ -s "$work/a" ] && cmp -s "$work/a" "$work/b"; then
    pass "the example writes what the program writes"
else
    fail "the example writes what the program writes" "$(head -n 3 "$work/a")" \
        "$(head -n 3 "$work/b")"
fi
finish
