#!/bin/sh
# The gates: what a wrong gates file is told, what a run tells, new limits, and that slowdowns which
# are planted on purpose turn the gates red. bench/prove.sh is the long form of the last part.
. "$(dirname "$0")/common.sh"
build=$(dirname "$CHORD")

# check NAME STATUS SENTENCE COMMAND...: the status, and a part (a pattern of grep -E) of what is
# said on standard output or standard error; both stay in $work/out and $work/err.
check() {
    name=$1 want=$2 sentence=$3
    shift 3
    timeout 300 "$@" > "$work/out" 2> "$work/err" < /dev/null
    got=$?
    if [ $got != "$want" ]; then
        fail "$name" "status $got, wanted $want" "$(tail -n 3 "$work/err")" "$(tail -n 3 "$work/out")"
    elif [ -n "$sentence" ] && ! cat "$work/out" "$work/err" | grep -Eq -- "$sentence"; then
        fail "$name" "wanted: $sentence" "said: $(head -n 2 "$work/err")" "$(tail -n 3 "$work/out")"
    else
        pass "$name"
    fi
}

gates="$work/gates.json"
# wrong NAME SENTENCE: the gates file is refused with status 1 and a sentence that names the line.
wrong() {
    check "$1" 1 "chord: $gates:$2" "$CHORD" gate "$gates"
}

# ---- files that are none

check file_missing 1 'cannot read the gates file .*/none.json: No such file' "$CHORD" gate "$work/none.json"
check file_is_a_directory 1 'cannot read the gates file' "$CHORD" gate "$work"
head -c 2000000 /dev/zero > "$work/large"
check file_too_large 1 'is over 1048576 bytes' "$CHORD" gate "$work/large"
printf '' > "$gates"
wrong file_empty '1: wanted a value, got the end'
printf '[]\n' > "$gates"
wrong file_is_an_array '1: wanted an object with "version"'
printf '{"version": 2, "gates": []}' > "$gates"
wrong version '1: wanted "version": 1'
printf '{"version": 1}' > "$gates"
wrong no_gates '1: wanted "gates"'
printf '{\n "version": 1,\n "gate": []}' > "$gates"
wrong unknown_key '3: there is no key "gate"; did you mean "gates"'
printf '{\n"version": 1,\n"gates": [\n}' > "$gates"
wrong syntax "4: wanted a value, got '}'"
printf '{"version": 1,\n"version": 1}' > "$gates"
wrong double_key '2: the key "version" stands twice'
printf '{"version": 1, "about": "a\nb"}' > "$gates"
wrong string_over_lines '1: wanted the end of a string, got byte 10'
printf '{"version": 1, "about": "\\ud800"}' > "$gates"
wrong broken_surrogate '1: wanted the second half'
printf '{"version": 1, "about": "\377"}' > "$gates"
wrong not_utf8 '1: wanted UTF-8, got byte 255'
printf '{"version": 01}' > "$gates"
wrong leading_zero "1: wanted ',' or '}', got '1'"
printf '{"version": 1e999}' > "$gates"
wrong number_too_large '1: the number 1e999 is too large'
awk 'BEGIN { for (i = 0; i < 99; i++) printf "[" }' > "$gates"
wrong too_deep '1: more than 32 levels deep'
printf '{"version": 1, "gates": []} x' > "$gates"
wrong text_behind "1: wanted the end, got 'x'"

