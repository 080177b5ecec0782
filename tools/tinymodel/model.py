"""The model: a llama transformer with grouped queries, RMS norms, rotary positions and SwiGLU."""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

WIDTH = 256
LAYERS = 5
HEADS = 8
KV_HEADS = 4
HEAD = WIDTH // HEADS
FFN = 512
CONTEXT = 512
EPSILON = 1e-5
ROPE_BASE = 10000.0
TOKENS = 2048


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON) * self.weight


def linear(inputs, outputs, scale=1.0):
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(layer.weight, std=scale / math.sqrt(inputs))
    return layer


class Layer(nn.Module):
    """Query, key and value rows are one matrix, and so are gate and up. A head's row i and row
    i + HEAD / 2 are the pair that is turned; the export interleaves them."""

    def __init__(self):
        super().__init__()
        deep = 1 / math.sqrt(2 * LAYERS)
        self.attention_norm, self.ffn_norm = Norm(), Norm()
        self.qkv = linear(WIDTH, (HEADS + 2 * KV_HEADS) * HEAD)
        self.out = linear(WIDTH, WIDTH, deep)
        self.gate_up = linear(WIDTH, 2 * FFN)
        self.down = linear(FFN, WIDTH, deep)

    def forward(self, x, cosine, sine, mask):
        rows, length, _ = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(rows, length, HEADS + 2 * KV_HEADS, HEAD)
        qk, v = qkv[:, :, :HEADS + KV_HEADS], qkv[:, :, HEADS + KV_HEADS:]
        a, b = qk[..., :HEAD // 2], qk[..., HEAD // 2:]
        qk = torch.cat((a * cosine - b * sine, a * sine + b * cosine), -1).to(qkv.dtype)
        q = qk[:, :, :HEADS].permute(0, 2, 1, 3).reshape(rows * KV_HEADS, HEADS // KV_HEADS * length, HEAD)
        k = qk[:, :, HEADS:].permute(0, 2, 3, 1).reshape(rows * KV_HEADS, HEAD, length)
        v = v.permute(0, 2, 1, 3).reshape(rows * KV_HEADS, length, HEAD)
        scores = torch.bmm(q * (1 / math.sqrt(HEAD)), k).view(-1, HEADS // KV_HEADS, length, length) + mask
        weights = F.softmax(scores, -1, dtype=torch.float32).to(v.dtype)
        mixed = torch.bmm(weights.view(rows * KV_HEADS, -1, length), v)
        mixed = mixed.view(rows, HEADS, length, HEAD).permute(0, 2, 1, 3).reshape(rows, length, WIDTH)
        x = x + self.out(mixed)
        gate, up = self.gate_up(self.ffn_norm(x)).split(FFN, -1)
        return x + self.down(F.silu(gate) * up)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(TOKENS, WIDTH)
        nn.init.normal_(self.embedding.weight, std=1 / math.sqrt(WIDTH))
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = Norm()
        angle = torch.arange(CONTEXT)[:, None] * ROPE_BASE ** (-torch.arange(0, HEAD, 2) / HEAD)
        self.register_buffer("cosine", angle.cos()[None, :, None], persistent=False)
        self.register_buffer("sine", angle.sin()[None, :, None], persistent=False)

    def forward(self, tokens, keep=None):
        """Logits of all positions, or of those that `keep` marks."""
        length = tokens.shape[1]
        mask = torch.full((length, length), -1e4).triu(1)
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x, self.cosine[:, :length], self.sine[:, :length], mask)
        x = self.norm(x if keep is None else x[keep])
        return F.linear(x, self.embedding.weight)
