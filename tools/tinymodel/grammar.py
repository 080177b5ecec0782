"""The language that the texts are written in: a line with choices and slots.

    [a|b|]      one of these, which may hold more choices and slots, or be empty
    {N}         a slot: one fact of the text, or a word that follows from facts
    {a col T}   facts with the article that fits the first of them; {A ...} with a capital

The same line makes text (`expand`) and reads it back (`match`): that is how the checker knows what
a sentence means. Facts are a dictionary, and their words are in words.py.
"""
import re
from functools import lru_cache

import words


def article(word):
    if word.startswith("honest"):
        return "an"
    return "an" if word[0] in "aeiou" and not word.startswith(("uni", "one")) else "a"


def pronoun(form, name):
    """he, him, his, himself and He, Him, His, as they fit a name."""
    row = words.PRONOUNS[words.gender(name)]
    text = row[("he", "him", "his", "himself").index(form.lower())]
    return text.capitalize() if form[0].isupper() else text


# What follows from a fact: slot -> (fact, function of its value).
DERIVED = {
    "prep": ("P", lambda p: words.PLACES[p]),
    "Prep": ("P", lambda p: words.PLACES[p].capitalize()),
    "feat": ("k", lambda k: words.kind(k).feature),
    "ffeat": ("fk", lambda k: words.kind(k).feature),
    "home": ("k", lambda k: words.kind(k).home),
    "fhome": ("fk", lambda k: words.kind(k).home),
}
for _form in ("he", "him", "his", "himself", "He", "Him", "His"):
    DERIVED[_form] = ("N", lambda n, form=_form: pronoun(form, n))
    DERIVED["f" + _form] = ("F", lambda n, form=_form: pronoun(form, n))


def slot_word(word, facts):
    if word in DERIVED:
        fact, function = DERIVED[word]
        return function(facts[fact])
    return facts[word]


def slot_text(slot, facts):
    names = slot.split()
    if names[0] in ("a", "A"):
        text = " ".join(slot_word(n, facts) for n in names[1:])
        return article(text).replace("a", names[0], 1) + " " + text
    return " ".join(slot_word(n, facts) for n in names)


@lru_cache(maxsize=None)
def parse(line):
    """A line as a tuple of texts, ("slot", name) and ("choice", [tuple, ...])."""
    at = 0

    def sequence(inside):
        nonlocal at
        out, text = [], ""
        while at < len(line) and not (inside and line[at] in "|]"):
            if line[at] == "[":
                options = []
                at += 1
                while True:
                    options.append(sequence(True))
                    at += 1
                    if line[at - 1] == "]":
                        break
                out += [text, ("choice", options)]
                text = ""
            elif line[at] == "{":
                end = line.index("}", at)
                out += [text, ("slot", line[at + 1 : end])]
                text = ""
                at = end + 1
            else:
                text += line[at]
                at += 1
        out.append(text)
        return tuple(x for x in out if x != "")

    return sequence(False)


def expand(line, facts, random, used=None):
    """Text of a line. For each word of a slot, the name of its fact, where it stands and whether an
    article is in front of it are added to `used`, a list."""
    text = ""

    def build(nodes):
        nonlocal text
        for node in nodes:
            if isinstance(node, str):
                text += node
            elif node[0] == "choice":
                build(random.choice(node[1]))
            else:
                text += slot_text(node[1], facts)
                end = len(text)
                names = node[1].split()
                for before, name in reversed(list(zip([""] + names, names))):
                    if name in ("a", "A") or used is None:
                        continue
                    end -= len(slot_word(name, facts))
                    used.append((name, end, before in ("a", "A")))
                    end -= 1

    build(parse(line))
    return text


def any_of(texts):
    return "(?:" + "|".join(re.escape(t) for t in sorted(texts, key=len, reverse=True)) + ")"


@lru_cache(maxsize=None)
def slot_pattern(word):
    if word in DERIVED:
        fact, function = DERIVED[word]
        return any_of({function(v) for v in words.TABLES[fact]})
    return any_of(words.TABLES[word])


@lru_cache(maxsize=None)
def pattern(line):
    """A compiled pattern of a line and, group by group, the slot words that it captures."""
    groups = []

    def build(nodes):
        out = ""
        for node in nodes:
            if isinstance(node, str):
                out += re.escape(node)
            elif node[0] == "choice":
                out += "(?:" + "|".join(build(o) for o in node[1]) + ")"
            else:
                parts = []
                for word in node[1].split():
                    groups.append(word)
                    words_pattern = "[Aa]n?" if word in ("a", "A") else slot_pattern(word)
                    parts.append("(" + words_pattern + ")")
                out += " ".join(parts)
        return out

    return re.compile(build(parse(line))), groups


def match(line, text, at, facts):
    """Reads a line at a place of a text. Returns the end and the facts, with what the line told
    added; or None, and why not."""
    compiled, groups = pattern(line)
    found = compiled.match(text, at)
    if not found:
        return None, "no such sentence"
    facts = dict(facts)
    values = list(zip(groups, found.groups()))
    for word, value in values:
        if value is None or word in ("a", "A") or word in DERIVED:
            continue
        if facts.setdefault(word, value) != value:
            return None, f"{word} was {facts[word]}, not {value}"
    for i, (word, value) in enumerate(values):
        if value is None:
            continue
        if word in ("a", "A"):
            if article(values[i + 1][1]) != value.lower():
                return None, f"article: {value} {values[i + 1][1]}"
        elif word in DERIVED:
            fact, function = DERIVED[word]
            if fact in facts and function(facts[fact]) != value:
                return None, f"{value} does not fit {facts[fact]}"
    return (found.end(), facts), None
