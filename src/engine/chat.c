// chat: see chat.h.
//
// A turn is a pattern: plain text, with %T where the user's text goes, %S for the system pattern
// (empty if there is no system text) and in it %s for the system text, %< and %> for the tokens
// <|im_start|> and <|im_end|>, %e and %b for EOS and BOS. Plain text between two tokens is put
// together and tokenized at once, as it would be in the whole chat: some merges cross the border
// between a pattern and a text. It is tokenized without looking for control tokens.
//
// Sources: ChatML: github.com/openai/openai-python, v0.27, chatml.md. Llama 2:
// github.com/meta-llama/llama, llama/generation.py, dialog_prompt_tokens. Alpaca:
// github.com/tatsu-lab/stanford_alpaca, README.
#include "chat.h"

typedef struct chat_form {
    const char *name;
    const char *marks[2]; // a model's template with both of these is this one
    const char *system;   // pattern of the system text
    const char *turn;     // pattern of a turn, up to where the answer begins
    const char *close;    // pattern of what stands between an answer and the next turn
    const char *stop;     // ends an answer, where no token does
    const char *preamble; // the system text if none is given
} chat_form;

static const chat_form chat_forms[] = {
    {"chatml",
     {"<|im_start|>", "<|im_end|>"},
     "%<system\n%s%>\n",
     "%S%<user\n%T%>\n%<assistant\n",
     "%>\n",
     NULL,
     NULL},
    {"llama2",
     {"[INST]", "<<SYS>>"},
     "<<SYS>>\n%s\n<</SYS>>\n\n",
     "[INST] %S%T [/INST]",
     "%e%b",
     NULL,
     NULL},
    {"alpaca",
     {"### Instruction:", "### Response:"},
     "%s\n\n",
     "%S### Instruction:\n%T\n\n### Response:\n",
     "\n\n",
     "\n### ",
     "Below is an instruction that describes a task. Write a response that appropriately completes "
     "the request."},
};

// ---- which template

static bool chat_contains(ch_gguf_text text, const char *mark) {
    size_t bytes = strlen(mark);
    for (size_t i = 0; i + bytes <= text.bytes; i++)
        if (memcmp(text.at + i, mark, bytes) == 0) return true;
    return false;
}

chord_result chord_chat_detect(const chord_model *model, chord_chat_template *format,
                               chord_error *error) {
    if (!model || !format) return ch_fail(error, CHORD_ERROR_ARGUMENT, "model or format is NULL");
    ch_gguf_text text = {NULL, 0};
    chord_result result =
        ch_gguf_get_text(&model->gguf, "tokenizer.chat_template", false, &text, error);
    if (result) return result;
    if (!text.at)
        return ch_fail(error, CHORD_ERROR_UNSUPPORTED,
                       "the model names no chat template; chord has chatml, llama2 and alpaca: "
                       "choose the one that it was trained with");
    for (size_t i = 0; i < CH_COUNT(chat_forms); i++) {
        const char *const *marks = chat_forms[i].marks;
        if (!chat_contains(text, marks[0]) || !chat_contains(text, marks[1])) continue;
        *format = (chord_chat_template)(CHORD_CHAT_CHATML + i);
        return CHORD_OK;
    }
    char shown[48];
    return ch_fail(error, CHORD_ERROR_UNSUPPORTED,
                   "the model's chat template, \"%s\", is none that chord has: chatml, llama2 and "
                   "alpaca",
                   ch_printable(text.at, text.bytes, shown, sizeof shown));
}

// NULL for what is no template.
static const chat_form *chat_find(chord_chat_template format) {
    int32_t i = (int32_t)format - CHORD_CHAT_CHATML;
    return i >= 0 && i < (int32_t)CH_COUNT(chat_forms) ? &chat_forms[i] : NULL;
}

const char *chord_chat_stop(chord_chat_template format) {
    const chat_form *form = chat_find(format);
    return form ? form->stop : NULL;
}

// ---- writing a turn

typedef struct chat_writer {
    const ch_vocab *vocab;
    const chat_form *form;
    const char *text, *system;
    size_t text_bytes, system_bytes;
    ch_chat_room room;
    size_t used;  // bytes of the plain text that is being put together at the front of the scratch
    size_t count; // of tokens
    bool goes_on; // that text follows other text, not a token or nothing
    chord_error *error;
} chat_writer;

static chord_result chat_put_text(chat_writer *w, const char *text, size_t bytes) {
    if (bytes > w->room.scratch_bytes - w->used)
        return ch_fail(w->error, CHORD_ERROR_CONTEXT_FULL,
                       "a turn of %llu bytes is more than a session of this context has room for",
                       (unsigned long long)(w->text_bytes + w->system_bytes));
    if (bytes) memcpy(w->room.scratch + w->used, text, bytes);
    w->used += bytes;
    return CHORD_OK;
}

