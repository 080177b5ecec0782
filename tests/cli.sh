#!/bin/sh
# The program's exit codes and sentences: what goes wrong is said on standard error, in one
# sentence, with status 1 (the work failed) or 2 (the command line is wrong).
. "$(dirname "$0")/common.sh"

# check NAME STATUS SENTENCE COMMAND...: the status, a part of standard error (a pattern of grep -E;
# empty: nothing may be said), and nothing on standard output if the status is not 0.
check() {
    name=$1 want=$2 sentence=$3
    shift 3
    timeout 60 "$@" > "$work/out" 2> "$work/err" < /dev/null
    got=$?
    text=$(head -n 3 "$work/err")
    if [ $got != "$want" ]; then
        fail "$name" "status $got, wanted $want" "$text"
    elif [ -z "$sentence" ] && [ -n "$text" ]; then
        fail "$name" "unexpected: $text"
    elif [ -n "$sentence" ] && ! grep -Eq -- "$sentence" "$work/err"; then
        fail "$name" "said: $text" "wanted: $sentence"
    elif [ "$want" != 0 ] && [ -s "$work/out" ]; then
        fail "$name" "standard output is not empty"
    else
        pass "$name"
    fi
}

# ---- wrong usage

check no_command 2 'no command' "$CHORD"
check unknown_command 2 "no command 'rnu'; did you mean run" "$CHORD" rnu
check unknown_command_far 2 "no command 'zebra'" "$CHORD" zebra
check unknown_option 2 "no option '--tmep'; did you mean --temp" "$CHORD" run --tmep 1
check unknown_letter 2 "no option '-Z'" "$CHORD" run -Z
check missing_value 2 'needs a value' "$CHORD" run -n
check number_not_a_number 2 "not 'ten'" "$CHORD" run -n ten
check number_too_small 2 "at least 1, not '0'" "$CHORD" run -n 0
check number_negative 2 "not '-3'" "$CHORD" run -c -3
check number_too_large 2 "from 1 to 64, not '65'" "$CHORD" run -t 65
check number_overflow 2 "not '99999999999999999999'" "$CHORD" run -n 99999999999999999999
check number_with_tail 2 "not '1.5x'" "$CHORD" run --temp=1.5x
check number_nan 2 "not 'nan'" "$CHORD" run --temp nan
check number_hex 2 "not '0x10'" "$CHORD" run -n 0x10
check size_bad 2 "size as 512M or 2G, not '12Q'" "$CHORD" plan --memory 12Q
check size_overflow 2 "not '99999999999T'" "$CHORD" plan --memory 99999999999T
check size_zero 2 "not '0'" "$CHORD" plan --memory 0
check seed_negative 2 "not '-1'" "$CHORD" run --seed -1
check choice_bad 2 'one of q16.f16.f32.q8_0; did you mean f32' "$CHORD" run --kv f3
check cpu_bad 2 "cannot be 'sse9'" "$CHORD" kernels --cpu sse9
check flag_with_value 2 'takes no value' "$CHORD" run --hash=1
check list_with_hole 2 'commas between' "$CHORD" logits --tokens 1,,2
check list_empty 2 'commas between' "$CHORD" logits --tokens ''
check too_many_words 2 'one word too many' "$CHORD" tokenize a.gguf b.gguf
check words_where_none_belong 2 'one word too many' "$CHORD" kernels a.gguf
check export_without_a_file 2 'no file' "$CHORD" export-model
check logits_without_tokens 2 'no tokens' "$CHORD" logits -o "$work/l"
check logits_without_output 2 'no output' "$CHORD" logits --tokens 1
check template_bad 2 'one of chatml.llama2.alpaca; did you mean llama2' "$CHORD" chat --template llama
if has_builtin; then
    echo "skip no_model: this build has one built in"
else
    for command in "run -p hi" "tokenize -p hi" "logits --tokens 1 -o -" "perplexity -p hi" \
        inspect plan graph bench chat; do
        check "no_model_${command%% *}" 2 'no model: give one with -m FILE' "$CHORD" $command
    done
    check no_model_export-model 1 'no model built in' "$CHORD" export-model "$work/none.gguf"
fi

# ---- what works without a model

check version 0 '' "$CHORD" version
check version_option 0 '' "$CHORD" --version
check help 0 '' "$CHORD" --help
check kernels 0 '' "$CHORD" kernels
for command in run chat tokenize logits perplexity inspect plan graph kernels bench gate export-model; do
    check "help_$command" 0 '' "$CHORD" $command --help
done
if [ -c /dev/full ]; then
    check full_disk_help 1 'cannot write to standard output' sh -c "'$CHORD' --help > /dev/full"
    check full_disk_kernels 1 'cannot write to standard output' sh -c "'$CHORD' kernels > /dev/full"
fi

# ---- files that are no models

