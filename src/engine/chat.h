// chat: how a turn of a chat becomes tokens.
//
// Owns: the chat templates, as patterns in a table, and how a model's own is recognised. Refuses:
// templates that it does not have, vocabularies without a template's tokens. Invariant: control
// tokens come from the patterns alone, and a turn's tokens are those that it has in the whole chat
// written as one text.
#ifndef CH_CHAT_H
#define CH_CHAT_H

#include "../model/model.h"

typedef struct ch_chat_room {
    uint8_t *scratch; // for a turn's text and the tokenizer
    size_t scratch_bytes;
    chord_token *tokens; // where the turn's tokens go
    size_t capacity;
} ch_chat_room;

// The tokens of a turn; `first`: of a chat that begins, else after an answer that is to be closed.
// *count is how many there are, also if that is over the capacity (nothing past it is written).
CH_FN chord_result ch_chat_turn(const chord_model *model, const chord_chat_desc *desc, bool first,
                                const ch_chat_room *room, size_t *count, chord_error *error);

#endif
