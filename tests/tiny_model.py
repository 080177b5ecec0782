#!/usr/bin/env python3
"""Writes a tiny model for the tests that need one and no more: architecture llama, two blocks,
random weights (always the same), a vocabulary of bytes and a few letter pairs.

  tiny_model.py OUT.gguf [chat]

With "chat" it has the tokens and the template of ChatML too, and at temperature 0 it writes without
end: control tokens are never the likeliest. Standard library only. The words it writes mean nothing.
"""
import random
import struct
import sys

U32, F32, BOOL, STR, ARR, I32 = 4, 6, 7, 8, 9, 5
WIDTH, FEED, BLOCKS, HEADS, HEADS_KV, CONTEXT = 64, 96, 2, 4, 2, 512


def text(s):
    return struct.pack('<Q', len(s)) + s


def value(kind, v):
    return text(v) if kind == STR else struct.pack({U32: '<I', F32: '<f', BOOL: '<?', I32: '<i'}[kind], v)


def entry(key, kind, v):
    return text(key.encode()) + struct.pack('<I', kind) + value(kind, v)


def array(key, kind, values):
    head = text(key.encode()) + struct.pack('<IIQ', ARR, kind, len(values))
    return head + b''.join(value(kind, v) for v in values)


CHATML = (b"{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] "
          b"+ '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}"
          b"{{ '<|im_start|>assistant\\n' }}{% endif %}")


def vocabulary(chat):
    tokens = [b'<unk>', b'<s>', b'</s>'] + [b'<0x%02X>' % i for i in range(256)]
    kinds = [2, 3, 3] + [6] * 256
    scores = [0.0] * len(tokens)
    space = '\u2581'.encode()
    pairs = [b'th', b'he', b'in', b'er', b'an', b're', b'on', b'at', space + b't', space + b'a']
    singles = [space] + [bytes([c]) for c in range(33, 127)]
    for i, token in enumerate(pairs + singles):
        tokens.append(token)
        kinds.append(1)
        scores.append(-float(i))
    if chat:
        tokens += [b'<|im_start|>', b'<|im_end|>']
        kinds += [3, 3]
        scores += [0.0, 0.0]
    return tokens, kinds, scores


def main():
    rng = random.Random(1)
    chat = sys.argv[2:] == ['chat']
    tokens, kinds, scores = vocabulary(chat)
    meta = [
        entry('general.architecture', STR, b'llama'), entry('general.name', STR, b'tiny'),
        entry('llama.context_length', U32, CONTEXT), entry('llama.embedding_length', U32, WIDTH),
        entry('llama.block_count', U32, BLOCKS), entry('llama.feed_forward_length', U32, FEED),
        entry('llama.attention.head_count', U32, HEADS),
        entry('llama.attention.head_count_kv', U32, HEADS_KV),
        entry('llama.attention.layer_norm_rms_epsilon', F32, 1e-5),
        entry('llama.rope.dimension_count', U32, WIDTH // HEADS),
        entry('llama.rope.freq_base', F32, 10000.0),
        entry('tokenizer.ggml.model', STR, b'llama'),
        array('tokenizer.ggml.tokens', STR, tokens), array('tokenizer.ggml.scores', F32, scores),
        array('tokenizer.ggml.token_type', I32, kinds),
        entry('tokenizer.ggml.unknown_token_id', U32, 0),
        entry('tokenizer.ggml.bos_token_id', U32, 1), entry('tokenizer.ggml.eos_token_id', U32, 2),
        entry('tokenizer.ggml.add_bos_token', BOOL, True),
    ]
    if chat:
        meta += [entry('tokenizer.ggml.eot_token_id', U32, len(tokens) - 1),
                 entry('tokenizer.chat_template', STR, CHATML)]
    head = WIDTH // HEADS
    shapes = [('token_embd.weight', (len(tokens), WIDTH))]
    for i in range(BLOCKS):
        shapes += [('blk.%d.%s.weight' % (i, name), shape) for name, shape in (
            ('attn_norm', (WIDTH,)), ('attn_q', (WIDTH, WIDTH)), ('attn_k', (HEADS_KV * head, WIDTH)),
            ('attn_v', (HEADS_KV * head, WIDTH)), ('attn_output', (WIDTH, WIDTH)),
            ('ffn_norm', (WIDTH,)), ('ffn_gate', (FEED, WIDTH)), ('ffn_up', (FEED, WIDTH)),
            ('ffn_down', (WIDTH, FEED)))]
    shapes += [('output_norm.weight', (WIDTH,)), ('output.weight', (len(tokens), WIDTH))]
    infos, blobs, offset = [], [], 0
    for name, shape in shapes:
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        spread = shape[-1] ** -0.5
        blob = struct.pack('<%df' % count, *([1.0] * count if len(shape) == 1 else
                                             [rng.gauss(0, spread) for _ in range(count)]))
        if chat and name == 'output.weight':
            row = 4 * WIDTH
            for control in (i for i, kind in enumerate(kinds) if kind == 3):
                blob = blob[:control * row] + bytes(row) + blob[(control + 1) * row:]
        blob += b'\0' * (-len(blob) % 32)
        infos.append(text(name.encode()) + struct.pack('<I', len(shape)) +
                     b''.join(struct.pack('<Q', d) for d in reversed(shape)) + struct.pack('<IQ', 0, offset))
        blobs.append(blob)
        offset += len(blob)
    out = b'GGUF' + struct.pack('<IQQ', 3, len(infos), len(meta)) + b''.join(meta) + b''.join(infos)
    with open(sys.argv[1], 'wb') as f:
        f.write(out + b'\0' * (-len(out) % 32) + b''.join(blobs))


main()