# one GATE: a file with a model and one gate in line 4.
one() {
    printf '{"version": 1, "models": {"m": {"synthetic": "q4_0"}}, "gates": [\n\n\n%s\n]}\n' "$1"
}
one '{"measure": "ops", "tier": "exact", "limit": 1}' > "$gates"
wrong no_name '4: the gate "\?" wants "name"'
one '{"name": "a", "tier": "exact", "limit": 1}' > "$gates"
wrong no_measure '4: the gate "a" wants "measure"'
one '{"name": "a", "measure": "opps", "tier": "exact"}' > "$gates"
wrong unknown_measure '4: "measure" cannot be "opps"; did you mean "ops"'
one '{"name": "a", "measure": "ops", "tier": "exakt"}' > "$gates"
wrong unknown_tier '4: "tier" cannot be "exakt"; did you mean "exact"'
one '{"name": "a", "measure": "ops", "tier": "share", "model": "m", "limit": 1}' > "$gates"
wrong tier_without_measure '4: gate "a": the tier "share" has no measure "ops"'
one '{"name": "a", "measure": "ops", "tier": "exact", "limit": 1}' > "$gates"
wrong no_model '4: gate "a": the measure "ops" wants "model" too'
one '{"name": "a", "measure": "ops", "tier": "exact", "model": "n", "limit": 1}' > "$gates"
wrong unknown_model '4: there is no model "n"'
one '{"name": "a", "measure": "ops", "tier": "exact", "model": "m"}' > "$gates"
wrong no_limit '4: the gate "a" wants "limit"'
one '{"name": "a", "measure": "ops", "tier": "exact", "model": "m", "limit": "x"}' > "$gates"
wrong limit_is_text '4: "limit" wants a number, or an object'
one '{"name": "a", "measure": "ops", "tier": "exact", "model": "m", "limit": -1}' > "$gates"
wrong limit_below_0 '4: a limit is below 0'
one '{"name": "a", "measure": "ops", "tier": "exact", "model": "m", "limit": {"avx3": 1}}' > "$gates"
wrong unknown_level '4: there is no instruction set "avx3"; did you mean "avx2"'
one '{"name": "a", "measure": "rmsnorm", "tier": "share", "k": 64, "row": 1, "limit": 1}' > "$gates"
wrong unknown_field '4: "row" does not belong here'
one '{"name": "a", "measure": "rmsnorm", "tier": "share", "k": 64.5, "limit": 1}' > "$gates"
wrong number_with_parts '4: "k" wants a whole number from 32 to 1048576, got 64.5'
one '{"name": "a", "measure": "matvec", "tier": "share", "type": "q4_k", "rows": 64, "k": 64, "limit": 1}' > "$gates"
wrong block_of_k '4: gate "a": k wants a multiple of 256'
one '{"name": "a", "measure": "rmsnorm", "tier": "ab", "k": 64},
{"name": "a", "measure": "rmsnorm", "tier": "ab", "k": 64}' > "$gates"
wrong double_name '5: the gate "a" stands in line 4 too'
printf '{"version": 1, "models": {\n"m": {"file": "a", "blocks": 2}}, "gates": []}' > "$gates"
wrong model_of_two_kinds '2: model "m" wants one of'
printf '{"version": 1, "models": {\n"m": {"synthetic": "q4_0", "heads": 7}}, "gates": []}' > "$gates"
wrong model_heads '2: model "m": heads must divide'

# ---- the command line

one '{"name": "number of ops", "measure": "ops", "tier": "exact", "model": "m", "limit": 1000}' > "$gates"
check only_nothing 2 "no gate of .* is chosen by 'numbr of ops'; did you mean 'number of ops'" \
    "$CHORD" gate "$gates" --only 'numbr of ops'
check only_a_part 0 '1 passed' "$CHORD" gate "$gates" --only 'of op'
check only_a_pattern 0 '1 passed' "$CHORD" gate "$gates" --only 'n*o?s'
check only_a_wrong_pattern 2 'is chosen by' "$CHORD" gate "$gates" --only 'n*o?'
check tier_without_gates 2 'holds no such gates' "$CHORD" gate "$gates" --tier share
check tier_ab_alone 2 'wants another program' "$CHORD" gate "$gates" --tier ab
check against_and_tier 2 'runs the tier ab, not exact' "$CHORD" gate "$gates" --against x --tier exact
check against_nothing 1 'cannot run the other program .*/none: No such file' \
    "$CHORD" gate "$gates" --against "$work/none"
