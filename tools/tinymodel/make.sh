#!/bin/sh
# Makes chord-tiny.gguf anew: vocabulary, training, export, checks. Goes on where it was interrupted.
#
#   sh tools/tinymodel/make.sh
#
#   WORK=DIR      where the vocabulary, the checkpoint and the files made lie (build/tinymodel)
#   STEPS=N       steps of training (the number that the model card tells)
#   CHORD=FILE    the program (build/chord)
#   PYTHON=FILE   a Python with torch, numpy and sentencepiece (python3; on Debian: apt-get install
#                 python3-torch python3-numpy python3-sentencepiece, and PYTHON=/usr/bin/python3)
set -eu
cd "$(dirname "$0")/../.."
here=tools/tinymodel
work=${WORK:-build/tinymodel}
chord=${CHORD:-build/chord}
python=${PYTHON:-python3}
mkdir -p "$work"

"$python" -c 'import numpy, sentencepiece, torch' || {
    echo "make: $python lacks a module; see the head of $here/make.sh" >&2
    exit 1
}
[ -x "$chord" ] || {
    echo "make: $chord is not there; build it first, or name it with CHORD" >&2
    exit 1
}
echo "make: the checker checks itself"
"$python" $here/check.py --self-test
if [ ! -f "$work/vocabulary.model" ]; then
    echo "make: vocabulary"
    "$python" $here/vocabulary.py "$work"
fi
echo "make: training"
OMP_NUM_THREADS=1 "$python" $here/train.py "$work" ${STEPS:+--steps "$STEPS"}
echo "make: export"
"$python" $here/export.py "$work" "$work/chord-tiny-f32.gguf" --type f32
"$python" $here/export.py "$work" "$work/chord-tiny.gguf"
"$python" $here/export.py "$work" "$work/chord-tiny-f32.gguf" --compare "$chord"
echo "make: perplexity of held-out stories, F32 and Q8_0"
"$python" $here/check.py --chord "$chord" --perplexity "$work/chord-tiny-f32.gguf" "$work/chord-tiny.gguf"
echo "make: check"
"$python" $here/check.py --chord "$chord" -m "$work/chord-tiny.gguf"
echo "make: done: $work/chord-tiny.gguf"
