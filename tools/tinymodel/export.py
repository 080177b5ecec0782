"""Writes the trained model as GGUF, and holds it against PyTorch.

    python3 export.py WORK FILE [--type q8_0|f32]            WORK/checkpoint.pt to FILE
    python3 export.py WORK FILE --compare CHORD              FILE must be F32: largest difference
                                                             between chord's logits and PyTorch's

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; a Q8_0 block is a half float
d and 32 signed bytes q, which mean d * q.
"""
import argparse
import os
import random
import struct
import subprocess
import sys
import tempfile

import numpy as np
import torch

import generate
import model as llama
import vocabulary

ALIGNMENT = 32
F32, Q8_0 = 0, 8  # tensor types
U32, I32, FLOAT, BOOL, TEXT, ARRAY = 4, 5, 6, 7, 8, 9  # value types
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # token types

# ChatML, as the chats were written for training.
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + "
    "'<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
    "{% endif %}"
)


def text_bytes(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def value_bytes(kind, value):
    if kind == TEXT:
        return text_bytes(value)
    return struct.pack({U32: "<I", I32: "<i", FLOAT: "<f", BOOL: "<?"}[kind], value)


def entry(key, kind, value):
    head = text_bytes(key)
    if isinstance(value, list):
        return (
            head
            + struct.pack("<IIQ", ARRAY, kind, len(value))
            + b"".join(value_bytes(kind, v) for v in value)
        )
    return head + struct.pack("<I", kind) + value_bytes(kind, value)


def q8_0(weights):
    blocks = weights.reshape(-1, 32).astype(np.float32)
    scale = np.abs(blocks).max(1) / 127
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    quants = np.rint(blocks * inverse[:, None]).astype(np.int8)
    return b"".join(d.tobytes() + q.tobytes() for d, q in zip(scale.astype(np.float16), quants))


def interleave(weights, heads):
    """Rows i and i + half of a head, which turn together, next to each other."""
    rows, width = weights.shape
    pairs = weights.reshape(heads, 2, rows // heads // 2, width)
    return pairs.transpose(0, 2, 1, 3).reshape(rows, width)


def tensors(state):
    """(name, array), the names as llama.cpp has them for this architecture."""
    get = lambda name: state[name].float().numpy()
    yield "token_embd.weight", get("embedding.weight")
    for i in range(llama.LAYERS):
        here, there = f"layers.{i}.", f"blk.{i}."
        q, k, v = np.split(
            get(here + "qkv.weight"),
            [llama.HEADS * llama.HEAD, (llama.HEADS + llama.KV_HEADS) * llama.HEAD],
        )
        gate, up = np.split(get(here + "gate_up.weight"), 2)
        yield there + "attn_norm.weight", get(here + "attention_norm.weight")
        yield there + "attn_q.weight", interleave(q, llama.HEADS)
        yield there + "attn_k.weight", interleave(k, llama.KV_HEADS)
        yield there + "attn_v.weight", v
        yield there + "attn_output.weight", get(here + "out.weight")
        yield there + "ffn_norm.weight", get(here + "ffn_norm.weight")
        yield there + "ffn_gate.weight", gate
        yield there + "ffn_up.weight", up
        yield there + "ffn_down.weight", get(here + "down.weight")
    yield "output_norm.weight", get("norm.weight")


def metadata(words, file_type):
    pieces = range(words.vocab_size())
    kinds = [
        CONTROL
        if words.is_control(i)
        else UNKNOWN
        if words.is_unknown(i)
        else BYTE
        if words.is_byte(i)
        else NORMAL
        for i in pieces
    ]
    return [
        ("general.architecture", TEXT, "llama"),
        ("general.name", TEXT, "chord tiny"),
        (
            "general.description",
            TEXT,
            "Tells short stories. Trained on made-up texts; see tools/tinymodel.",
        ),
        ("general.license", TEXT, "mit"),
        ("general.alignment", U32, ALIGNMENT),
        ("general.quantization_version", U32, 2),
        ("general.file_type", U32, {F32: 0, Q8_0: 7}[file_type]),
        ("llama.vocab_size", U32, len(pieces)),
        ("llama.context_length", U32, llama.CONTEXT),
        ("llama.embedding_length", U32, llama.WIDTH),
        ("llama.block_count", U32, llama.LAYERS),
        ("llama.feed_forward_length", U32, llama.FFN),
        ("llama.attention.head_count", U32, llama.HEADS),
        ("llama.attention.head_count_kv", U32, llama.KV_HEADS),
        ("llama.attention.layer_norm_rms_epsilon", FLOAT, llama.EPSILON),
        ("llama.rope.dimension_count", U32, llama.HEAD),
        ("llama.rope.freq_base", FLOAT, llama.ROPE_BASE),
        ("tokenizer.ggml.model", TEXT, "llama"),
        ("tokenizer.ggml.pre", TEXT, "default"),
        ("tokenizer.ggml.tokens", TEXT, [words.id_to_piece(i) for i in pieces]),
        ("tokenizer.ggml.scores", FLOAT, [words.get_score(i) for i in pieces]),
        ("tokenizer.ggml.token_type", I32, kinds),
        ("tokenizer.ggml.bos_token_id", U32, vocabulary.BOS),
        ("tokenizer.ggml.eos_token_id", U32, vocabulary.EOS),
        ("tokenizer.ggml.eot_token_id", U32, vocabulary.END),
        ("tokenizer.ggml.unknown_token_id", U32, 0),
        ("tokenizer.ggml.add_bos_token", BOOL, True),
        ("tokenizer.ggml.add_eos_token", BOOL, False),
        ("tokenizer.ggml.add_space_prefix", BOOL, True),
        ("tokenizer.chat_template", TEXT, TEMPLATE),
    ]


def write(state, words, path, file_type):
    meta = metadata(words, file_type)
    table, data = b"", b""
    count = 0
    for name, array in tensors(state):
        kind = file_type if array.ndim == 2 else F32
        table += text_bytes(name) + struct.pack("<I", array.ndim)
        table += b"".join(struct.pack("<Q", n) for n in reversed(array.shape))
        table += struct.pack("<IQ", kind, len(data))
        data += q8_0(array) if kind == Q8_0 else array.astype("<f4").tobytes()
        data += b"\0" * (-len(data) % ALIGNMENT)
        count += 1
    head = b"GGUF" + struct.pack("<IQQ", 3, count, len(meta))
    head += b"".join(entry(*m) for m in meta) + table
    head += b"\0" * (-len(head) % ALIGNMENT)
    with open(path, "wb") as file:
        file.write(head + data)
    print(f"{path}: {len(head) + len(data)} bytes")


def load(work):
    words = vocabulary.load(os.path.join(work, "vocabulary.model"))
    state = torch.load(os.path.join(work, "checkpoint.pt"))["model"]
    return state, words


def compare(state, words, path, chord):
    """The largest difference of logits, relative to the largest logit, over some held-out texts."""
    model = llama.Model()
    model.load_state_dict(state)
    rng = random.Random("compare")
    worst = 0
    for _ in range(8):
        tokens, _, _ = vocabulary.encode(words, generate.document(rng, True))
        tokens = tokens[: llama.CONTEXT]
        with torch.no_grad():
            wanted = model(torch.tensor([tokens]))[0].numpy()
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "logits")
            subprocess.run(
                [
                    chord,
                    "logits",
                    "-m",
                    path,
                    "--kv",
                    "f32",
                    "--tokens",
                    ",".join(map(str, tokens)),
                    "-o",
                    out,
                ],
                check=True,
            )
            got = np.fromfile(out, "<f4").reshape(wanted.shape)
        worst = max(worst, np.abs(got - wanted).max() / np.abs(wanted).max())
    print(f"largest difference from PyTorch: {worst:.2e} of the largest logit")
    return worst <= 1e-4


def main():
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    options.add_argument("work")
    options.add_argument("file")
    options.add_argument("--type", choices=("q8_0", "f32"), default="q8_0")
    options.add_argument("--compare", metavar="CHORD")
    chosen = options.parse_args()
    state, words = load(chosen.work)
    if chosen.compare:
        sys.exit(not compare(state, words, chosen.file, chosen.compare))
    write(state, words, chosen.file, {"q8_0": Q8_0, "f32": F32}[chosen.type])


if __name__ == "__main__":
    main()
