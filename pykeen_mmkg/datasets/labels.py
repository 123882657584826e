"""Labels in the order of the ids, inverse relations included."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Literal

from pykeen.triples import CoreTriplesFactory, TriplesFactory

from ..errors import DataError

__all__ = ["KINDS", "Kind", "is_inverse", "label_digests", "labels_digest", "labels_in_order", "labels_of"]

Kind = Literal["entity", "relation"]

#: the kinds of items, and the names of their tables
KINDS: Mapping[Kind, str] = {"entity": "entities", "relation": "relations"}

#: what follows the label of a relation in that of its artificial inverse, as in PyKEEN
INVERSE_SUFFIX = "_inverse"


def labels_in_order(label_to_id: Mapping[str, int]) -> tuple[str, ...]:
    """Return the labels in the order of their ids."""
    return tuple(sorted(label_to_id, key=label_to_id.__getitem__))


def labels_digest(labels: Sequence[str]) -> str:
    """Return a SHA-256 of labels in their order."""
    return hashlib.sha256(json.dumps(list(labels)).encode()).hexdigest()


def label_digests(triples_factory: TriplesFactory) -> dict[str, str]:
    """Return a SHA-256 of the labels in the order of their ids, for ``"entities"`` and for ``"relations"``."""
    maps = {"entities": triples_factory.entity_to_id, "relations": triples_factory.relation_to_id}
    return {name: labels_digest(labels_in_order(own)) for name, own in maps.items()}


def labels_of(triples_factory: CoreTriplesFactory, kind: Kind, inverse: bool = True) -> list[str]:
    """Return the labels of entities or relations in the order of their ids.

    :param triples_factory: the factory; it must know labels
    :param kind: ``"entity"`` or ``"relation"``
    :param inverse: whether PyKEEN's artificial inverse relations are among them, if the factory has any: relation ``i``
        has the id ``2 * i`` then and its inverse ``2 * i + 1``. Where a relation of the graph is called as the inverse
        of another would be, the labels of all inverses are made longer until no two labels are equal.
    :returns: ``num_entities`` or ``num_relations`` distinct labels (without inverses: ``real_num_relations``)
    :raises DataError: if the factory has no labels
    """
    if not isinstance(triples_factory, TriplesFactory):
        raise DataError(
            f"{type(triples_factory).__name__} has no labels, so no text or image can be matched with its {kind} ids. "
            "Use a TriplesFactory, for instance from CoreTriplesFactory.with_labels, or give features as tensors in "
            "the order of the ids."
        )
    mapping = triples_factory.entity_to_id if kind == "entity" else triples_factory.relation_to_id
    labels = list(labels_in_order(mapping))
    if kind == "entity" or not inverse or not triples_factory.create_inverse_triples:
        return labels
    suffix = INVERSE_SUFFIX
    while any(label + suffix in mapping for label in labels):
        suffix += INVERSE_SUFFIX
    return [label for base in labels for label in (base, base + suffix)]


def is_inverse(label: str, relation_to_id: Mapping[str, int]) -> bool:
    """Return whether :func:`labels_of` may call the inverse of a relation so; the label of a relation never is one."""
    base = label
    while label not in relation_to_id and base.endswith(INVERSE_SUFFIX):
        base = base.removesuffix(INVERSE_SUFFIX)
        if base in relation_to_id:
            return True
    return False
