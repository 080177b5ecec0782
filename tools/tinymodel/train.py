"""Trains the model.

    python3 train.py WORK [--steps N]     reads WORK/vocabulary.model, writes WORK/checkpoint.pt

Goes on from the checkpoint if there is one. Every batch follows from its number, so that a training
that was interrupted sees the same texts as one that was not. WORK/curve.txt has the held-out loss.
"""
import argparse
import collections
import os
import random
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import multiprocessing

import generate
import vocabulary
from model import CONTEXT, TOKENS, Model

WORKERS = 2  # processes, of one thread each: they wait for each other once a step only
BATCH_TOKENS = 1024
COPY_POOLS = range(8, 11)  # these have rows of random tokens to be copied, too
DRILL_POOLS = range(11, 16)  # and these have rows with two tokens that come again
STRESS_POOLS, STRESS = [*range(11, 22), *range(27, 46)], 4  # in these, what must be remembered weighs more
WHOLE_POOLS = 8  # the first ones have stories with all their beats
POOL = 1024  # documents that are sorted by length at once
RATE, WARM_UP, DOWN = 1.5e-3, 200, 0.27
# To a step, from a part of RATE.
DESCENTS = [(13500, 1.0), (20000, 0.6), (26000, 0.5), (32000, 0.5), (36000, 0.3)]
LAST, LAST_STRESS = 20000, 2  # from this step on, what must be remembered weighs more again,
CLASH = 5  # and so much weighs that a word is none of those that contradict the text


def documents(words, seed, count, held_out=False, story_share=0.5, whole=False):
    """Tokens of documents that fit the context, their weights, and what they must not be; `whole`:
    of stories with all beats."""
    generate.left_out = 0 if whole else generate.LEFT_OUT
    rng = random.Random(seed)
    out = []
    while len(out) < count:
        turns = generate.document(rng, held_out, story_share)
        tokens, wanted, clashes = vocabulary.encode(words, turns, rng.random() < 0.4)
        if len(tokens) <= CONTEXT:
            out.append((tokens, wanted, clashes))
    return out


