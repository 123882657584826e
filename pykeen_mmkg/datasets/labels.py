"""Labels of entities and relations in the order of their ids."""

from collections.abc import Mapping

__all__ = ["labels_in_order"]


def labels_in_order(label_to_id: Mapping[str, int]) -> tuple[str, ...]:
    """Return the labels in the order of their ids."""
    return tuple(sorted(label_to_id, key=label_to_id.__getitem__))
