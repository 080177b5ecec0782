"""The vocabulary: SentencePiece BPE with bytes, and text to tokens just as chord does it.

    python3 vocabulary.py WORK     trains WORK/vocabulary.model on texts of the generator
"""
import os
import random
import sys

import sentencepiece

import generate

TOKENS = 2048
BOS, EOS, START, END = 1, 2, 3, 4  # <s>, </s>, <|im_start|>, <|im_end|>


def train(path):
    """Trains a vocabulary on texts and writes it to `path`."""
    rng = random.Random(2024)
    generate.left_out = 0

    def lines():
        for _ in range(60000):
            for _, text, _ in generate.document(rng):
                yield text

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines(),
        model_prefix=os.path.splitext(path)[0],
        model_type="bpe",
        vocab_size=TOKENS,
        byte_fallback=True,
        character_coverage=1.0,
        num_threads=2,
        normalization_rule_name="identity",
        add_dummy_prefix=True,
        remove_extra_whitespaces=False,
        split_digits=True,
        control_symbols=["<|im_start|>", "<|im_end|>"],
        unk_id=0,
        bos_id=BOS,
        eos_id=EOS,
        pad_id=-1,
        minloglevel=1,
    )


def load(path):
    return sentencepiece.SentencePieceProcessor(model_file=path)


def clashing(vocabulary, body, first, clashes, at):
    """Which tokens those of a text must not be: only words that are one token are told. `first`:
    the place of body[0] among all tokens; `at`: that of the word whose space mark would begin it."""
    found = {}
    for i, token in enumerate(body):
        values = clashes.get(at)
        ids = [vocabulary.piece_to_id("\u2581" + value) for value in values] if values else []
        ids = [other for other in ids if other not in (token, vocabulary.unk_id())]
        if ids:
            found[first + i] = ids
        at += len(vocabulary.id_to_piece(token))
    return found


def encode(vocabulary, turns, spaced=False):
    """Tokens of a document, which of them the model has to foretell, and {place of a token: those
    that it must not be}.

    A chat is ChatML. After a control token a space mark is put in front of the text, as
    SentencePiece has it for the beginning of every text. `spaced`: what the user and the system say begins with a
    space, as it does in programs that tokenize it by itself.
    """
    if turns[0][0] == "text":
        body = vocabulary.encode(turns[0][1])
        clashes = clashing(vocabulary, body, 1, turns[0][2], 0)
        return [BOS] + body + [EOS], [0] + [1] * (len(body) + 1), clashes
    tokens, wanted, clashes = [BOS], [0], {}
    for role, text, of_text in turns:
        answer = role == "assistant"
        head = vocabulary.encode(role + "\n")
        body = vocabulary.encode(role + "\n" + (" " if spaced and not answer else "") + text)
        assert body[: len(head)] == head
        body = body[len(head) :]
        if answer:  # no space mark stands before it
            clashes.update(clashing(vocabulary, body, len(tokens) + 1 + len(head), of_text, 1))
        tail = vocabulary.encode("\n")
        tokens += [START] + head + body + [END] + tail
        wanted += [0] * (1 + len(head)) + [int(answer)] * (len(body) + 1) + [0] * len(tail)
    return tokens, wanted, clashes


if __name__ == "__main__":
    train(os.path.join(sys.argv[1], "vocabulary.model"))
