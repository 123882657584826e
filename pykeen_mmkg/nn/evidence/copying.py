"""Answers of the entities with similar texts, and texts that are like the known answers."""

import torch
from pykeen.typing import BoolTensor, FloatTensor, LongTensor

from .queries import DirectedTriples, Queries
from .reasons import Reason

__all__ = ["Copying", "Profile"]


class Copying:
    r"""Evidence from what similar entities answer: a kernel-weighted vote of the nearest texts.

    .. math::

        f(h, r, t) = \log\left(1 + 100 \sum_{h' \in \mathrm{near}(h)} [(h', r, t)]
        \exp\frac{\cos(x_h, x_{h'}) - 1}{\tau}\right)
    """

    names = ("copy",)

    def __init__(
        self,
        graph: DirectedTriples,
        ids: LongTensor,
        neighbours: LongTensor,
        cosines: FloatTensor,
        temperature: float = 0.05,
    ) -> None:
        r"""Initialize the evidence.

        :param graph: the training triples
        :param ids: shape: ``(m,)``; the entities with neighbours
        :param neighbours: shape: ``(m, k)``; their nearest
        :param cosines: shape: ``(m, k)``
        :param temperature: the width of the kernel, :math:`\tau`
        """
        self.graph = graph
        self._place = torch.full((graph.num_entities,), -1, dtype=torch.long)
        self._place[ids] = torch.arange(len(ids))
        self._neighbours = neighbours
        self._weight = torch.exp((cosines - 1) / temperature)

    def __call__(self, queries: Queries) -> FloatTensor:
        """Return the evidence, shape: ``(1, b, n)``."""
        place = self._place[queries.heads]
        row = (place >= 0).nonzero().view(-1)
        neighbours, weight = self._neighbours[place[row]], self._weight[place[row]].flatten()
        row = row.repeat_interleave(neighbours.shape[1])
        # an entity is not near itself, so a query's own triple is not among what is found
        asked, tail = self.graph.answers.rows(neighbours.flatten(), queries.relations[row])
        return torch.log1p(100 * queries.table(row[asked], tail, weight[asked]))[None]

    def reasons(self, head: int, relation: int, tail: int) -> list[Reason]:
        """Return the similar entities that have the same answer, with their weights."""
        if (place := int(self._place[head])) < 0:
            return []
        near = self._neighbours[place]
        row, answer = self.graph.answers.rows(near, torch.full_like(near, relation))
        found = row[answer == tail]
        weights = self._weight[place, found].tolist()
        return [
            Reason("copy", weight, ((other, relation, tail),))
            for other, weight in zip(near[found].tolist(), weights, strict=True)
        ]


class Profile:
    """Evidence from texts that are like those of the known answers: greatest and mean cosine, times 5."""

    names = ("profile_max", "profile_mean")

    def __init__(self, graph: DirectedTriples, vectors: FloatTensor, mask: BoolTensor, max_known: int = 16) -> None:
        """Initialize the evidence.

        :param graph: the training triples
        :param vectors: shape: ``(N, d)``; the texts, of unit length, zero where there is none
        :param mask: shape: ``(N,)``; which entities have a text
        :param max_known: with how many known answers candidates are compared for the maximum, those of the smallest ids
        """
        self.graph, self.vectors, self.mask, self.max_known = graph, vectors, mask, max_known

    def __call__(self, queries: Queries) -> FloatTensor:
        """Return the evidence, shape: ``(2, b, n)``."""
        row, known = self.graph.answers.rows(queries.heads, queries.relations)
        keep = self.mask[known] & ~queries.is_own(row, queries.heads[row], queries.relations[row], known)
        row, known = row[keep], known[keep]
        count = torch.bincount(row, minlength=len(queries))
        candidates = (self.vectors if queries.ids is None else self.vectors[queries.ids]).T
        mean = self.vectors.new_zeros(len(queries), len(candidates)).index_add_(0, row, self.vectors[known])
        result = candidates.new_zeros(2, *queries.shape)
        torch.mm(mean / count.clamp(min=1)[:, None], candidates, out=result[1])
        first = count.cumsum(0) - count
        for i in range(min(int(count.max()) if len(count) else 0, self.max_known)):
            some = (count > i).nonzero().view(-1)
            cosine = self.vectors[known[first[some] + i]] @ candidates
            # what is unlike all known answers is as good as unknown
            result[0, some] = torch.maximum(result[0, some], cosine)
        return result.mul_(5)

    def reasons(self, head: int, relation: int, tail: int) -> list[Reason]:
        """Return the other known answers with the cosines of their texts to that of the tail."""
        _, known = self.graph.answers.rows(torch.tensor([head]), torch.tensor([relation]))
        known = known[self.mask[known] & (known != tail)] if self.mask[tail] else known[:0]
        cosines = (self.vectors[known] @ self.vectors[tail]).tolist()
        return [
            Reason("profile", cosine, ((head, relation, other),))
            for other, cosine in zip(known.tolist(), cosines, strict=True)
        ]