cp /bin/sh "$work/another"
check against_another 1 'does not take part in gates' "$CHORD" gate "$gates" --against "$work/another"
check loosen_alone 2 'is for --update' "$CHORD" gate "$gates" --loosen
check list 0 '^\| number of ops \| exact \| ops \| 1000 \|' "$CHORD" gate "$gates" --list
check list_of_the_project 0 'gates, ' "$CHORD" gate --list
count=$(grep -c '"tier"' bench/gates.json)
if [ "$count" -ge 30 ]; then pass thirty_gates; else fail thirty_gates "$count"; fi
printf '{"version": 1, "models": {"m": {"file": "none.gguf"}}, "gates": [
{"name": "a", "measure": "ops", "tier": "exact", "model": "m", "limit": 1}]}' > "$work/absent.json"
check model_missing 1 'BROKEN: .*none.gguf' "$CHORD" gate "$work/absent.json"

# ---- verdicts and reports

ops=$("$CHORD" gate "$gates" -o json | sed -n 's/.*"measured":\([0-9]*\).*/\1/p')
sed "s/1000/$((ops - 1))/; s/number of ops/<\&\"\\\\\"'> \\\\u00e9/; s/\"\\\\\"/\\\\\"/" "$gates" > "$work/red.json"
check too_many_ops 3 'FAILED' "$CHORD" gate "$work/red.json"
check too_many_ops_junit 3 'failures="1"' "$CHORD" gate "$work/red.json" -o junit
if command -v python3 > /dev/null; then
    python3 - "$work/out" 2> "$work/err" << 'END_PYTHON' && pass junit_is_xml || fail junit_is_xml "$(tail -n 2 "$work/err")"
import sys, xml.etree.ElementTree as tree
suite = tree.parse(sys.argv[1]).getroot()[0]
case = suite[0]
assert suite.get('tests') == '1' and suite.get('failures') == '1' and suite.get('skipped') == '0'
assert case.get('name') == '<&"\'> \u00e9', case.get('name')
assert case.get('classname') == 'chord.gate.exact' and case[0].tag == 'failure'
assert 'limit' in case[0].get('message') and float(case.get('time')) >= 0
END_PYTHON
    "$CHORD" gate "$work/red.json" -o json > "$work/out"
    python3 - "$work/out" 2> "$work/err" << 'END_PYTHON' && pass json_is_json || fail json_is_json "$(tail -n 2 "$work/err")"
import json, sys
run = json.load(open(sys.argv[1]))
gate = run['gates'][0]
assert run['schema'] == 1 and run['failed'] == 1 and run['passed'] == 0
assert gate['verdict'] == 'failed' and gate['measured'] == gate['limit'] + 1
END_PYTHON
fi

if [ -n "$MODEL" ]; then
    cat > "$gates" << END_GATES
{"version": 1, "models": {"mine": {"file": "$MODEL"}}, "gates": [
    {"name": "calls", "tier": "exact", "measure": "allocations", "model": "mine", "limit": 0},
    {"name": "waits", "tier": "exact", "measure": "syscalls", "model": "mine", "lanes": 2, "limit": 0},
    {"name": "tg", "tier": "share", "measure": "decode", "model": "mine", "limit": 0.0001},
    {"name": "pp", "tier": "share", "measure": "prefill", "model": "mine", "tokens": 16, "limit": 0.0001},
    {"name": "parse", "tier": "share", "measure": "parse", "model": "mine", "limit": 0},
    {"name": "open", "tier": "share", "measure": "open", "model": "mine", "limit": 0},
    {"name": "words", "tier": "share", "measure": "tokenize", "model": "mine", "limit": 0},
    {"name": "choice", "tier": "share", "measure": "sample", "model": "mine", "limit": 0}
]}
END_GATES
    check own_model 0 ' 0 failed, [0-9]* skipped, 0 broken: 8 gates' "$CHORD" gate "$gates"
fi

# ---- new limits

