#!/bin/sh
# The benchmark: what its outputs hold, how lists are written, that a history is appended to in
# whole lines or not at all. No figure is judged: how fast a machine is, is nothing to test.
. "$(dirname "$0")/common.sh"
need_model

# check NAME STATUS SENTENCE COMMAND...: as in cli.sh.
check() {
    name=$1 want=$2 sentence=$3
    shift 3
    timeout 120 "$@" > "$work/out" 2> "$work/err" < /dev/null
    got=$?
    if [ $got != "$want" ]; then
        fail "$name" "status $got, wanted $want" "$(head -n 3 "$work/err")"
    elif [ -n "$sentence" ] && ! grep -Eq -- "$sentence" "$work/err"; then
        fail "$name" "said: $(head -n 3 "$work/err")" "wanted: $sentence"
    elif [ -z "$sentence" ] && [ -s "$work/err" ]; then
        fail "$name" "unexpected: $(head -n 3 "$work/err")"
    else
        pass "$name"
    fi
}

# holds NAME FILE: the Python on standard input, which has the JSON of FILE as `j`, raises nothing.
holds() {
    name=$1 file=$2
    { printf 'import json, statistics\nj = json.load(open("%s"))\n' "$file"; cat; } > "$work/holds.py"
    if python3 "$work/holds.py" > "$work/out2" 2>&1; then
        pass "$name"
    else
        fail "$name" "$(tail -n 2 "$work/out2")"
    fi
}

cp "$MODEL" "$work/a.gguf"
cp "$MODEL" "$work/b & <b>.gguf"
bench="$CHORD bench -m $work/a.gguf -p 8 -n 4"

# ---- what is refused

if has_builtin; then
    "$CHORD" bench -p 8 -n 4 -r 1 2> "$work/err" | grep -q '^| tg4 '
    report the_model_built_in $? "$(head -n 3 "$work/err")"
else
    check no_model 2 'no model' "$CHORD" bench
fi
check model_missing 1 'missing.gguf' "$CHORD" bench -m "$work/missing.gguf"
check second_model_missing 1 'missing.gguf' $bench -r 1 -m "$work/missing.gguf"
check unknown_option 2 "no option '--rouns'; did you mean --rounds" $bench --rouns 3
check unknown_output 2 "cannot be 'xml'" $bench -o xml
for list in 5-2 1- -4 1-4: 4-8:0 0-8*2 1-4*1 1:2 1-2-3 1,,2 x 1-x ''; do
    check "list_refused_'$list'" 2 'whole numbers with commas between, or ranges' $bench -d "$list"
done
check list_too_long 2 'whole numbers' $bench -d 0-1000000
check too_many_combinations 2 'combinations' $bench -t 1-20 -b 1-20
check context_too_short 1 'context of 8' $bench -c 8

# ---- what is printed

check table 0 '' $bench -r 2
for part in '^. pp8 ' '^. tg4 ' '^. tokenize ' '^. load ' '^The roof at ' '^Memory: planned'; do
    grep -q -- "$part" "$work/out" || fail "the table has $part" "$(cat "$work/out")"
done
check csv 0 '' $bench -r 2 -d 0-16:8 -t 1-2 -o csv
if [ "$(awk -F, '{ print NF }' "$work/out" | sort -u)" = 25 ] &&
    [ "$(wc -l < "$work/out")" = 21 ]; then
    pass "csv has a line for each test, as long as its head"
else
    fail "csv has a line for each test, as long as its head" "$(cat "$work/out")"
fi
if ! command -v python3 > /dev/null; then
    echo "skip what the JSON holds: no python3"
    finish
fi

check json 0 '' $bench -r 3 -o json --cold
holds "the JSON has what is documented" "$work/out" << 'END'
assert j['schema'] == 1 and j['commit'] and j['rounds'] == 3
assert {'cpu', 'isa', 'system', 'cores', 'cpus', 'memory_bytes', 'load'} == set(j['machine'])
names = [r['name'] for r in j['results']]
assert names == ['load', 'first_token', 'load_cold', 'first_token_cold', 'pp8', 'tg4', 'tokenize', 'sample'], names
for r in j['results']:
    assert len(r['samples']) == 3 and abs(r['median'] / statistics.median(r['samples']) - 1) < 1e-6, r
    assert r['low'] <= r['p10'] <= r['median'] <= r['p90'] <= r['high'] and 0 < r['confidence'] < 1, r
    assert r['unit'] in ('t/s', 'ms') and r['median'] > 0
    if r['kind'] in ('prompt', 'write'):
        assert r['gb_s'] > 0 and r['roof_share_low'] <= r['roof_share'] <= r['roof_share_high']
        assert r['limit'] in ('read', 'int8', 'f32', 'bf16')
    else:
        assert r['roof_share'] is None and r['limit'] is None
