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


class NormFunction(torch.autograd.Function):
    """x / sqrt(mean(x * x) + epsilon) * weight over the last dimension, with fewer passes over
    memory than PyTorch's own derivative takes."""

    @staticmethod
    def forward(ctx, x, weight):
        scale = torch.rsqrt(
            torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_() / WIDTH + EPSILON
        )
        unit = x * scale
        ctx.save_for_backward(unit, scale, weight)
        return unit * weight

    @staticmethod
    def backward(ctx, gradient):
        unit, scale, weight = ctx.saved_tensors
        product = gradient * unit
        of_weight = product.view(-1, WIDTH).sum(0)
        mean = torch.mv(product.view(-1, WIDTH), weight / WIDTH).view(scale.shape)
        return (gradient * weight).addcmul_(unit, mean, value=-1).mul_(scale), of_weight


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x):
        return NormFunction.apply(x, self.weight)


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
        qk, v = qkv.split((HEADS + KV_HEADS, KV_HEADS), 2)
        a, b = qk.float().split(HEAD // 2, -1)
        qk = torch.cat((a * cosine - b * sine, a * sine + b * cosine), -1).to(qkv.dtype)
        q, k = qk.split((HEADS, KV_HEADS), 2)
        q = q.permute(0, 2, 1, 3).reshape(rows * KV_HEADS, HEADS // KV_HEADS * length, HEAD)
        k = k.permute(0, 2, 3, 1).reshape(rows * KV_HEADS, HEAD, length)
        v = v.permute(0, 2, 1, 3).reshape(rows * KV_HEADS, length, HEAD)
        scores = torch.baddbmm(mask, q * (1 / math.sqrt(HEAD)), k)
        mixed = torch.bmm(F.softmax(scores, -1), v)
        mixed = (
            mixed.view(rows, HEADS, length, HEAD).permute(0, 2, 1, 3).reshape(rows, length, WIDTH)
        )
        x = x + self.out(mixed)
        gate, up = self.gate_up(self.ffn_norm(x)).split(FFN, -1)
        return x + self.down(F.silu(gate.float()) * up.float())


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
        mask = torch.full((length, length), -1e4).triu(1).repeat(HEADS // KV_HEADS, 1)
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x, self.cosine[:, :length], self.sine[:, :length], mask)
        x = self.norm(x if keep is None else x[keep])
        return F.linear(x, self.embedding.weight)