: > "$work/empty.gguf"
printf 'GGUF' > "$work/magic.gguf"
printf '<!DOCTYPE html><html><body>404: not found</body></html>' > "$work/page.gguf"
mkfifo "$work/fifo"
check file_missing 1 'missing.gguf' "$CHORD" inspect -m "$work/missing.gguf"
check file_is_a_directory 1 "$work" "$CHORD" inspect -m "$work"
check file_is_a_fifo 1 'fifo' "$CHORD" inspect -m "$work/fifo"
check file_is_a_device 1 'zero' "$CHORD" inspect -m /dev/zero
check file_empty 1 'empty' "$CHORD" inspect -m "$work/empty.gguf"
check file_magic_only 1 '^chord: ' "$CHORD" inspect -m "$work/magic.gguf"
check file_not_gguf 1 '^chord: ' "$CHORD" inspect -m "$work/page.gguf"
check file_name_empty 1 '^chord: ' "$CHORD" inspect -m ''
if [ "$(id -u)" = 0 ]; then
    echo "skip file_no_permission: root may read all files"
else
    printf 'GGUF' > "$work/secret.gguf"
    chmod 000 "$work/secret.gguf"
    check file_no_permission 1 'secret' "$CHORD" inspect -m "$work/secret.gguf"
fi

# ---- the built-in model

if has_builtin; then
    "$CHORD" export-model "$work/built.gguf"
    for command in inspect plan graph "tokenize -p hi" "perplexity -p hello" "logits --tokens 1,2 -o -" \
        "run -p hi -n 9 --temp 0 -q"; do
        "$CHORD" $command > "$work/a" && "$CHORD" $command -m "$work/built.gguf" > "$work/b"
        same "builtin_${command%% *}_is_that_of_the_exported_file" "$work/a" "$work/b"
    done
    check builtin_is_named_by_run 0 'model .* \(built in\)' "$CHORD" run -p hi -n 3
    check builtin_bench 0 '' "$CHORD" bench -p 8 -n 4 -r 2
    "$CHORD" bench -r 1 > "$work/out" 2> "$work/err" && grep -q '^| tg' "$work/out"
    report builtin_bench_by_default $? "$(head -n 3 "$work/err")"
    check export_refuses_what_is_there 1 'is there already' "$CHORD" export-model "$work/built.gguf"
    check export_by_force 0 '' "$CHORD" export-model "$work/built.gguf" --force
    check export_no_folder 1 'cannot write' "$CHORD" export-model "$work/no/model.gguf"
    "$CHORD" export-model - > "$work/a"
    same export_to_standard_output "$work/a" "$work/built.gguf"
    if [ -c /dev/full ]; then
        check export_full_disk 1 'cannot write' "$CHORD" export-model -o /dev/full --force
        check export_full_standard_output 1 'cannot write' sh -c "'$CHORD' export-model - > /dev/full"
    fi
    # As on a full disk: a part of a file does not get the name.
    (ulimit -f 100 && trap '' XFSZ && "$CHORD" export-model "$work/part.gguf") 2> "$work/err"
    status=$?
    [ $status = 1 ] && grep -q 'cannot write' "$work/err" && [ -z "$(ls "$work"/part.gguf* 2> /dev/null)" ]
    report export_leaves_no_part $? "status $status" "$(head -n 3 "$work/err")" "$(ls "$work")"
else
    echo "skip the built-in model: this build has none"
fi

# ---- with a model

if [ -z "$MODEL" ]; then
    echo "skip the rest: no model, and no python3 to make one"
    finish
fi
bytes=$(wc -c < "$MODEL")
for part in 1000 $((bytes / 2)) $((bytes - 1)); do
    head -c "$part" "$MODEL" > "$work/cut.gguf"
    check "file_cut_at_$part" 1 '^chord: ' "$CHORD" run -m "$work/cut.gguf" -p hi -n 1
done

check inspect 0 '' "$CHORD" inspect "$MODEL" --meta --tensors
check plan 0 '' "$CHORD" plan "$MODEL"
check graph 0 '' "$CHORD" graph "$MODEL"
check context_too_short 1 'context' "$CHORD" run -m "$MODEL" -c 4 -p "a b c d e f g h i j k" -n 1
check memory_too_small 1 '^chord: ' "$CHORD" run -m "$MODEL" --memory 1K -p hi -n 1
check memory_too_small_plan 1 '^chord: ' "$CHORD" plan -m "$MODEL" --memory 1K
check two_texts 2 'use one of them' "$CHORD" run -m "$MODEL" -p a -f b
check prompt_file_missing 1 'cannot read .*nothing.txt' "$CHORD" run -m "$MODEL" -f "$work/nothing.txt"
check prompt_file_directory 1 'cannot read' "$CHORD" run -m "$MODEL" -f "$work"
check prompt_without_tokens 1 'no tokens' "$CHORD" run -m "$MODEL" -p '' --no-bos
check token_out_of_range 2 '^chord: ' "$CHORD" logits -m "$MODEL" --tokens 1,99999999 -o "$work/l"
check logits_no_folder 1 'cannot write' "$CHORD" logits -m "$MODEL" --tokens 1 -o "$work/no/l"
check perplexity_too_short 1 'at least 2' "$CHORD" perplexity -m "$MODEL" -p ''
check run_works 0 'tokens written|ended|full' "$CHORD" run -m "$MODEL" -p hi -n 3
check run_quiet 0 '' "$CHORD" run -m "$MODEL" -p hi -n 3 -q
check seed_is_told 0 '^seed [0-9]+$' "$CHORD" run -m "$MODEL" -p hi -n 3
check bench_fits_a_short_context 0 '' \
    "$CHORD" bench -m "$MODEL" -c 40 -r 1