c, = j['configs']
for limit in ('read', 'int8', 'f32', 'bf16'):
    assert c['roof'][limit]['median'] > 0 and len(c['roof'][limit]['samples']) == 7
assert c['memory']['arena_bytes'] > 0 and c['disturbed'] is None or c['disturbed']
END
check json_of_many 0 '' "$CHORD" bench -m "$work/a.gguf" -m "$work/b & <b>.gguf" -p 8-16:8 -n 2-4*2 \
    -d 0,32 -t 1-2 -b 4,16 -r 1 -o json
holds "every combination is measured" "$work/out" << 'END'
assert len(j['configs']) == 8
names = [r['name'] for r in j['results'] if r['config'] == 7 and r['unit'] == 't/s']
assert names == ['pp8', 'pp16', 'tg2', 'tg4', 'pp8@d32', 'pp16@d32', 'tg2@d32', 'tg4@d32', 'tokenize', 'sample'], names
assert {(c['lanes'], c['batch']) for c in j['configs']} == {(t, b) for t in (1, 2) for b in (4, 16)}
assert j['configs'][7]['model'].endswith('b & <b>.gguf')
END
check json_of_ops 0 '' $bench -r 2 -o json --ops
holds "the ops add up to the test" "$work/out" << 'END'
profiles = j['configs'][0]['profiles']
assert [p['test'] for p in profiles] == ['pp8', 'tg4']
for p in profiles:
    assert sum(o['seconds'] for o in p['ops']) <= p['seconds'] * 1.0001
    assert all(o['bytes'] > 0 and o['flops'] >= 0 and o['count'] > 0 and o['limit'] for o in p['ops'])
    assert any(o['name'] == 'ffn_down' and o['kernel'].startswith('matvec') for o in p['ops'])
END
check json_of_kernels 0 '' "$CHORD" bench --kernels --cpu c -o json
holds "every kernel of the reference is timed" "$work/out" << 'END'
names = {k['name'] for k in j['kernels']}
assert all(n.endswith('__c') for n in names)
for n in ('matvec_q4_k__c', 'gemm_f32__c', 'rmsnorm__c', 'rope__c', 'attention_f16__c', 'roof_read__c', 'roof_f32__c', 'kv_store_q8_0__c', 'silu_glu__c', 'quantize_q8__c', 'dequantize_q6_k__c'):
    assert n in names, n
assert all(k['ns'] > 0 and (k['bytes'] > 0 or k['macs'] > 0) for k in j['kernels'])
END

# ---- history

history=$work/history.ndjson
check history_first 0 '' $bench -r 1 --history "$history"
check history_second 0 '' $bench -r 1 --history "$history" -o json
if [ "$(wc -l < "$history")" = 2 ] && tail -n 1 "$history" | cmp -s - "$work/out"; then
    pass "a run appends the line that it prints"
else
    fail "a run appends the line that it prints" "$(wc "$history")"
fi
cp "$history" "$work/before"
same_history() {
    if cmp -s "$history" "$work/before"; then pass "$1"; else fail "$1" "$(wc "$history")"; fi
}
check history_and_no_model 1 'missing.gguf' "$CHORD" bench -m "$work/missing.gguf" --history "$history"
same_history "a run that fails appends nothing"
check history_new_and_no_model 1 'missing.gguf' "$CHORD" bench -m "$work/missing.gguf" \
    --history "$work/new.ndjson"
if [ -e "$work/new.ndjson" ]; then fail "a run that fails leaves no file"; else pass "a run that fails leaves no file"; fi
check history_no_folder 1 'cannot append to .*no/h' $bench -r 1 --history "$work/no/h"
check history_is_a_folder 1 'cannot append to' $bench -r 1 --history "$work"
if [ -c /dev/full ]; then
    check history_full_device 1 'cannot append to /dev/full: No space' $bench -r 1 --history /dev/full
    check full_disk_page 1 'cannot write to standard output' sh -c "$bench -r 1 -o html > /dev/full"
fi
for i in 1 2 3 4; do
    "$CHORD" bench -m "$work/a.gguf" -p 8 -n 2 -r 1 --history "$work/many.ndjson" > "$work/out.$i" &
