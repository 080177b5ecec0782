# Read by the test scripts: the program, a model, counting.
#
# CHORD: the program (build/chord). MODEL: a model for the tests; absent: the golden data's, where
# they are, else a tiny one that is made with Python, else none.
set -u
cd "$(dirname "$0")/.." || exit 1
root=$(pwd)
CHORD=${CHORD:-$root/build/chord}
CC=${CC:-cc}
MODEL=${MODEL:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
passed=0 failed=0

if [ -z "$MODEL" ] && [ -f ../shared/golden/stories260k/model.gguf ]; then
    MODEL=$root/../shared/golden/stories260k/model.gguf
fi
if [ -z "$MODEL" ] && command -v python3 > /dev/null; then
    python3 tests/tiny_model.py "$work/tiny.gguf" && MODEL=$work/tiny.gguf
fi

# need_model: ends the script as skipped if there is no model.
need_model() {
    [ -n "$MODEL" ] && return
    echo "skipped: no model, and no python3 to make one"
    exit 77
}

pass() {
    passed=$((passed + 1))
    echo "ok   $1"
}

fail() {
    failed=$((failed + 1))
    echo "FAIL $1"
    shift
    for line in "$@"; do printf '     %s\n' "$line"; done
}

finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
    exit
}
