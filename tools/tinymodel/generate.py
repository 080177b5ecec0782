"""Makes the texts: short stories and short chats about them.

    python3 generate.py [--count N] [--seed S] [--held-out] [--kind story|chat]   prints some

A text is a list of turns [(role, text, clashes), ...]; a plain story is one turn of the role "text".
Clashes tell of places in the text what word must not stand there, by what was told before.
"""
import argparse
import random
import zlib
from functools import lru_cache

import chats
import grammar
import stories
import words

ODD = 0.2  # share of requests that name words which are not in the tables
LEFT_OUT = 0.45  # chance that a beat is left out that a story can do without
left_out = LEFT_OUT  # the same, for now: training begins with 0
GENDERED = 6  # weight of queens and boys among the persons: half of the names do not fit them
HELD_OUT_ONE_IN = 16  # pairs of hero and thing that training never sees together


# Of each group, the kinds and their weights.
KINDS_OF = {group: ([], []) for group in ("animal", "person", "magic")}
for _name, _kind in words.KINDS.items():
    KINDS_OF[_kind.group][0].append(_name)
    KINDS_OF[_kind.group][1].append(GENDERED if _kind.gender in ("m", "f") else 1)


def is_held_out(kind, thing):
    return zlib.crc32(f"{kind} and {thing}".encode()) % HELD_OUT_ONE_IN == 0


def facts_clash(facts):
    """Whether facts contradict each other; some may be missing."""
    for k, n, adj in (("k", "N", "adj"), ("fk", "F", "fadj")):
        if k in facts and n in facts:
            gender, name_gender = words.kind(facts[k]).gender, words.gender(facts[n])
            if gender and name_gender != gender:
                return f"{facts[n]} is no name for {facts[k]}"
            if not gender and name_gender == "n":
                return f"{facts[n]} is no name for {facts[k]}"
        if k in facts and adj in facts and facts[k] in words.CLASHES.get(("adj", facts[adj]), ()):
            return f"{facts[adj]} {facts[k]}"
    if facts.get("N") is not None and facts.get("N") == facts.get("F"):
        return "one name for two"
    if (facts.get("P"), facts.get("padj")) in words.PLACE_CLASHES:
        return f"{facts['padj']} {facts['P']}"
    return None


def any_facts(rng, shape, fixed):
    """Facts of a story, with those that are fixed; `fixed` fits the shape."""
    for _ in range(10000):
        facts = dict(fixed)
        for key in ("k", "fk"):
            if key not in facts:
                group = rng.choices(tuple(KINDS_OF), (6, 3, 2))[0]
                facts[key] = rng.choices(*KINDS_OF[group])[0]
        for key in words.TABLES:
            if key not in facts and not (key == "T" and not shape["things"]):
                facts[key] = rng.choice(shape["things"] if key == "T" else words.TABLES[key])
        if (
            facts_clash(facts)
            or facts["k"] == facts["fk"]
            or facts["h"] in (facts["k"], facts["fk"])
        ):
            continue
        if (
            facts.get("T") == facts["U"]
            or facts["hab"] == facts["hab2"]
            or facts["col"] == facts["col2"]
        ):
            continue
        if facts["k"] == facts.get("T") or facts["fk"] == facts.get("T"):
            continue
        return facts
    raise ValueError(f"no facts go with {fixed}")


# The facts that a fact may clash with.
NEAR = {
    "k": ("N", "adj"),
    "N": ("k", "F"),
    "adj": ("k",),
    "fk": ("F", "fadj"),
    "F": ("fk", "N"),
    "fadj": ("fk",),
    "P": ("padj",),
    "padj": ("P",),
}


@lru_cache(maxsize=None)
def clashing(name, told):
    """What a fact cannot be, by those that were told."""
    if not told:
        return ()
    facts = dict(told)
    return tuple(v for v in words.TABLES[name] if facts_clash({**facts, name: v}))


@lru_cache(maxsize=None)
def other_article(name, article):
    return tuple(v for v in words.TABLES[name] if grammar.article(v) != article)


def find_clashes(used, facts):
    """For the places where a text tells facts: the words that would contradict those told before."""
    told, found = {}, {}
    for name, at, article in sorted(used, key=lambda u: u[1]):
        if name not in words.TABLES:
            continue
        near = NEAR.get(name, ())
        if name not in told:
            values = clashing(name, tuple((k, told[k]) for k in near if k in told))
        else:  # again: the name of the other one
            values = tuple(told[k] for k in near if {name, k} == {"N", "F"} and k in told)
        if article:
            values += other_article(name, grammar.article(facts[name]))
        told[name] = facts[name]
        if values:
            found[at] = values
    return found


def story(rng, held_out=False, shape=None, fixed=None, must=()):
    """A story: its text and the clashes, its facts and which of them it tells, among them all of
    `must`."""
    fit = (
        [shape]
        if shape
        else [
            s
            for s in stories.SHAPES
            if not fixed
            or "T" not in fixed
            or (s["things"] and (fixed["T"] in s["things"] or fixed["T"] not in words.THINGS))
        ]
    )
    for _ in range(1000):
        shape = rng.choice(fit)
        facts = any_facts(rng, shape, fixed or {})
        asked = fixed and "T" in fixed and "k" in fixed
        if shape["things"] and not asked and is_held_out(facts["k"], facts["T"]) != held_out:
            continue
        text, used = "", []
        for i, beat in enumerate(shape["beats"]):
            if left_out and i in shape["spare"] and rng.random() < left_out:
                continue
            line = rng.choice(beat)
            if line:
                here, text = [], text + " " if text else ""
                told = grammar.expand(line, facts, rng, here)
                used += [(name, len(text) + at, article) for name, at, article in here]
                text += told
        names = {name for name, _, _ in used}
        if set(must) <= names:
            return {
                "text": text,
                "clashes": find_clashes(used, facts),
                "facts": facts,
                "used": names,
                "shape": shape["name"],
            }
    raise ValueError(f"no story of the shapes {[s['name'] for s in fit]} tells {must}")