done
wait
if [ "$(wc -l < "$work/many.ndjson")" = 4 ] &&
    python3 -c 'import json, sys
for line in open(sys.argv[1]): json.loads(line)' "$work/many.ndjson" 2> "$work/err"; then
    pass "runs at the same time append whole lines"
else
    fail "runs at the same time append whole lines" "$(wc "$work/many.ndjson")" "$(tail -n 1 "$work/err")"
fi
# A file that may not grow far enough is a disk that fills up within the line.
blocks=$(($(wc -c < "$history") / 512 + 1))
check history_cut 1 'cannot append to' sh -c "trap '' XFSZ; ulimit -f $blocks; $bench -r 1 --history $history"
same_history "a line that does not fit is taken away again"
printf '{"half' >> "$history"
cp "$history" "$work/before"
check history_half 1 'does not end with a whole line' $bench -r 1 --history "$history"
same_history "a file with half a line is left alone"
"$CHORD" bench -m "$MODEL" -p 64 -n 256 -r 1000 --history "$work/cut.ndjson" > "$work/out" 2> "$work/err" &
process=$!
sleep 0.5
kill -INT $process
wait $process
status=$?
if [ $status = 130 ] && [ ! -e "$work/cut.ndjson" ] && [ ! -s "$work/out" ]; then
    pass "an interrupt writes nothing"
else
    fail "an interrupt writes nothing" "status $status"
fi

# ---- the page

head -n 2 "$work/before" > "$history"
check page 0 '' "$CHORD" bench -m "$work/a.gguf" -m "$work/b & <b>.gguf" -p 8 -n 4 -d 0,16,32 -t 1-2 \
    -r 2 --ops --history "$history" -o html
cp "$work/out" "$work/page.html"
cat > "$work/page.py" << 'END'
import re, sys
import xml.etree.ElementTree as tree
from html.parser import HTMLParser
text = open(sys.argv[1], encoding='utf-8').read()
open_tags = []
class Reader(HTMLParser):
    def handle_starttag(self, tag, attributes):
        assert tag != 'script' and not any(k in ('src', 'href') or k.startswith('on') for k, _ in attributes), tag
        if tag not in ('meta', 'br'): open_tags.append(tag)
    def handle_endtag(self, tag):
        assert open_tags.pop() == tag, (tag, self.getpos())
Reader().feed(text)
assert not open_tags, open_tags
assert 'http' not in text and '@import' not in text and 'url(' not in text and 'NaN' not in text and 'nan' not in text
pictures = re.findall(r'<svg.*?</svg>', text, re.S)
assert len(pictures) >= 4 + 4, len(pictures)  # a roofline for each configuration, depth and lanes
for p in pictures:
    root = tree.fromstring(p)
    _, _, width, height = map(float, root.get('viewBox').split())
    for c in root.iter('circle'):
        assert 0 <= float(c.get('cx')) <= width and 0 <= float(c.get('cy')) <= height, tree.tostring(c)
    assert root.findall('.//text') and root.findall('.//line')
for part in ('Results', 'Roofline', 'Against depth', 'Against lanes', 'Operations', 'History', 'b &amp; &lt;b&gt;.gguf'):
    assert part in text, part
END
if python3 "$work/page.py" "$work/page.html" > "$work/out" 2>&1; then
    pass "the page is well formed, and needs nothing from elsewhere"
else
    fail "the page is well formed, and needs nothing from elsewhere" "$(tail -n 3 "$work/out")"
fi
browser=
for name in chromium chromium-browser google-chrome; do
    if command -v $name > /dev/null; then browser=$name; fi
done
if [ -z "$browser" ]; then
    echo "skip the page in a browser: no chromium"
    finish
fi
sandbox=
if [ "$(id -u)" = 0 ]; then sandbox=--no-sandbox; fi
HOME=$work timeout 120 $browser --headless $sandbox --disable-gpu --user-data-dir="$work/profile" \
    --dump-dom "file://$work/page.html" > "$work/dom" 2> "$work/err"
drawn=$(grep -o '<svg' "$work/dom" | wc -l)
if [ "$drawn" = "$(grep -o '<svg' "$work/page.html" | wc -l)" ] &&
    grep -q '<h2>Roofline</h2>' "$work/dom" && grep -q 'reading, [0-9.]* GB/s' "$work/dom"; then
    pass "a browser reads the page: $drawn pictures"
else
    fail "a browser reads the page" "$drawn pictures" "$(tail -n 2 "$work/err")"
fi
finish
