"""Reads texts by the grammar that the training texts were made with, and counts what holds.

    python3 check.py --self-test              the generator's texts pass, spoilt ones do not
    python3 check.py --chord CHORD --perplexity FILE FILE   of held-out stories: within 1 %
    python3 check.py --chord CHORD -m FILE [--stories N] [--chats N] [--show]

A story passes if it is, from its first sentence to its last, one of the shapes in stories.py, and
if what it says agrees: a or an; he, she or it by the hero's name and by the friend's; the same hero,
friend, thing and place all the way; and nothing after the end. A sentence passes if it is some line
of the grammar and agrees with what was said before. A chat passes if its answer tells of the hero,
the thing, the place and whatever else was asked for; the pairs of hero and thing that are asked for
were never seen in training.
"""
import argparse
import math
import random
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import generate
import grammar
import stories
import words

PROMPTS = ["Once upon a time"] * 10 + [
    "Once upon a time, there was a fox",
    "Long ago",
    "One day",
    "There was once",
    "In a small village",
    "This is the story of Lily",
    "Far away",
    "Once upon a time, a brave mouse",
    "There once lived a queen",
    "Tom was",
]
LINES = sorted({line for s in stories.SHAPES for beat in s["beats"] for line in beat if line})


def sentences(text):
    return [s for s in re.split(r'(?<=[.!?])(?: |$)|(?<=[.!?]")(?: |$)', text) if s]


def read_line(line, text, at, facts):
    """Like grammar.match, with what facts may not be together, and a space or the end after it."""
    found, why = grammar.match(line, text, at, facts)
    if not found:
        return None
    end, facts = found
    if end < len(text) and text[end] != " ":
        return None
    return None if generate.facts_clash(facts) else (min(end + 1, len(text)), facts)


def read_story(text, facts):
    """The facts and the name of the shape of a whole story; None if it is none."""

    def read(shape, beat, at, facts):
        if beat == len(shape["beats"]):
            return facts if at == len(text) else None
        skip = [""] if beat in shape["spare"] else []
        for line in list(shape["beats"][beat]) + skip:
            if not line:
                rest = read(shape, beat + 1, at, facts)
            else:
                found = read_line(line, text, at, facts)
                rest = read(shape, beat + 1, *found) if found else None
            if rest is not None:
                return rest
        return None

    for shape in stories.SHAPES:
        found = read(shape, 0, 0, facts)
        if found is not None:
            return found, shape["name"]
    return None


def read_sentences(text, facts):
    """Sentences that pass, all sentences, the facts, and the sentences that fail."""
    at = passed = total = 0
    bad = []
    while at < len(text):
        best = None
        for line in LINES:
            found = read_line(line, text, at, facts)
            if found and (best is None or found[0] > best[0]):
                best = found
        if best:
            count = len(sentences(text[at : best[0]]))
            passed, total = passed + count, total + count
            at, facts = best
        else:
            sentence = sentences(text[at:])[0]
            bad.append(sentence)
            total += 1
            at += len(sentence) + 1
    return passed, total, facts, bad


def read(text):
    """What a text is worth: sentences that pass, all sentences, shape or None, facts, failures."""
    whole = read_story(text, {})
    if whole:
        count = len(sentences(text))
        return count, count, whole[1], whole[0], []
    passed, total, facts, bad = read_sentences(text, {})
    return passed, total, None, facts, bad


# ---- the checker itself


def spoil(rng, text):
    """A text with one mistake of the kinds that the checker is for."""
    changes = [
        (r"\b[Aa]n (?=[aeiou])", "a "),
        (r"\ba (?=[bcdfgjklmpqrstvw])", "an "),
        (r"\bhis\b", "her"),
        (r"\bher\b", "his"),
        (r"\b[Hh]e\b", "she"),
        (r"\b[Ss]he\b", "he"),
        (r"\bits\b", "his"),
        (rf"\b({'|'.join(words.NAMES)})\b", "Zelda"),
        (r"\. (?=[A-Z])", " and "),
        (r"\.$", ". And then"),
    ]
    while True:
        pattern, new = rng.choice(changes)
        hits = list(re.finditer(pattern, text))
        if hits:
            hit = rng.choice(hits)
            return text[: hit.start()] + new + text[hit.end() :]


def self_test():
    rng = random.Random("self-test")
    made = [generate.story(rng, held_out=i % 2 == 0)["text"] for i in range(400)]
    good = sum(read(text)[2] is not None for text in made)
    caught = sum(read(spoil(rng, text))[2] is None for text in made)
    print(
        f"{good} of {len(made)} texts of the generator pass, "
        f"{caught} of {len(made)} spoilt ones are found"
    )
    return good == len(made) and caught == len(made)


# ---- chord


