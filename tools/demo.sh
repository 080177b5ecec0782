#!/bin/sh
# Builds chord into build/ and lets a model write, the built-in one or yours, with its speed.
#
#   sh tools/demo.sh [MODEL.gguf [TEXT]]
#
# DEVICE=gpu in the environment: on a GPU, if there is one.
set -eu
start=$(pwd)
model=${1:-}
text=${2:-Once upon a time}
case $model in '' | /*) ;; *) model=$start/$model ;; esac
cd "$(dirname "$0")/.."

sh tools/setup.sh
echo "building into build/ ..." >&2
log=$(mktemp)
if ! { cmake -B build -DCHORD_TESTS=OFF && cmake --build build -j "$(nproc)"; } > "$log" 2>&1; then
    tail -n 20 "$log" >&2
    exit 1
fi
rm -f "$log"

# Without a model of yours: the built-in one.
if [ -z "$model" ] && ! build/chord inspect > /dev/null 2>&1; then
    echo "demo: build/chord is built, without a model. Any GGUF file of the llama architecture will" \
        "do; then: sh tools/demo.sh MODEL.gguf" >&2
    exit 1
fi
set -- ${model:+-m "$model"}
printf '%s' "$text"
device=${DEVICE:-cpu}
build/chord run "$@" -p "$text" -n 200 --device "$device" \
    --seed "$(date +%s)" # given, so that it is not told within the text
echo
if [ -z "$model" ]; then
    request="Tell me a story about a fox who lost her hat."
    echo "> $request"
    echo "$request" | build/chord chat --device "$device"
    echo
fi
build/chord bench "$@" -r 3 --device "$device"
