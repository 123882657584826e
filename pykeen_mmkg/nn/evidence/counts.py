"""What the number of triples says: how often an entity is an answer, and whether it can be its own."""

import torch
from pykeen.typing import FloatTensor

from .queries import DirectedTriples, Queries

__all__ = ["Loops", "Prior"]


class Loops:
    r"""Evidence against an entity as its own answer.

    .. math::

        f(h, r, t) = [h = t] \log \frac{1 + |\{x: (x, r, x)\}|}{1 + |\{(x, y): (x, r, y)\}|}

    Nothing is as similar to an entity as itself, so all that compares texts proposes it first; in most relations it is
    never the answer.
    """

    names = ("loop",)

    def __init__(self, graph: DirectedTriples) -> None:
        """Initialize the evidence with the training triples."""
        head, relation, tail = graph.triples.unbind(-1)
        kinds = 2 * graph.num_relations
        self._loops = torch.bincount(relation[head == tail], minlength=kinds)
        self._triples = torch.bincount(relation, minlength=kinds)

    def __call__(self, queries: Queries) -> FloatTensor:
        """Return the evidence, shape: ``(1, b, n)``."""
        loops, triples = self._loops[queries.relations], self._triples[queries.relations]
        if queries.own is not None:
            loops, triples = loops - (queries.own == queries.heads).long(), triples - 1
        rows = torch.arange(len(queries))
        return queries.table(rows, queries.heads, torch.log((loops + 1) / (triples + 1)))[None]


class Prior:
    """How often a candidate is an answer of the relation, ``log(1 + count)``: 0 for one that has no training triple."""

    names = ("prior",)

    def __init__(self, graph: DirectedTriples) -> None:
        """Initialize the evidence with the training triples."""
        self.graph = graph

    def __call__(self, queries: Queries) -> FloatTensor:
        """Return the evidence, shape: ``(1, b, n)``."""
        relations, place = queries.relations.unique(return_inverse=True)
        ids = torch.arange(queries.num_entities) if queries.ids is None else queries.ids
        back = (relations + queries.num_relations) % (2 * queries.num_relations)
        number = self.graph.answers.find(ids.repeat(len(back)), back.repeat_interleave(len(ids)))
        count = torch.where(number >= 0, self.graph.answers.answers.offsets.diff()[number], 0)
        count = count.view(len(back), -1)[place]
        if queries.own is not None:
            count = count - (ids == queries.own[:, None]).long()
        return torch.log1p(count.float())[None]
