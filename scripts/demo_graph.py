"""Read WordNet and choose the demo's graph: the pictured synsets and what surrounds them.

The file format is that of wndb(5WN) and wninput(5WN), https://wordnet.princeton.edu/documentation/wndb5wn.
"""

import collections
import dataclasses
import hashlib
import pathlib
import re
from collections.abc import Iterable

Triple = tuple[str, str, str]

#: relation -> WordNet's pointer symbol, description; the head is the synset that holds the pointer
RELATIONS = {
    "also_see": ("^", "see also"),
    "antonym": ("!", "is the opposite of"),
    "attribute": ("=", "is a property expressed by the adjective"),
    "causes": (">", "is an action that causes"),
    "derivationally_related": ("+", "is a word derived from the same root as"),
    "entails": ("*", "is an action that entails the action"),
    "hypernym": ("@", "is a kind of; the tail is a more general concept (superclass) of the head"),
    "instance_hypernym": ("@i", "is an instance of; the head is a named individual, the tail is its class"),
    "member_holonym": ("#m", "is a member of the group or organisation"),
    "part_holonym": ("#p", "is a physical or geographical part of"),
    "pertains_to": ("\\", "is an adjective that pertains to the noun"),
    "region_domain": (";r", "is a term used in the geographical region"),
    "similar_to": ("&", "has similar meaning to"),
    "substance_holonym": ("#s", "is a substance or ingredient that the tail is made of"),
    "topic_domain": (";c", "is a term of the topic, field or discipline"),
    "verb_group": ("$", "is a verb with similar meaning to"),
}

#: WordNet stores these in both directions; one of them is kept, so that no triple is the inverse of another
SYMMETRIC = {"also_see", "antonym", "attribute", "derivationally_related", "similar_to", "verb_group"}

#: pointers from a pictured synset to its surroundings -> how many of them are followed
FOLLOWED = {"~": 2, "~i": 6, "%p": 5, "%m": 3, "%s": 3, "-c": 3, "-r": 3, "+": 3}

#: a relation with fewer triples is left out
MIN_TRIPLES = 15

#: words that WordNet marks as slurs or as vulgar do not belong into a demo
UNWANTED = re.compile(
    r"\b(offensive|disparaging|derogatory|slur|obscene|obscenity|vulgar|slang|contemptuous|prostitute|genitalia|"
    r"genital|penis|vagina|testicles?|copulat\w*|sexual\w*|non-white|Negro\w*|homosexual\w*)\b",
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True)
class Synset:
    """A set of synonyms."""

    key: str
    words: tuple[str, ...]
    gloss: str
    pointers: tuple[tuple[str, str], ...]

    @property
    def definition(self) -> str:
        """The gloss without its example sentences."""
        return re.split(r";?\s*\"", self.gloss, maxsplit=1)[0].strip().rstrip(";")

    @property
    def description(self) -> str:
        """The definition and the other synonyms."""
        others = ", ".join(dict.fromkeys(word for word in self.words[1:] if word != self.words[0]))
        return f"{self.definition} (also: {others})" if others else self.definition


def read_wordnet(folder: pathlib.Path) -> dict[str, Synset]:
    """Read the four data files; the key of a synset is the letter of its part of speech and its offset.

    :param folder: the folder with ``data.noun`` and the others
    :returns: the synsets by key
    """
    synsets = {}
    for letter, name in zip("nvar", ("noun", "verb", "adj", "adv"), strict=True):
        for line in (folder / f"data.{name}").read_text("utf-8").splitlines():
            if line.startswith("  "):  # the licence
                continue
            head, gloss = line.split("|", 1)
            fields = head.split()
            count = int(fields[3], 16)
            # an adjective can carry its position: "akin(p)"
            words = tuple(
                re.sub(r"\((a|p|ip)\)$", "", word).replace("_", " ") for word in fields[4 : 4 + 2 * count : 2]
            )
            rest = fields[5 + 2 * count :]
            pointers = tuple(
                # satellites live in the file of the adjectives
                (symbol, part.replace("s", "a") + offset)
                for symbol, offset, part in zip(rest[0::4], rest[1::4], rest[2::4], strict=False)
                if part in "nvasr" and len(offset) == 8
            )[: int(fields[4 + 2 * count])]
            key = letter + fields[0]
            synsets[key] = Synset(key, words, gloss.strip(), tuple(dict.fromkeys(pointers)))
    return synsets


def rank(*parts: str) -> str:
    """Give a pseudo-random sort key that depends on nothing but the arguments."""
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


def select_triples(synsets: dict[str, Synset], pictured: Iterable[str]) -> list[Triple]:
    """Choose entities around the pictured synsets, and all triples between them.

    :param synsets: all of WordNet
    :param pictured: the keys of the synsets with a picture
    :returns: the triples, sorted; relations with few triples are left out, and an entity without a picture has two
    """
    pictured = set(pictured)
    kept = {key for key, synset in synsets.items() if not UNWANTED.search(synset.gloss)} | pictured
    symbols = {symbol: relation for relation, (symbol, _) in RELATIONS.items()}
    chosen = set(pictured)
    for key in sorted(pictured):
        by_symbol = collections.defaultdict(list)
        for symbol, target in synsets[key].pointers:
            by_symbol[symbol].append(target)
        for symbol, targets in by_symbol.items():
            limit = FOLLOWED.get(symbol, 4 if symbol in symbols else 0)
            usable = [target for target in targets if target in kept]
            chosen.update(sorted(usable, key=lambda target: rank("neighbour", target))[:limit])
    frontier = list(chosen)
    while frontier:
        key = frontier.pop()
        for symbol, target in synsets[key].pointers:
            if symbol in {"@", "@i"} and target not in chosen and target in kept:
                chosen.add(target)
                frontier.append(target)
    triples = set()
    for key in chosen:
        for symbol, target in synsets[key].pointers:
            if symbol in symbols and target in chosen and target != key:
                relation = symbols[symbol]
                head, tail = sorted((key, target)) if relation in SYMMETRIC else (key, target)
                triples.add((head, relation, tail))
    # WordNet has a few pairs of fields that are terms of each other
    triples = {
        (head, relation, tail)
        for head, relation, tail in triples
        if head < tail or (tail, relation, head) not in triples
    }
    while True:
        sizes = collections.Counter(relation for _, relation, _ in triples)
        degrees = collections.Counter(entity for head, _, tail in triples for entity in (head, tail))
        fit = {
            (head, relation, tail)
            for head, relation, tail in triples
            if sizes[relation] >= MIN_TRIPLES and all(degrees[e] >= 2 or e in pictured for e in (head, tail))
        }
        if fit == triples:
            return sorted(triples)
        triples = fit
