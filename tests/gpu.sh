#!/bin/sh
# Holds the program to its promises on a GPU: the reference texts and logits, within the least
# limits of OpenGL ES 3.1 too; and, with a driver that fails in every way, a sentence and the CPU.
. "$(dirname "$0")/common.sh"
need_model

if ! "$CHORD" devices > "$work/devices" 2>&1 || grep -q ' 0 usable$' "$work/devices"; then
    echo "skipped: no driver for OpenGL ES 3.1: $(tail -n 2 "$work/devices" | tr '\n' ' ')"
    exit 77
fi
grep -q ' usable$' "$work/devices" && pass devices_lists_what_is_usable
head -n 2 "$work/devices"

text="Once upon a time"
run() {
    "$CHORD" run -m "$MODEL" -p "$text" -n 24 --temp 0 --kv f32 -q "$@"
}
run > "$work/cpu" 2> /dev/null

# ---- the same text

same() {
    name=$1
    shift
    if run "$@" > "$work/gpu" 2> "$work/err" && cmp -s "$work/cpu" "$work/gpu" &&
        [ ! -s "$work/err" ]; then
        pass "$name"
    else
        fail "$name" "$(cat "$work/err")" "$(diff "$work/cpu" "$work/gpu")"
    fi
}
same gpu_writes_the_text_of_the_cpu --device gpu-only
same gpu_writes_it_in_small_batches --device gpu-only -b 3
same gpu_writes_it_with_drafts --device gpu-only --draft ngram
same gpu_writes_it_within_the_least_limits --device gpu-only --gpu-minimums
same a_gpu_can_be_chosen --device gpu-only --gpu 1

if run --device gpu-only --gpu 64 > /dev/null 2> "$work/err"; then
    fail a_gpu_that_is_not_there_is_refused
elif grep -q 'there is no GPU number 64' "$work/err"; then
    pass a_gpu_that_is_not_there_is_refused
else
    fail a_gpu_that_is_not_there_is_refused "$(cat "$work/err")"
fi

# ---- figures

# figure NAME PATTERN COMMAND...: the command's output has a line like that.
figure() {
    name=$1 pattern=$2
    shift 2
    if "$CHORD" "$@" > "$work/out" 2> "$work/err" && grep -Eq "$pattern" "$work/out"; then
        pass "$name"
    else
        fail "$name" "$(cat "$work/err")" "$(head -n 5 "$work/out")"
    fi
}
figure devices_are_measured 'copies at [0-9.]*[1-9][0-9.]* GB/s, computes at [0-9.]*[1-9]' devices --measure
figure ops_are_timed 'matvec__gles .* [0-9.]*[1-9][0-9.]* us' graph -m "$MODEL" --device gpu-only --time
figure the_plan_tells_device_bytes '^total on the GPU  *[1-9]' plan -m "$MODEL" --device gpu
figure bench_has_the_roof_of_the_device '^[1-9][0-9]* dispatches a token. The roof of ' bench -m "$MODEL" --device gpu-only -p 16 -n 4 -r 1
# ---- compiled shaders that are kept

export XDG_CACHE_HOME="$work/cache"
mkdir "$XDG_CACHE_HOME"
same gpu_writes_it_while_it_keeps_its_shaders --device gpu-only
kept=$(ls "$XDG_CACHE_HOME/chord" 2> /dev/null | wc -l)
if [ "$kept" = 0 ]; then
    echo "skip kept shaders: the driver gives none"