def copies(seed, count):
    """Rows of random tokens that come again and again, of which all but the first are to be foretold.
    They teach what stories need and teach slowly: to look back and say the same word once more."""
    rng = random.Random(seed)
    out = []
    for _ in range(count):
        row = [rng.randrange(vocabulary.END + 1, TOKENS) for _ in range(rng.randrange(4, 40))]
        times = rng.randrange(2, max(3, 120 // len(row)))
        out.append(([vocabulary.BOS] + row * times, [0] * (1 + len(row)) + [1] * len(row) * (times - 1), {}))
    return out


def drills(seed, count):
    """Rows of random tokens among which two come again and again, and only they are to be foretold."""
    rng = random.Random(seed)
    any_token = lambda: rng.randrange(vocabulary.END + 1, TOKENS)
    out = []
    for _ in range(count):
        pair = (any_token(), any_token())
        row, marks = [vocabulary.BOS], [0]
        for _ in range(rng.randrange(16, 64)):
            token = rng.choice(pair) if rng.random() < 0.3 else any_token()
            marks.append(int(token in pair and token in row))
            row.append(token)
        out.append((row, marks, {}))
    return out


def stress(docs, weight):
    """Gives more weight to words that stood before in the text and are in few texts: to names, things,
    places, whatever has to be remembered."""
    texts = collections.Counter()
    for tokens, _, _ in docs:
        texts.update(set(tokens))
    out = []
    for tokens, marks, clashes in docs:
        seen, weights = set(), []
        for token, mark in zip(tokens, marks):
            weights.append(weight * mark if token in seen and texts[token] < len(docs) / 6 else mark)
            seen.add(token)
        out.append((tokens, weights, clashes))
    return out


def batches(docs, clashing=False):
    """Documents of like length together, filled up at the end: inputs, targets, their weights, and
    pairs of a place in the targets and a token that must not be there (if wanted)."""
    docs = sorted(docs, key=lambda d: len(d[0]))
    while docs:
        length = len(docs[-1][0])
        rows = max(1, BATCH_TOKENS // length)
        take, docs = docs[-rows:], docs[:-rows]
        tokens = np.zeros((len(take), length), np.int64)
        weights = np.zeros((len(take), length), np.float32)
        clashes = []
        for i, (ids, wanted, wrong) in enumerate(take):
            tokens[i, : len(ids)] = ids
            weights[i, : len(ids)] = wanted
            for at, others in wrong.items() if clashing else ():
                clashes += [(i * (length - 1) + at - 1, other) for other in others]
        clashes = np.array(clashes, np.int64).reshape(-1, 2)
        parts = (tokens[:, :-1], tokens[:, 1:], weights[:, 1:], clashes)
        yield tuple(torch.from_numpy(x.copy()) for x in parts)


def stream(words, first):
    """Batches from number `first` on, each WORKERS-th of them."""
    number, pool = 0, 0
    while True:
        last = number >= LAST * WORKERS
        docs = documents(words, f"train {pool}", POOL, whole=pool < WHOLE_POOLS)
        if pool in STRESS_POOLS or last:
            docs = stress(docs, LAST_STRESS if last else STRESS)
        if pool in COPY_POOLS:
            docs += copies(f"copies {pool}", POOL // 4)
        if pool in DRILL_POOLS:
            docs += drills(f"drills {pool}", POOL * 2)
        made = list(batches(docs, last))
        random.Random(pool).shuffle(made)
        pool += 1
        for batch in made:
            if number >= first and (number - first) % WORKERS == 0:
                yield batch
            number += 1


def loss_of(model, tokens, targets, weights, clashes):
    keep = weights > 0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(tokens, keep)
    chances = F.log_softmax(logits.float(), -1)
    losses = F.nll_loss(chances, targets[keep], reduction="none")
    if len(clashes):  # that it is none of those: -log(1 - p)
        at = keep.view(-1).cumsum(0)[clashes[:, 0]] - 1
        wrong = torch.zeros_like(losses).index_add(0, at, chances[at, clashes[:, 1]].exp())
        losses = losses - CLASH * torch.log1p(-wrong.clamp(max=0.99))
    return (losses * weights[keep]).sum() / weights.sum(), int(keep.sum())


@torch.no_grad()
def held_out_loss(model, made):
    total = count = 0
    for batch in made:
        loss, n = loss_of(model, *batch)
        total, count = total + float(loss) * n, count + n
    return total / count


def rate(step, steps):
    """Up, level, and straight down to the first of the DESCENTS; then up again, less high, and straight
    down to the next one. An end can be moved while the rate is not yet on its way down to it."""
    begin = 0
    for end, height in DESCENTS:
        if step < end:
            break
        begin = end
    end = min(steps, end)
    part = DOWN if begin == 0 else 1
    up, down = (step - begin + 1) / WARM_UP, (end - step) / (part * (end - begin))
    return RATE * height * min(1, up, max(0.01, down))


def work(me, chosen, model, gradients, barrier, saved):
    """One of the processes that train. They meet twice a step: each leaves its gradients in its
    row of a shared table; then the first one applies the mean of them to the shared weights."""
    torch.set_num_threads(1)
    words = vocabulary.load(os.path.join(chosen.work, "vocabulary.model"))
    lead = Lead(chosen, model, words, saved) if me == 0 else None
    parameters = list(model.parameters())
    # Row i: gradients of process i, its loss and how many tokens that is the mean of.
    mine = gradients[me]
    made = stream(words, saved["step"] * WORKERS + me)
    for step in range(saved["step"], chosen.steps):
        batch = next(made)
        loss, _ = loss_of(model, *batch)
        for p in parameters:
            p.grad = None
        loss.backward()
        at = 0
        for p in parameters:
            mine[at : at + p.numel()] = p.grad.view(-1)
            at += p.numel()
        mine[-2], mine[-1] = loss.item(), batch[0].numel()
        barrier.wait()
        if lead:
            lead.apply(step, gradients)
        barrier.wait()
    if lead:
        lead.save(chosen.steps)


class Lead:
    """What only the first process does: the optimizer, the report, the checkpoint."""

    def __init__(self, chosen, model, words, saved):
        self.chosen, self.model = chosen, model
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.1},
                {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0.0},
            ],
            lr=RATE,
            betas=(0.9, 0.98),
        )
        if "optimizer" in saved:
            self.optimizer.load_state_dict(saved["optimizer"])
        self.test = {
            kind: list(batches(documents(words, "held out", 150, True, share)))
            for kind, share in (("stories", 1.0), ("chats", 0.0))
        }
        self.seen, self.first, self.mean = saved["seen"], saved["seen"], None
        self.began = self.saved_at = time.time()

    def save(self, step):
        path = os.path.join(self.chosen.work, "checkpoint.pt")
        torch.save(
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "step": step,
                "seen": self.seen,
            },
            path + ".new",
        )
        os.replace(path + ".new", path)
        self.saved_at = time.time()

    def apply(self, step, gradients):
        mean, at = gradients.mean(0), 0
        for p in self.model.parameters():
            p.grad = mean[at : at + p.numel()].view_as(p)
            at += p.numel()
        for group in self.optimizer.param_groups:
            group["lr"] = rate(step, self.chosen.steps)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        for p in self.model.parameters():
            p.grad = None
        self.seen += int(gradients[:, -1].sum())
        loss = float(mean[-2])
        self.mean = loss if self.mean is None else 0.95 * self.mean + 0.05 * loss
        self.report(step + 1)

    def report(self, step):
        steps = self.chosen.steps
        if step % 20 == 0:
            speed = (self.seen - self.first) / (time.time() - self.began)
            left = (steps - step) * WORKERS * BATCH_TOKENS / speed / 60
            print(
                f"step {step}  loss {self.mean:.4f}  {self.seen / 1e6:.2f} M tokens  "
                f"{speed:.0f}/s  "
                f"{left:.0f} min left",
                flush=True,
            )
        if step % self.chosen.check_every == 0 or step == steps:
            held = {kind: held_out_loss(self.model, made) for kind, made in self.test.items()}
            line = (
                f"step {step}  tokens {self.seen}  training {self.mean:.4f}  held-out "
                + "  ".join(f"{kind} {value:.4f}" for kind, value in held.items())
            )
            print(line, flush=True)
            with open(os.path.join(self.chosen.work, "curve.txt"), "a", encoding="utf-8") as curve:
                curve.write(line + "\n")
        if time.time() - self.saved_at > 120:
            self.save(step)


def main():
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    options.add_argument("work")
    options.add_argument("--steps", type=int, default=36000)
    options.add_argument("--check-every", type=int, default=1000)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = Model()
    path = os.path.join(chosen.work, "checkpoint.pt")
    saved = torch.load(path) if os.path.exists(path) else {"step": 0, "seen": 0}
    if "model" in saved:
        model.load_state_dict(saved["model"])
        print(f"going on from step {saved['step']}", flush=True)
    model.share_memory()
    size = sum(p.numel() for p in model.parameters())
    gradients = torch.zeros(WORKERS, size + 2).share_memory_()
    barrier = multiprocessing.Barrier(WORKERS)
    print(
        f"{size} weights, {chosen.steps} steps of {WORKERS} times {BATCH_TOKENS} tokens", flush=True
    )
    helpers = [
        multiprocessing.Process(
            target=work, args=(i, chosen, model, gradients, barrier, saved), daemon=True
        )
        for i in range(1, WORKERS)
    ]
    for helper in helpers:
        helper.start()
    work(0, chosen, model, gradients, barrier, saved)
    for helper in helpers:
        helper.join()


if __name__ == "__main__":
    main()
