#!/bin/sh
# Proves the gates: every slowdown planted on purpose must turn them red, and the program against
# itself must stay green. Prints both rates.
#
#   sh bench/prove.sh [A/A-RUNS [BUILD]]
#
# 40 runs of A/A and the folder build/ if nothing is said. Exit status 0 when all plants are caught
# and at most one run in 40 of A/A is red. It takes about half an hour on two quiet cores, most of it
# for the A/A runs.
set -eu
cd "$(dirname "$0")/.."
runs=${1:-40}
build=${2:-build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

[ -f "$build/CMakeCache.txt" ] || cmake -B "$build" > /dev/null
cmake --build "$build" -j "$(nproc)" --target chord plants > "$work/log" 2>&1 || {
    tail -n 20 "$work/log" >&2
    exit 1
}
# A file of its own for the other side: another inode, other pages.
cp "$build/chord" "$work/chord"

# red COMMAND...: whether the gates are red; how many seconds it took, and which of them, are left
# in $seconds and $which.
red() {
    begun=$(date +%s)
    "$@" > "$work/out" 2> "$work/err"
    status=$?
    seconds=$(($(date +%s) - begun))
    which=$(sed -n 's/^| \(.*\) | .* | .* | .* | FAILED\(.*\) |$/\1\2/p' "$work/out" | tr '\n' ';')
    case $status in
        0) return 1 ;;
        3) return 0 ;;
    esac
    cat "$work/err" >&2
    echo "prove: $* ended with $status" >&2
    exit 1
}

caught=0 plants=0
echo "| planted | tier | red | seconds | gates |"
echo "|---|---|---|---:|---|"
for plant in allocation barrier pass prefetch spin; do
    plants=$((plants + 1))
    case $plant in
        allocation | barrier)
            tier=exact
            set -- "$build/plant_$plant" gate --tier exact
            ;;
        *)
            tier=A/B
            set -- "$build/plant_$plant" gate --against "$work/chord"
            ;;
    esac
    if red "$@"; then
        caught=$((caught + 1))
        echo "| $plant | $tier | yes | $seconds | $which |"
    else
        echo "| $plant | $tier | NO | $seconds | |"
    fi
done

false=0 run=0 longest=0
while [ $run -lt "$runs" ]; do
    run=$((run + 1))
    if red "$build/chord" gate --against "$work/chord"; then
        false=$((false + 1))
        echo "| nothing, run $run | A/B | YES | $seconds | $which |"
    fi
    [ "$seconds" -le $longest ] || longest=$seconds
done
echo
echo "planted slowdowns caught: $caught of $plants"
echo "A/A runs that were red: $false of $runs; the longest took $longest s"
[ $caught = $plants ] && [ $((false * 40)) -le "$((runs > 40 ? runs : 40))" ]