def chord_run(chosen, prompt, seed, special):
    command = [
        chosen.chord,
        "run",
        "-q",
        "-t",
        "1",
        "-n",
        "480",
        "--temp",
        str(chosen.temp),
        "--seed",
        str(seed),
        "-p",
        prompt,
    ]
    if chosen.model:
        command += ["-m", chosen.model]
    if special:
        command.append("--special")
    return subprocess.run(command, check=True, capture_output=True).stdout.decode(
        "utf-8", "replace"
    )


def check_stories(chosen):
    def one(i):
        prompt = PROMPTS[i % len(PROMPTS)]
        return prompt + chord_run(chosen, prompt, i, False).rstrip("\n")

    with ThreadPoolExecutor(2) as pool:
        texts = list(pool.map(one, range(chosen.stories)))
    passed = total = whole = 0
    for text in texts:
        good, count, shape, _, bad = read(text)
        passed, total, whole = passed + good, total + count, whole + (shape is not None)
        if chosen.show:
            print(f"[{shape or 'NO STORY'}] {text}")
            for sentence in bad:
                print(f"    fails: {sentence}")
    print(f"sentences: {passed} of {total} pass ({100 * passed / total:.1f} %)")
    print(
        f"stories: {whole} of {len(texts)} pass ({100 * whole / len(texts):.1f} %); "
        f"{len(set(texts))} are different"
    )
    return passed >= 0.95 * total and whole >= 0.9 * len(texts)


def check_chats(chosen):
    rng = random.Random("requests")
    asked = []
    while len(asked) < chosen.chats:
        ask, made, must = generate.request(rng, held_out=True)
        if {"k", "T"} <= must or ("N" in must and "T" in must):
            asked.append((ask, made, must))

    def one(i):
        prompt = f"<|im_start|>user\n{asked[i][0]}<|im_end|>\n<|im_start|>assistant\n"
        return chord_run(chosen, prompt, i, True)

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(one, range(len(asked))))
    honoured = named = whole = 0
    for (ask, made, must), answer in zip(asked, answers):
        answer = answer.replace("<|im_end|>", "").strip()
        _, _, shape, facts, bad = read(answer)
        missing = [key for key in must & set(words.TABLES) if facts.get(key) != made["facts"][key]]
        honoured, whole = honoured + (not missing), whole + (shape is not None)
        basic = [made["facts"][key] for key in must & {"k", "N", "T", "P"}]
        named += all(re.search(rf"\b{re.escape(word)}\b", answer) for word in basic)
        if chosen.show:
            print(f"[{shape or 'NO STORY'}] {ask}\n    {answer}")
            for sentence in bad:
                print(f"    fails: {sentence}")
            for key in missing:
                print(f"    asked for {made['facts'][key]}, got {facts.get(key)}")
    print(
        f"chats: {honoured} of {len(asked)} requests are honoured "
        f"({100 * honoured / len(asked):.1f} %), "
        f"{whole} answers are whole stories"
    )
    print(f"chats: {named} answers have the words for hero, thing and place that were asked for")
    return honoured >= 0.9 * len(asked)


def check_perplexity(chosen):
    """The models' perplexity over whole held-out stories, as chord measures it, and how far they
    lie from the first one."""
    rng = random.Random("perplexity")
    texts = [generate.story(rng, True)["text"] for _ in range(60)]
    first = None
    for model in chosen.perplexity:
        total = count = 0
        for text in texts:
            told = subprocess.run(
                [chosen.chord, "perplexity", "-t", "1", "-m", model, "-p", text],
                check=True,
                capture_output=True,
            ).stdout.decode()
            value, tokens = re.match(r"ppl ([\d.]+) over (\d+) tokens", told).groups()
            total, count = total + math.log(float(value)) * int(tokens), count + int(tokens)
        value = math.exp(total / count)
        first = first or value
        print(
            f"perplexity {value:.4f} over {count} tokens, "
            f"{100 * (value / first - 1):+.2f} %: {model}"
        )
    return abs(value / first - 1) < 0.01


def main():
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    options.add_argument("--self-test", action="store_true")
    options.add_argument(
        "--perplexity", nargs="+", metavar="FILE", help="models to compare; nothing else is done"
    )
    options.add_argument("--chord", default="chord")
    options.add_argument("-m", "--model", help="the model; without it chord takes its own")
    options.add_argument("--stories", type=int, default=200)
    options.add_argument("--chats", type=int, default=200)
    options.add_argument("--temp", type=float, default=0.8)
    options.add_argument("--show", action="store_true", help="print the texts too")
    chosen = options.parse_args()
    if chosen.self_test:
        sys.exit(not self_test())
    if chosen.perplexity:
        sys.exit(not check_perplexity(chosen))
    results = []
    if chosen.stories:
        results.append(check_stories(chosen))
    if chosen.chats:
        results.append(check_chats(chosen))
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
