#!/bin/sh
# chord chat as a program: turns through a pipe and on a terminal, what each turn evaluates, what is
# never a control token, commands, refusals; and that the built-in model's answers fit.
. "$(dirname "$0")/common.sh"

if command -v python3 > /dev/null; then
    python3 tests/tiny_model.py "$work/chat.gguf" chat || exit 1
    TALKER=$work/chat.gguf
elif has_builtin; then
    "$CHORD" export-model "$work/chat.gguf" || exit 1
    TALKER=$work/chat.gguf
else
    echo "skipped: no model that chats, and no python3 to make one"
    exit 77
fi

# chat OPTION...: lines from standard input; answers in $work/out, the rest in $work/err, the status
# in $work/status (it runs in a pipe).
chat() {
    timeout 120 "$CHORD" chat -m "$TALKER" --temp 0 -n 12 "$@" > "$work/out" 2> "$work/err"
    echo $? > "$work/status"
}

# expect NAME STATUS SENTENCE: as the last chat ended; an empty sentence: nothing was said.
expect() {
    status=$(cat "$work/status")
    if [ $status != "$2" ]; then
        fail "$1" "status $status, wanted $2" "$(head -n 3 "$work/err")"
    elif [ -z "$3" ] && [ -s "$work/err" ]; then
        fail "$1" "unexpected: $(head -n 3 "$work/err")"
    elif [ -n "$3" ] && ! grep -Eq -- "$3" "$work/err"; then
        fail "$1" "said: $(head -n 3 "$work/err")" "wanted: $3"
    else
        pass "$1"
    fi
}

# figure TURN WORD: the number after WORD ("prefill", "decode") of a turn, from its figures.
figure() {
    sed -n "s/^turn $1: .*$2 \([0-9]*\) tokens.*/\1/p" "$work/err"
}

# equal NAME A B: two numbers, or words.
equal() {
    [ -n "$2" ] && [ "$2" = "$3" ]
    report "$1" $? "got '$2', wanted '$3'"
}

# tokens TEXT OPTION...: how many a text has. \n in it is a line's end.
tokens() {
    printf '%b' "$1" > "$work/text"
    shift
    "$CHORD" tokenize -m "$TALKER" -f "$work/text" "$@" | tr ',' '\n' | grep -c .
}

# ---- turns through a pipe

printf 'hello\nwho are you\ngood bye\n' | chat -v
expect three_turns 0 '^turn 3: '
cp "$work/out" "$work/three"
close='<|im_end|>\n'
equal turn_1_evaluates_all_of_it "$(figure 1 prefill)" \
    "$(tokens '<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n' --special)"
equal turn_2_evaluates_its_own_tokens_alone "$(figure 2 prefill)" \
    "$(tokens "$close"'<|im_start|>user\nwho are you<|im_end|>\n<|im_start|>assistant\n' --special --no-bos)"
equal turn_3_evaluates_its_own_tokens_alone "$(figure 3 prefill)" \
    "$(tokens "$close"'<|im_start|>user\ngood bye<|im_end|>\n<|im_start|>assistant\n' --special --no-bos)"
held=0
for turn in 1 2 3; do held=$((held + $(figure $turn prefill) + $(figure $turn decode))); done
equal all_of_it_is_held "$(sed -n 's/^turn 3: .*; \([0-9]*\) of .*/\1/p' "$work/err")" $held

printf 'hello\r\n\r\n\nwho are you\r\ngood bye' | chat
expect without_figures_nothing_is_said 0 ''
same line_ends_and_empty_lines_do_not_matter "$work/three" "$work/out"
printf 'who are you\ngood bye\n' | chat -p hello
same the_first_turn_on_the_command_line "$work/three" "$work/out"
printf 'hello\nwho are you\ngood bye\n' | chat -t 3 -b 5 --draft ngram
same lanes_batches_and_drafts_do_not_matter "$work/three" "$work/out"
printf 'hello\n/quit\nwho are you\n' | chat -v
expect quit_leaves 0 '^turn 1: '
equal quit_reads_no_further "$(grep -c '^turn' "$work/err")" 1
printf 'hello\nwho are you\n/clear\nhello\nwho are you\n' | chat -v
expect clear_begins_anew 0 '^turn 4: '
equal clear_forgets "$(figure 3 prefill) $(figure 4 prefill)" "$(figure 1 prefill) $(figure 2 prefill)"
printf '/help\n/hlep\nhello\n' | chat
expect commands_are_explained 1 'forget all that was said'
grep -q 'no command /hlep' "$work/err"
report unknown_commands_are_told $? "$(cat "$work/err")"
[ -s "$work/out" ]
report and_do_not_end_the_chat $?
: | chat
expect nothing_to_say 0 ''
printf 'a\0b \377\303\n\0\n' | chat -v
expect any_bytes_can_be_said 0 '^turn 2: '
head -c 300000 /dev/zero | tr '\0' 'a' > "$work/long"
{ echo hello; cat "$work/long"; printf '\n/clear\nhello\n'; } | chat -v
expect a_line_that_does_not_fit_is_refused 1 'more than a session of this context has room for'
equal and_the_chat_goes_on "$(figure 2 prefill)" "$(figure 1 prefill)"
{ echo hello; head -c 5000 "$work/long"; printf '\nhello\n'; } | chat -v
expect a_word_that_does_not_fit_is_refused 1 '^chord: '
equal and_the_chat_is_kept "$(figure 2 prefill)" \
    "$(tokens "$close"'<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n' --special --no-bos)"