cat > "$gates" << END_GATES
{"version": 1, "about": "kept as it is",
  "models": {"m": {"synthetic": "q4_0"}},
  "gates": [
    {"name": "tighter", "measure": "ops", "tier": "exact", "model": "m", "limit":   1000},
    {"name": "looser", "measure": "barriers", "tier": "exact", "model": "m", "limit": {"any": 1} },
    {"name": "same", "measure": "ops", "tier": "exact", "model": "m", "limit": $ops},
    {"name": "with a margin", "measure": "ops", "tier": "exact", "model": "m", "margin": 50, "limit": 1000}
  ]
}
END_GATES
cp "$gates" "$work/before.json"
sed "s/  1000}/  $ops}/; s/ 1000}/ $(((ops * 3 + 1) / 2))}/" "$gates" > "$work/wanted.json"
mkdir "$gates.part"
check update_that_cannot_write 1 'which stays as it was' "$CHORD" gate "$gates" --update
rmdir "$gates.part"
if cmp -s "$gates" "$work/before.json"; then pass nothing_half_written; else fail nothing_half_written; fi
check update_tightens 0 "^tighter: 1000 -> $ops, tighter" "$CHORD" gate "$gates" --update
if grep -q 'looser: 1 stays; [0-9]* would be looser' "$work/err"; then
    pass update_does_not_loosen
else
    fail update_does_not_loosen "$(cat "$work/err")"
fi
if cmp -s "$gates" "$work/wanted.json"; then
    pass update_changes_numbers_alone
else
    fail update_changes_numbers_alone "$(diff "$gates" "$work/wanted.json" | head -n 6)"
fi
check update_loosens_if_told 0 'looser: 1 -> [0-9]*, LOOSER' "$CHORD" gate "$gates" --update --loosen
check updated_gates_pass 0 '4 passed, 0 failed' "$CHORD" gate "$gates"
if [ -e "$gates.part" ]; then fail no_temporary_is_left; else pass no_temporary_is_left; fi
norm='"name": "norm", "measure": "rmsnorm", "tier": "share", "k": 2048'
printf '{"version": 1, "gates": [{%s, "limit": {}}]}' "$norm" > "$gates"
check column_missing 0 'skipped: it has no limit for' "$CHORD" gate "$gates"
check update_adds_a_column 0 'norm: new for' "$CHORD" gate "$gates" --update --margin 90
check share_passes 0 '1 passed' "$CHORD" gate "$gates"
printf '{"version": 1, "gates": [{%s, "limit": 9}]}' "$norm" > "$gates"
check share_fails 3 "FAILED at attempt 3: slower: [0-9]* % of the limit's speed" "$CHORD" gate "$gates"
one '{"name": "tg", "measure": "decode", "tier": "share", "model": "m", "limit": 9}' > "$gates"
check share_names_the_op 3 'furthest behind: [a-z]' "$CHORD" gate "$gates"

# ---- the project's own gates, and slowdowns on purpose

check exact_gates_pass 0 ' 0 failed' "$CHORD" gate --tier exact
if grep -q 'linked without counting' "$work/out"; then
    echo "skip planted slowdowns: this program does not count allocations"
    finish
fi
if ! cmake --build "$build" --target plants > "$work/log" 2>&1; then
    if [ -f "$build/CMakeCache.txt" ]; then
        fail plants_are_built "$(tail -n 5 "$work/log")"
    else
        echo "skip planted slowdowns: $build is no build folder"
    fi
    finish
fi
cp "$CHORD" "$work/chord"
check planted_barrier_is_red 3 '\| barriers \| .* FAILED' "$build/plant_barrier" gate --only barriers
check planted_allocation_is_red 3 'FAILED' "$build/plant_allocation" gate --only 'allocations*'
check planted_spin_is_red 3 'slower by' \
    "$build/plant_spin" gate --against "$work/chord" --only 'A/B tg'
check planted_pass_is_red_and_named 3 'most of it in output' \
    "$build/plant_pass" gate --against "$work/chord" --only 'A/B tg'
for run in 1 2 3; do
    check "same_program_is_green_$run" 0 ' 0 failed' \
        "$CHORD" gate --against "$work/chord" --only 'A/B *tg*'
done
finish
