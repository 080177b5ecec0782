// model: an open file: its mapping, directory, vocabulary and weights. Immutable once open.
#ifndef CH_MODEL_H
#define CH_MODEL_H

#include "../arena/os.h"
#include "arch.h"

struct chord_model {
    ch_os_map map; // empty if the bytes are the caller's
    ch_arena arena;
    ch_gguf gguf;
    ch_vocab vocab;
    ch_weights weights;
    char architecture[64], name[64];
};

#endif