check bench_works 0 '' "$CHORD" bench -m "$MODEL" -p 8 -n 4 -r 2 -o json
if [ -c /dev/full ]; then
    for command in "run -p hi -n 3 -q" "tokenize -p hi" "inspect" "plan" "perplexity -p hello" \
        "logits --tokens 1 -o -"; do
        check "full_disk_${command%% *}" 1 'cannot write to standard output' \
            sh -c "'$CHORD' $command -m '$MODEL' > /dev/full"
    done
fi

# A reader that leaves ends the program, quietly.
"$CHORD" run -m "$MODEL" -p hi -q --ignore-eos 2> "$work/err" | head -c 1 > /dev/null
: > "$work/nothing"
same closed_pipe_is_quiet "$work/nothing" "$work/err"

# Options before and after, both spellings, a file, standard input: the same text.
"$CHORD" run -m "$MODEL" -p hello -n 8 --temp 0 -q > "$work/a"
"$CHORD" run --model="$MODEL" --prompt=hello --tokens=8 --temp=0 --quiet > "$work/b"
same long_options_are_the_same "$work/a" "$work/b"
printf hello > "$work/hello.txt"
"$CHORD" run "$MODEL" -f "$work/hello.txt" -n8 --temp 0 -q > "$work/b"
same prompt_from_a_file "$work/a" "$work/b"
printf hello | "$CHORD" run "$MODEL" -n 8 --temp 0 -q > "$work/b"
same prompt_from_standard_input "$work/a" "$work/b"
"$CHORD" run "$MODEL" -p hello -n 12 --seed 7 -q > "$work/a"
"$CHORD" run "$MODEL" -p hello -n 12 --seed 7 -q -t 3 -b 2 > "$work/b"
same same_seed_same_text_with_other_lanes_and_batch "$work/a" "$work/b"

# The bits do not depend on lanes, batch or destination.
"$CHORD" logits "$MODEL" --tokens 1,5,9,13,17,21,25,29,33,37,41 -o "$work/a" -t 1
"$CHORD" logits "$MODEL" --tokens 1,5,9,13,17,21,25,29,33,37,41 -o - -t 4 -b 3 > "$work/b"
same same_logits_with_other_lanes_and_batch "$work/a" "$work/b"
if [ -e "$work/a.part" ]; then fail no_temporary_is_left; else pass no_temporary_is_left; fi

# Nor on the instruction set (of a short prompt: AMX has its own bits for long ones).
"$CHORD" logits "$MODEL" --tokens 1,5,9,13,17,21,25,29,33,37,41 -o "$work/a" --cpu c
for level in avx2 avxvnni avx512 amx neon dotprod i8mm; do
    "$CHORD" logits "$MODEL" --tokens 1,5,9,13,17,21,25,29,33,37,41 -o "$work/b" --cpu $level
    same "same_logits_on_$level" "$work/a" "$work/b"
done

# JSON is JSON.
if command -v python3 > /dev/null; then
    for command in "inspect --json" "plan --json" "graph --json" "bench -p 4 -n 2 -r 1 -o json"; do
        if "$CHORD" $command -m "$MODEL" | python3 -m json.tool > /dev/null 2> "$work/err"; then
            pass "json_of_${command%% *}"
        else
            fail "json_of_${command%% *}" "$(head -n 2 "$work/err")"
        fi
    done
fi

# A model file that is cut short while in use ends with a sentence, not with a signal.
cp "$MODEL" "$work/shrinks.gguf"
"$CHORD" bench -m "$work/shrinks.gguf" -p 64 -n 256 -r 1000 > "$work/out" 2> "$work/err" &
process=$!
sleep 0.5
: > "$work/shrinks.gguf"
wait $process
status=$?
if [ $status = 1 ] && grep -q 'cut short while in use' "$work/err"; then
    pass cut_file_ends_with_a_sentence
else
    fail cut_file_ends_with_a_sentence "status $status" "$(tail -n 2 "$work/err")"
fi

# An interrupt stops the work: status 130, no complaint.
"$CHORD" bench -m "$MODEL" -p 64 -n 256 -r 1000 > "$work/out" 2> "$work/err" &
process=$!
sleep 0.5
kill -INT $process
wait $process
status=$?
if [ $status = 130 ] && [ ! -s "$work/err" ]; then
    pass interrupt_ends_with_130
else
    fail interrupt_ends_with_130 "status $status" "$(tail -n 2 "$work/err")"
fi
finish
