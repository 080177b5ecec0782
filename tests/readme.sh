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
finish