# Turns of 36 and 38 positions: three fit, and an answer must have room.
for turn in 1 2 3 4 5 6 7 8 9; do echo hello; done | chat -v -c 128
expect older_turns_are_forgotten 0 'the context of 128 is full: turns forgotten: 2'
equal and_all_are_answered "$(grep -c '^turn' "$work/err")" 9
# After the fourth, the third is held and the fourth: as much as the first two took.
equal the_younger_half_is_held "$(figure 4 decode) $(sed -n 's/^turn 4: .*; //p' "$work/err")" \
    "$(figure 2 decode) $(sed -n 's/^turn 2: .*; //p' "$work/err")"
printf 'hello\n' | chat -c 40
expect the_first_turn_has_what_there_is 0 ''
printf 'hello\n' | chat -c 20
expect no_room_for_one_turn 1 'do not fit the 20 positions'
printf 'hello\n' | chat -c 30
expect an_answer_without_room_says_so 0 'answer was cut off: the context of 30 is full'
printf 'hello\n' | chat --system 'be brief' -v
equal the_system_text_is_evaluated "$(figure 1 prefill)" \
    "$(tokens '<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n' --special)"

# ---- what is typed is never a control token

for typed in '<|im_end|>' '<|im_start|>system' '</s><s>' '[INST] <<SYS>> [/INST]'; do
    printf '%s\n' "$typed" | chat -v
    parts=$(($(tokens "user\n$typed" --no-bos) + $(tokens '\n' --no-bos) + $(tokens 'assistant\n' --no-bos)))
    equal "typed_as_text: $typed" "$(figure 1 prefill)" $((parts + 4))
done

# ---- other templates, refusals

for template in llama2 alpaca; do
    printf 'hello\nwho are you\n' | chat --template $template -v
    expect "turns_of_$template" 0 '^turn 2: '
done
if [ -n "$MODEL" ] && ! "$CHORD" inspect -m "$MODEL" --meta | grep -q chat_template; then
    printf 'hello\n' > "$work/hello"
    TALKER=$MODEL
    chat < "$work/hello"
    expect no_template_is_refused 1 'no chat template; chord has chatml, llama2 and alpaca'
    chat --template chatml < "$work/hello"
    expect tokens_that_are_lacking_are_named 1 '<.im_start.>, which the vocabulary lacks'
    chat --template llama2 < "$work/hello"
    expect a_template_can_be_chosen 0 ''
    TALKER=$work/chat.gguf
fi
if [ -c /dev/full ]; then
    echo hello | "$CHORD" chat -m "$TALKER" > /dev/full 2> "$work/err"
    echo $? > "$work/status"
    expect full_disk 1 'cannot write to standard output'
fi

# ---- on a terminal, and signals

if command -v python3 > /dev/null; then
    # In a pipe an interrupt ends the chat: nobody must take a part for the whole.
    printf 'hello\nwho are you\n' > "$work/lines"
    "$CHORD" chat -m "$TALKER" --temp 0 -c 400000 < "$work/lines" > "$work/out" 2> "$work/err" &
    process=$!
    sleep 0.5
    kill -INT $process
    wait $process
    echo $? > "$work/status"
    expect interrupt_ends_with_130 130 ''
    timeout 120 python3 tests/chat_terminal.py "$CHORD" "$TALKER" > "$work/log" 2>&1
    report on_a_terminal $? "$(tail -n 5 "$work/log")"
fi

# ---- the built-in model: three turns about different things

if has_builtin && "$CHORD" inspect | grep -q '^name *chord'; then
    TALKER=$work/built.gguf
    "$CHORD" export-model "$TALKER"
    request='Tell me a story about a rabbit and a kite.'
    printf '%s\n' 'Tell me a story about a fox who lost her hat.' "$request" \
        'Tell me a story about a bear and a drum.' > "$work/requests"
    timeout 120 "$CHORD" chat --temp 0 -q -v < "$work/requests" > "$work/err" 2>&1
    echo $? > "$work/status"
    expect builtin_three_turns 0 '^turn 3: '
    equal builtin_turn_2_evaluates_its_own_tokens_alone "$(figure 2 prefill)" \
        "$(tokens "$close<|im_start|>user\n$request<|im_end|>\n<|im_start|>assistant\n" --special --no-bos)"
    # The answers fit: each is about what was asked for. The figures stand between them.
    turn=1
    for things in 'fox hat' 'rabbit kite' 'bear drum'; do
        awk -v turn=$turn '/^turn [0-9]+: prefill/ { n++; next } n == turn - 1' "$work/err" > "$work/answer"
        for thing in $things; do
            grep -qiw "$thing" "$work/answer"
            report "builtin_answer_${turn}_has_the_$thing" $? "$(head -c 300 "$work/answer")"
        done
        turn=$((turn + 1))
    done
else
    echo "skip the built-in model: this build has none"
fi
finish
