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

# report NAME STATUS LINE...: passed if the status is 0.
report() {
    name=$1 status=$2
    shift 2
    if [ "$status" = 0 ]; then pass "$name"; else fail "$name" "$@"; fi
}

# same NAME A B: two files hold the same.
same() {
    if cmp -s "$2" "$3"; then pass "$1"; else fail "$1" "$(head -c 300 "$2")" "$(head -c 300 "$3")"; fi
}

# has_builtin: the program has a model built in.
has_builtin() {
    "$CHORD" inspect > /dev/null 2>&1
}

finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
    exit
}
