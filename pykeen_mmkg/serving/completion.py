"""Labels and names of a graph, to be found by what they are called exactly or by how they begin."""

import bisect
from collections.abc import Mapping, Sequence

from ..errors import DataError

__all__ = ["NameIndex"]

#: the characters of an unknown name that an error repeats
SHOWN = 80

#: the words of a name by which it is found
MAX_WORDS = 6


class NameIndex:
    """Finds ids by labels and names in logarithmic time, whatever is asked; no name is compared with all others."""

    def __init__(self, ids: Mapping[str, int], names: Mapping[str, str], kind: str = "entity") -> None:
        """Initialize the index.

        :param ids: the labels of the graph, with their ids
        :param names: label -> name; a name may be several, separated by commas
        :param kind: what to call it in an error message
        """
        self.ids, self.kind = dict(ids), kind
        self.labels = {index: label for label, index in self.ids.items()}
        self._whole: dict[str, list[int]] = {}
        self._parts: dict[str, list[int]] = {}
        keys: set[tuple[str, int]] = set()
        for label, index in self.ids.items():
            name = names.get(label, "")
            parts = [part for part in map(str.strip, name.casefold().split(",")) if part]
            if name:
                self._whole.setdefault(name.casefold(), []).append(index)
            for part in set(parts):
                self._parts.setdefault(part, []).append(index)
            for text in (label.casefold(), *parts):
                words = text.replace("_", " ").split()[:MAX_WORDS]
                keys.update((" ".join(words[start:]), index) for start in range(len(words)))
        self._keys: Sequence[tuple[str, int]] = sorted(keys)

    def resolve(self, query: str) -> int:
        """Return the id that a query means: a label itself, or the name of exactly one thing, without case.

        :param query: a label or a name
        :returns: the id
        :raises DataError: if nothing or more than one thing is called so
        """
        if query in self.ids:
            return self.ids[query]
        folded = query.casefold()
        found = self._whole.get(folded) or self._parts.get(folded) or []
        if len(found) == 1:
            return found[0]
        shown = query if len(query) <= SHOWN else query[:SHOWN] + "..."
        if found:
            labels = [self.labels[index] for index in found[:10]]
            raise DataError(f"{len(found)} labels have the name {shown!r}: {labels}. Give one of them.")
        near = [self.labels[index] for index in self.complete(query[:3], 5)] if query.strip() else []
        raise DataError(
            f"No {self.kind} is called {shown!r}" + (f"; some that begin alike are {near}." if near else ".")
        )

    def complete(self, prefix: str, limit: int = 10) -> list[int]:
        """Return the ids of what has a name, or a word in a name, that begins so, in alphabetical order.

        :param prefix: how it begins; empty for the first in the alphabet
        :param limit: how many at most
        :returns: the ids
        """
        folded = " ".join(prefix.casefold().replace("_", " ").split())
        found: dict[int, None] = {}
        # one key may stand for many: a bound on those that are looked at
        start = bisect.bisect_left(self._keys, (folded, -1))
        for key, index in self._keys[start : start + 20 * limit]:
            if not key.startswith(folded) or len(found) == limit:
                break
            found.setdefault(index)
        return list(found)