else
    same gpu_writes_it_with_kept_shaders --device gpu-only
    for file in "$XDG_CACHE_HOME"/chord/*; do printf 'broken' > "$file"; done
    same gpu_writes_it_with_broken_shaders --device gpu-only
    if grep -q '^broken$' "$XDG_CACHE_HOME"/chord/*; then
        fail broken_shaders_are_written_anew
    else
        pass broken_shaders_are_written_anew
    fi
    for file in "$XDG_CACHE_HOME"/chord/*; do # a byte in the middle of the driver's
        printf 'x' | dd of="$file" bs=1 seek=200 conv=notrunc 2> /dev/null
    done
    same gpu_writes_it_with_changed_shaders --device gpu-only
    for file in "$XDG_CACHE_HOME"/chord/*; do : > "$file"; done
    same gpu_writes_it_with_empty_shaders --device gpu-only
    if [ "$(id -u)" != 0 ]; then
        chmod 500 "$XDG_CACHE_HOME/chord"
        same gpu_writes_it_where_nothing_can_be_kept --device gpu-only
        chmod 700 "$XDG_CACHE_HOME/chord"
    fi
fi

# ---- reference data

check=../shared/check/golden.py
golden() {
    name=$1
    shift
    python3 $check "$@" > "$work/golden" 2>&1
    # A model that the CPU does not run either is no matter of the GPU's; one that the GPU path says
    # that it does not run is none of these tests'.
    python3 $check "$CHORD" --only "$3" 2> /dev/null | awk '$1 == "ok" { print $2 "/" $3 }' |
        sort > "$work/runs"
    bad=$(awk '$1 == "FAIL" && !/the GPU path/ { print $2 "/" $3 }' "$work/golden" | sort | comm -12 - "$work/runs")
    good=$(grep -c '^ok' "$work/golden")
    if [ -z "$bad" ] && [ "$good" -gt 0 ]; then
        pass "$name: $good cases"
    else
        fail "$name" "$bad" "$(grep FAIL "$work/golden")"
    fi
}
if [ -f $check ] && command -v python3 > /dev/null; then
    # The least limits through a program that adds the option.
    printf '#!/bin/sh\nexec "%s" "$@" --gpu-minimums\n' "$CHORD" > "$work/least"
    chmod +x "$work/least"
    for only in stories arch quant; do
        golden golden_$only "$CHORD" --only $only --device gpu-only
        golden golden_${only}_within_the_least_limits "$work/least" --only $only --device gpu-only
    done
else
    echo "skip golden: the golden data is not here"
fi

# ---- faults

# A driver that fails: on the CPU with a sentence, or, if strict, status 1 with it.
faulty() {
    fault=$1 sentence=$2
    shift 2
    if env FAULT=$fault "$@" LD_PRELOAD="$work/faults.so" "$CHORD" run -m "$MODEL" -p "$text" -n 24 \
        --temp 0 --kv f32 -q --device gpu > "$work/gpu" 2> "$work/err" &&
        cmp -s "$work/cpu" "$work/gpu" && grep -q "$sentence" "$work/err"; then
        pass "fault_$fault${1:+_$1}_goes_on_on_the_cpu"
    else
        fail "fault_$fault${1:+_$1}_goes_on_on_the_cpu" "$(cat "$work/err")" "$(cat "$work/gpu")"
    fi
    env FAULT=$fault "$@" LD_PRELOAD="$work/faults.so" "$CHORD" run -m "$MODEL" -p "$text" -n 24 \
        --temp 0 --kv f32 -q --device gpu-only > "$work/gpu" 2> "$work/err"
    status=$?
    if [ $status = 1 ] && grep -q "$sentence" "$work/err"; then
        pass "fault_$fault${1:+_$1}_ends_if_strict"
    else
        fail "fault_$fault${1:+_$1}_ends_if_strict" "status $status" "$(cat "$work/err")"
    fi
}
if ! $CC -shared -fPIC -D_GNU_SOURCE tests/gpu_faults.c \
    -o "$work/faults.so" -ldl 2> "$work/err"; then
    echo "skip faults: $(head -n 1 "$work/err")"
elif ! env LD_PRELOAD="$work/faults.so" "$CHORD" version > /dev/null 2>&1; then
    echo "skip faults: nothing can be loaded before this program"
else
    faulty missing 'there is no libEGL'
    faulty old 'have no glDispatchCompute'
    faulty compile 'does not compile the shader'
    faulty garbage 'computes a known kernel wrong'
    faulty memory 'gives no buffer of [0-9]* bytes'
    faulty lost 'was lost' FAULT_STEPS=3
    faulty lost 'was lost' FAULT_STEPS=9
fi

finish
