"""Trains the model.

    python3 train.py WORK [--steps N]     reads WORK/vocabulary.model, writes WORK/checkpoint.pt

Goes on from the checkpoint if there is one. Every batch follows from its number, so that a training
that was interrupted sees the same texts as one that was not. WORK/curve.txt has the held-out loss.
"""
import argparse
import math
import os
import random
import time

import numpy as np
import torch
import torch.nn.functional as F

import generate
import vocabulary
from model import CONTEXT, Model

BATCH_TOKENS = 3072
POOL = 1536  # documents that are sorted by length at once
RATE, LAST_RATE, WARM_UP = 2e-3, 5e-5, 200


def documents(words, seed, count, held_out=False, story_share=0.5):
    """Tokens and marks of documents that fit the context."""
    rng = random.Random(seed)
    out = []
    while len(out) < count:
        turns = generate.document(rng, held_out, story_share)
        tokens, wanted = vocabulary.encode(words, turns, rng.random() < 0.4)
        if len(tokens) <= CONTEXT:
            out.append((tokens, wanted))
    return out


def batches(docs):
    """Documents of like length together, filled up at the end: inputs, targets (-1: not asked)."""
    docs = sorted(docs, key=lambda d: len(d[0]))
    while docs:
        length = len(docs[-1][0])
        rows = max(1, BATCH_TOKENS // length)
        take, docs = docs[-rows:], docs[:-rows]
        tokens = np.zeros((len(take), length), np.int64)
        targets = np.full((len(take), length), -1, np.int64)
        for i, (ids, wanted) in enumerate(take):
            tokens[i, :len(ids)] = ids
            targets[i, :len(ids)] = np.where(wanted, ids, -1)
        yield torch.from_numpy(tokens[:, :-1].copy()), torch.from_numpy(targets[:, 1:].copy())


def stream(words, step):
    """Batches from number `step` on."""
    number, pool = 0, 0
    while True:
        made = list(batches(documents(words, f"train {pool}", POOL)))
        random.Random(pool).shuffle(made)
        pool += 1
        for batch in made:
            if number >= step:
                yield batch
            number += 1


def loss_of(model, tokens, targets):
    keep = targets >= 0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(tokens, keep)
    return F.cross_entropy(logits.float(), targets[keep]), int(keep.sum())


@torch.no_grad()
def held_out_loss(model, made):
    total = count = 0
    for tokens, targets in made:
        loss, n = loss_of(model, tokens, targets)
        total, count = total + float(loss) * n, count + n
    return total / count


def rate(step, steps):
    if step < WARM_UP:
        return RATE * (step + 1) / WARM_UP
    x = (step - WARM_UP) / max(1, steps - WARM_UP)
    return LAST_RATE + (RATE - LAST_RATE) * (1 + math.cos(math.pi * min(1, x))) / 2


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("work")
    options.add_argument("--steps", type=int, default=4000)
    options.add_argument("--check-every", type=int, default=200)
    chosen = options.parse_args()
    torch.manual_seed(1)
    words = vocabulary.load(os.path.join(chosen.work, "vocabulary.model"))
    model = Model()
    optimizer = torch.optim.AdamW(
        [{"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.1},
         {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0.0}],
        lr=RATE, betas=(0.9, 0.95))
    path = os.path.join(chosen.work, "checkpoint.pt")
    step = seen = 0
    if os.path.exists(path):
        saved = torch.load(path)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        step, seen = saved["step"], saved["seen"]
        print(f"going on from step {step}", flush=True)
    test = {kind: list(batches(documents(words, "held out", 150, True, share)))
            for kind, share in (("stories", 1.0), ("chats", 0.0))}
    print(f"{sum(p.numel() for p in model.parameters())} weights, {chosen.steps} steps", flush=True)

    def save():
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step,
                    "seen": seen}, path + ".new")
        os.replace(path + ".new", path)

    began = saved_at = time.time()
    first = seen
    mean = None
    for tokens, targets in stream(words, step):
        if step >= chosen.steps:
            break
        for group in optimizer.param_groups:
            group["lr"] = rate(step, chosen.steps)
        loss, _ = loss_of(model, tokens, targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        seen += tokens.numel()
        mean = loss.item() if mean is None else 0.95 * mean + 0.05 * loss.item()
        if step % 20 == 0:
            speed = (seen - first) / (time.time() - began)
            left = (chosen.steps - step) * BATCH_TOKENS / speed / 60
            print(f"step {step}  loss {mean:.4f}  {seen / 1e6:.2f} M tokens  {speed:.0f}/s  "
                  f"{left:.0f} min left", flush=True)
        if step % chosen.check_every == 0 or step == chosen.steps:
            held = {kind: held_out_loss(model, made) for kind, made in test.items()}
            line = (f"step {step}  tokens {seen}  training {mean:.4f}  held-out "
                    + "  ".join(f"{kind} {value:.4f}" for kind, value in held.items()))
            print(line, flush=True)
            with open(os.path.join(chosen.work, "curve.txt"), "a", encoding="utf-8") as curve:
                curve.write(line + "\n")
        if time.time() - saved_at > 120:
            save()
            saved_at = time.time()
    save()


if __name__ == "__main__":
    main()
