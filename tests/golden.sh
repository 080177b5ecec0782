#!/bin/sh
# Holds the program against reference logits, tokens and texts, where they are: ../shared/golden.
# What chord says that it runs must pass; cases of other models count as skipped until it does.
. "$(dirname "$0")/common.sh"
check=../shared/check/golden.py
[ -f $check ] || {
    echo "skipped: the golden data is not here"
    exit 77
}
claimed="tok/llama-spm tok/stories260k
arch/llama arch/llama-tied-hd24 arch/llama3-ropefreqs arch/llama-linear-rope arch/llama-yarn
quant/f16 quant/bf16 quant/q4_0 quant/q4_1 quant/q5_0 quant/q5_1 quant/q8_0 quant/q2_k
quant/q3_k_s quant/q3_k_m quant/q4_k_s quant/q4_k_m quant/q5_k_s quant/q5_k_m quant/q6_k
stories/greedy stories/perplexity"
python3 $check "$CHORD" > "$work/golden" 2>&1
awk -v claimed="$claimed" '
    BEGIN {
        n = split(claimed, names)
        for (i = 1; i <= n; i++) wanted[names[i]] = 1
    }
    $1 == "ok" || $1 == "FAIL" {
        name = $2 "/" $3
        seen[name] = 1
        if ($1 == "ok") pass++
        else if (name in wanted) fail++
        else {
            skip++
            $1 = "skip"
        }
        print
    }
    END {
        for (name in wanted)
            if (!(name in seen)) {
                print "FAIL " name " was not checked"
                fail++
            }
        printf "%d passed, %d failed, %d skipped\n", pass, fail, skip
        exit fail > 0
    }' "$work/golden"