// Tokenizes the text that was put together; the scratch behind it is the tokenizer's.
static chord_result chat_flush(chat_writer *w) {
    chord_tokenize_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.text = (const char *)w->room.scratch;
    desc.text_bytes = w->used;
    desc.bos = -1;
    desc.goes_on = w->goes_on;
    desc.scratch = w->room.scratch + w->used;
    desc.scratch_bytes = w->room.scratch_bytes - w->used;
    w->used = 0;
    if (desc.text_bytes == 0) return CHORD_OK;
    w->goes_on = true;
    size_t at = CH_MIN(w->count, w->room.capacity), n = 0;
    chord_result result = ch_vocab_tokenize(w->vocab, &desc, w->room.tokens + at,
                                            w->room.capacity - at, &n, w->error);
    if (result && result != CHORD_ERROR_SPACE) return result;
    w->count += n;
    return CHORD_OK;
}

static chord_result chat_put_token(chat_writer *w, int32_t token, const char *name) {
    if (token < 0)
        return ch_fail(w->error, CHORD_ERROR_UNSUPPORTED,
                       "the chat template %s has the token %s, which the vocabulary lacks",
                       w->form->name, name);
    chord_result result = chat_flush(w);
    if (result) return result;
    if (w->count < w->room.capacity) w->room.tokens[w->count] = token;
    w->count++;
    w->goes_on = false;
    return CHORD_OK;
}

// Writes a pattern; that of the system text, which has no %S, is written within that of a turn.
static chord_result chat_put(chat_writer *w, const char *pattern) {
    static const char start[] = "<|im_start|>", end[] = "<|im_end|>";
    chord_result result = CHORD_OK;
    for (const char *p = pattern; *p && !result; p++) {
        if (*p != '%') {
            result = chat_put_text(w, p, 1);
            continue;
        }
        switch (*++p) {
        case '<':
            result = chat_put_token(w, ch_vocab_find_special(w->vocab, start), start);
            break;
        case '>':
            result = chat_put_token(w, ch_vocab_find_special(w->vocab, end), end);
            break;
        case 'e':
            result = chat_put_token(w, w->vocab->eos, "EOS");
            break;
        case 'b':
            if (w->vocab->bos >= 0) result = chat_put_token(w, w->vocab->bos, "BOS");
            break;
        case 'S':
            if (w->system_bytes) result = chat_put(w, w->form->system);
            break;
        case 's':
            result = chat_put_text(w, w->system, w->system_bytes);
            break;
        default:
            result = chat_put_text(w, w->text, w->text_bytes);
            break;
        }
    }
    return result;
}

static chord_result chat_check(const chord_model *model, const chord_chat_desc *desc, bool first,
                               chord_error *error) {
    if (model->vocab.count == 0)
        return ch_fail(error, CHORD_ERROR_UNSUPPORTED, "the file holds no vocabulary");
    if ((!desc->text && desc->text_bytes) || (!desc->system && desc->system_bytes))
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "text or system is NULL, and has bytes");
    if (desc->system && !first)
        return ch_fail(error, CHORD_ERROR_ARGUMENT,
                       "a system text belongs to the first turn, and the chat has begun");
    return CHORD_OK;
}

CH_FN chord_result ch_chat_turn(const chord_model *model, const chord_chat_desc *desc, bool first,
                                const ch_chat_room *room, size_t *count, chord_error *error) {
    chord_chat_template format = desc->format;
    chord_result result = chat_check(model, desc, first, error);
    if (!result && format == CHORD_CHAT_AUTO) result = chord_chat_detect(model, &format, error);
    if (result) return result;
    chat_writer w;
    memset(&w, 0, sizeof w);
    w.vocab = &model->vocab;
    w.form = chat_find(format);
    if (!w.form)
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "format is %d, which is no chat template",
                       (int)format);
    w.text = desc->text;
    w.text_bytes = desc->text_bytes;
    w.system = desc->system ? desc->system : w.form->preamble;
    w.system_bytes = desc->system ? desc->system_bytes : w.system ? strlen(w.system) : 0;
    if (!first) w.system_bytes = 0;
    w.room = *room;
    w.goes_on = !first;
    w.error = error;
    if (!first) result = chat_put(&w, w.form->close);
    if (first && w.vocab->add_bos && w.vocab->bos >= 0)
        result = chat_put_token(&w, w.vocab->bos, "BOS");
    if (!result) result = chat_put(&w, w.form->turn);
    if (!result) result = chat_flush(&w);
    *count = w.count;
    return result;
}
