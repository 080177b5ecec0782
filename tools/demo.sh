#!/bin/sh
# Builds chord into build/ and lets a model write, with its speed.
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

golden=../shared/golden/stories260k/model.gguf
if [ -z "$model" ] && [ -f "$golden" ]; then model=$golden; fi

sh tools/setup.sh
echo "building into build/ ..." >&2
log=$(mktemp)
if ! { cmake -B build -DCHORD_TESTS=OFF && cmake --build build -j "$(nproc)"; } > "$log" 2>&1; then
    tail -n 20 "$log" >&2
    exit 1
fi
rm -f "$log"

if [ -z "$model" ]; then
    echo "demo: build/chord is built. It needs a model: any GGUF file of the llama architecture" \
        "will do; then: sh tools/demo.sh MODEL.gguf" >&2
    exit 1
fi
printf '%s' "$text"
build/chord run -m "$model" -p "$text" -n 128 --device "${DEVICE:-cpu}"
echo
build/chord bench -m "$model" -p 128 -n 32 -r 3 --device "${DEVICE:-cpu}"