def request(rng, held_out=False, asks=chats.ASK, plot=None):
    """A request and the story that honours it."""
    name = rng.choice(["", ""] + list(chats.PLOTS)) if plot is None else plot
    x = rng.choice(chats.HEROES) + rng.choice(chats.PLOTS[name])
    told = set()
    for nodes in slots(x):
        told.update(nodes.split())
    must = {{"prep": "P", "his": "N"}.get(t, t) for t in told} - {"a"}
    if "his" in told:
        must.add("N")
    if "N" not in told:
        must.discard("N")
    fixed = odd_facts(rng, must) if not held_out and rng.random() < ODD else None
    made = story(rng, held_out, stories.BY_NAME[name] if name else None, fixed, must)
    ask = grammar.expand(rng.choice(asks).replace("{x}", x), made["facts"], rng)
    return ask, made, must


def odd_facts(rng, must):
    """Facts of words that are not in the tables of the texts, for a request that names them."""

    def word(table):
        return rng.choice(table) if rng.random() < 0.5 else words.made_up_word(rng)

    while True:
        fixed = {}
        if "k" in must and rng.random() < 0.7:
            fixed["k"] = word(words.MORE_KINDS)
        if "T" in must and rng.random() < 0.7:
            fixed["T"] = word(words.MORE_THINGS)
        if "N" in must and rng.random() < 0.5:
            fixed["N"] = words.made_up_word(rng).capitalize()
        if (
            fixed.get("T", "") != fixed.get("k", "-")
            and not facts_clash(fixed)
            and not is_held_out(fixed.get("k"), fixed.get("T"))
        ):
            return fixed


def slots(line):
    def walk(nodes):
        for node in nodes:
            if isinstance(node, tuple):
                if node[0] == "slot":
                    yield node[1]
                else:
                    for option in node[1]:
                        yield from walk(option)

    return list(walk(grammar.parse(line)))


def follow_up(rng, made):
    """A question about a story and its answer, or None."""
    used = set(made["used"])
    if made["shape"] in ("lost", "mistake"):
        used.add("found it")
    fit = [f for f in chats.FOLLOW_UPS if set(f[0]) <= used]
    if not fit:
        return None
    _, questions, answers = rng.choice(fit)
    return (
        grammar.expand(rng.choice(questions), made["facts"], rng),
        grammar.expand(rng.choice(answers), made["facts"], rng),
    )


def chat(rng, held_out=False):
    """Turns of a chat."""
    turns, made = [], None
    if rng.random() < 0.25:
        turns.append(("system", rng.choice(chats.SYSTEM), {}))
    want = rng.choice((1, 1, 1, 2, 2, 3))
    told = 0
    while want:
        want -= 1
        dice = rng.random()
        if made and dice < 0.3:
            pair = follow_up(rng, made)
            if pair:
                turns += [("user", pair[0], {}), ("assistant", pair[1], {})]
                continue
        if dice < 0.45:
            questions, answers = rng.choice(chats.TALK)
            turns += [
                ("user", grammar.expand(rng.choice(questions), {}, rng), {}),
                ("assistant", rng.choice(answers), {}),
            ]
            if not made and not want and rng.random() < 0.7:
                want = 1
            continue
        if told == 2:
            continue
        told += 1
        if dice < 0.5:
            asks, made = (chats.ASK_ANOTHER if made else chats.ASK_ANY), story(rng, held_out)
            ask = grammar.expand(rng.choice(asks), {}, rng)
        elif dice < 0.56 and made:
            keep = {key: made["facts"][key] for key in ("N", "k")}
            made = story(rng, held_out, None, keep)
            ask = grammar.expand(rng.choice(chats.ASK_SAME_HERO), made["facts"], rng)
        else:
            ask, made, _ = request(
                rng, held_out, chats.ASK_NEXT if made and rng.random() < 0.7 else chats.ASK
            )
        turns += [("user", ask, {}), ("assistant", made["text"], made["clashes"])]
    return turns if turns[-1][0] == "assistant" else chat(rng, held_out)


def document(rng, held_out=False, story_share=0.5):
    if rng.random() < story_share:
        made = story(rng, held_out)
        return [("text", made["text"], made["clashes"])]
    return chat(rng, held_out)


def show(turns):
    return "\n".join(text if role == "text" else f"<{role}> {text}" for role, text, _ in turns)


def main():
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    options.add_argument("--count", type=int, default=10)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--held-out", action="store_true")
    options.add_argument("--kind", choices=("story", "chat"))
    chosen = options.parse_args()
    rng = random.Random(chosen.seed)
    share = {"story": 1, "chat": 0, None: 0.5}[chosen.kind]
    for _ in range(chosen.count):
        print(show(document(rng, chosen.held_out, share)) + "\n")


if __name__ == "__main__":
    main()
