"""Split the demo's triples, so that no test triple can be read off a training triple."""

import collections
import dataclasses
from collections.abc import Iterable

from demo_graph import Triple, rank

#: relations without a single training triple
UNSEEN_RELATIONS = ("member_holonym", "region_domain", "substance_holonym")

#: seen relations to hide from training while a model for unseen relations is tuned
DEV_RELATIONS = ("antonym", "pertains_to", "topic_domain")

#: what an unseen entity is known by
MODALITIES = ("image", "text", "image+text")

#: unseen entities of each kind
UNSEEN_ENTITIES = {"test": 110, "valid": 45}

#: an unseen entity has at least and at most so many triples
DEGREES = (2, 15)

#: the share of the remaining triples
SHARES = {"test": 0.10, "valid": 0.06}


@dataclasses.dataclass
class Splits:
    """The triples by the name of the file, and the unseen entities."""

    triples: dict[str, list[Triple]]
    #: entity -> ("valid" or "test", one of :data:`MODALITIES`)
    unseen: dict[str, tuple[str, str]]


def pair(triple: Triple) -> tuple[str, str]:
    """Give the two entities of a triple regardless of its direction."""
    return min(triple[0], triple[2]), max(triple[0], triple[2])


def count_entities(triples: Iterable[Triple]) -> collections.Counter[str]:
    """Count how many triples an entity has."""
    return collections.Counter(entity for head, _, tail in triples for entity in (head, tail))


def choose_unseen(triples: list[Triple], pictured: set[str]) -> dict[str, tuple[str, str]]:
    """Choose entities to hide from training: no two adjacent, and none that another entity depends on."""
    neighbours: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for head, _, tail in triples:
        neighbours[head][tail] += 1
        neighbours[tail][head] += 1
    left = count_entities(triples)
    wanted = [(split, kind) for split, n in UNSEEN_ENTITIES.items() for _ in range(n) for kind in MODALITIES]
    candidates = [entity for entity, n in left.items() if DEGREES[0] <= n <= DEGREES[1]]
    candidates.sort(key=lambda entity: rank("unseen", entity))
    unseen: dict[str, tuple[str, str]] = {}
    for split, kind in wanted:
        for entity in candidates:
            lost = neighbours[entity]
            if entity in unseen or (entity in pictured) == (kind == "text") or not lost.keys().isdisjoint(unseen):
                continue
            if all(left[e] - n >= 1 for e, n in lost.items()):
                left.subtract(lost)
                unseen[entity] = split, kind
                break
        else:
            raise RuntimeError(f"too few candidates for unseen entities with {kind}")
    return unseen


def split_triples(triples: list[Triple], pictured: set[str]) -> Splits:
    """Split a graph.

    Triples between the same two entities stay together, whatever their relation and direction. Each entity and relation
    of ``valid`` and ``test`` occurs in ``train``; so does the other end of a triple of an unseen entity. The head of a
    triple of an unseen relation occurs in ``train``, its tail even as a tail. A triple for which that does not hold
    is left out.

    :param triples: the graph
    :param pictured: the entities with a picture
    :returns: the splits
    """
    parts: dict[str, list[Triple]] = collections.defaultdict(list)
    held = {pair(triple) for triple in triples if triple[1] in UNSEEN_RELATIONS}
    # a pair that a seen relation links as well would give the unseen one away
    seen = [t for t in triples if t[1] not in UNSEEN_RELATIONS and pair(t) not in held]
    unseen = choose_unseen(seen, pictured)
    groups = collections.defaultdict(list)
    for triple in seen:
        ends = [end for end in pair(triple) if end in unseen]
        if ends:
            parts[f"{unseen[ends[0]][0]}-unseen-entities"].append(triple)
        else:
            groups[pair(triple)].append(triple)
    left = count_entities(triple for group in groups.values() for triple in group)
    relations = collections.Counter(triple[1] for group in groups.values() for triple in group)
    total = sum(left.values()) / 2
    for group in sorted(groups.values(), key=lambda group: rank("split", *pair(group[0]))):
        name = next((name for name, share in SHARES.items() if len(parts[name]) < share * total), "train")
        entities, uses = count_entities(group), collections.Counter(triple[1] for triple in group)
        if any(left[e] - n < 1 for e, n in entities.items()) or any(relations[r] - n < 10 for r, n in uses.items()):
            name = "train"
        if name != "train":
            left.subtract(entities)
            relations.subtract(uses)
        parts[name].extend(group)
    trained = set(count_entities(parts["train"]))
    tails = {triple[2] for triple in parts["train"]}
    parts["test-unseen-relations"] = [
        t for t in triples if t[1] in UNSEEN_RELATIONS and t[0] in trained and t[2] in tails
    ]
    for name in ("test-unseen-entities", "valid-unseen-entities"):
        parts[name] = [t for t in parts[name] if (t[0] in trained) != (t[2] in trained)]
    return Splits({name: sorted(part) for name, part in parts.items()}, unseen)
