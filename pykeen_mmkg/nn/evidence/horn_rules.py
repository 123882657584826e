r"""Rules of one and of two links, mined from the training triples with their confidences.

A link rule :math:`r'(h, t) \Rightarrow r(h, t)` and a path rule :math:`r_1(h, x) \wedge r_2(x, t) \Rightarrow r(h, t)`
hold with the confidence

.. math::

    c = \frac{|\{(h, t): \mathrm{body} \wedge r(h, t)\}|}{|\{(h, t): \mathrm{body}\}| + 5}

where the constant discounts what was seen only a few times. Where several rules, or several paths of one rule, lead to
an answer, they are joined by a noisy-or.
"""

import numpy
import torch
from pykeen.typing import FloatTensor, LongTensor
from scipy import sparse

from ...indexing import TargetIndex
from .mining import mine_paths
from .queries import DirectedTriples, Queries
from .reasons import Reason

__all__ = ["PSEUDO_COUNT", "LinkRules", "PathRules", "noisy_or"]

#: added to the number of pairs for which a body holds
PSEUDO_COUNT = 5.0
#: a confidence that counts as certain
CERTAIN = 0.999
#: the unit of the probabilities of rules
UNIT = 1e-3


def noisy_or(total: FloatTensor) -> FloatTensor:
    r"""Return the evidence of all rules that apply.

    :param total: shape: s; the sum of :math:`-\log(1 - c)` over them
    :returns: shape: s; :math:`\log(1 + p / 10^{-3})`, where :math:`p = 1 - \prod (1 - c)`
    """
    return torch.log1p(-torch.expm1(-total) / UNIT)


def _surprise(confidence: FloatTensor) -> FloatTensor:
    return -torch.log1p(-confidence.clamp(max=CERTAIN))


class LinkRules:
    """Evidence from the links between head and candidate by other relations, see the module."""

    names = ("link",)

    def __init__(self, graph: DirectedTriples, min_confidence: float = 0.005) -> None:
        """Mine the rules.

        :param graph: the training triples
        :param min_confidence: rules of less confidence are left out
        """
        self.graph = graph
        head, relation, tail = graph.triples.unbind(-1)
        pairs, pair = (head * graph.num_entities + tail).unique(return_inverse=True)
        ones = numpy.ones(len(pair), dtype=numpy.float32)
        shape = (len(pairs), 2 * graph.num_relations)
        linked = sparse.csr_matrix((ones, (pair.numpy(), relation.numpy())), shape=shape)
        both = torch.from_numpy((linked.T @ linked).toarray())
        #: shape: (2 R, 2 R); row: the relation that is concluded, column: the one that is seen
        self.confidence = (both / (both.diagonal() + PSEUDO_COUNT)).fill_diagonal_(0.0)
        self._weight = _surprise(self.confidence) * (self.confidence > min_confidence)

    def __call__(self, queries: Queries) -> FloatTensor:
        """Return the evidence, shape: ``(1, b, n)``."""
        row, relation, tail = self.graph.links(queries.heads)
        weight = self._weight[queries.relations[row], relation]
        keep = (weight > 0) & ~queries.is_own(row, queries.heads[row], relation, tail)
        return noisy_or(queries.table(row[keep], tail[keep], weight[keep]))[None]

    def reasons(self, head: int, relation: int, tail: int) -> list[Reason]:
        """Return the links between head and tail, with the confidence by which each speaks for the relation."""
        _, links, ends = self.graph.links(torch.tensor([head]))
        found = links[(ends == tail) & (self._weight[relation, links] > 0)].tolist()
        return [Reason("link", float(self.confidence[relation, link]), ((head, link, tail),)) for link in found]


class PathRules:
    """Evidence from paths of two links, see the module; nobody is evidence for itself.

    A path may also step to an entity with a similar text: that is the directed relation ``2 R``, written "~".
    """

    names = ("path",)
    #: about how many paths are held at a time
    chunk_size = 4_000_000

    def __init__(
        self,
        graph: DirectedTriples,
        similar: LongTensor | None = None,
        max_rules: int = 25,
        min_confidence: float = 0.01,
        min_support: int = 3,
        max_paths: int = 2_000_000,
    ) -> None:
        """Mine the rules.

        :param graph: the training triples
        :param similar: shape: ``(m, 2)``; pairs of an entity and one whose text is among the nearest to its own
        :param max_rules: how many rules of the greatest confidence are kept for each directed relation
        :param min_confidence: rules of less confidence are left out
        :param min_support: so are rules that conclude fewer training triples
        :param max_paths: bodies with more paths are left out: they tell little, and take longest
        """
        steps = graph.triples
        if similar is not None and len(similar):
            near = torch.full_like(similar[:, :1], 2 * graph.num_relations)
            steps = torch.cat([steps, torch.cat([similar[:, :1], near, similar[:, 1:]], dim=-1)])
        self._steps = TargetIndex.from_triples(steps, "tail")
        rules, support, pairs = mine_paths(graph, steps.unique(dim=0), max_paths, min_support, self.chunk_size)
        confidence = support / (pairs + PSEUDO_COUNT)
        order = confidence.argsort(descending=True, stable=True)
        order = order[rules[order, 0].argsort(stable=True)]
        rules, confidence = rules[order], confidence[order]
        count = torch.bincount(rules[:, 0], minlength=2 * graph.num_relations)
        rank = torch.arange(len(rules)) - (count.cumsum(0) - count)[rules[:, 0]]
        keep = (rank < max_rules) & (confidence > min_confidence)
        #: shape: (k, 3); the relation that is concluded and the two of the body; sorted by the first
        self.rules = rules[keep]
        #: shape: (k,)
        self.confidence = confidence[keep]
        count = torch.bincount(self.rules[:, 0], minlength=2 * graph.num_relations)
        self._pointer = torch.cat([count.new_zeros(1), count.cumsum(0)])

    def __call__(self, queries: Queries) -> FloatTensor:
        """Return the evidence, shape: ``(1, b, n)``."""
        first = self._pointer[queries.relations]
        length = self._pointer[queries.relations + 1] - first
        row = torch.repeat_interleave(torch.arange(len(queries)), length)
        rule = torch.arange(len(row)) - (length.cumsum(0) - length - first)[row]
        _, r1, r2 = self.rules[rule].unbind(-1)
        asked, middle = self._steps.rows(queries.heads[row], r1)
        keep = ~queries.is_own(row[asked], queries.heads[row[asked]], r1[asked], middle)
        asked, middle = asked[keep], middle[keep]
        weight = _surprise(self.confidence)[rule].float()
        total = queries.table(row[:0], row[:0], weight[:0])
        number = self._steps.find(middle, r2[asked])
        asked, middle, number = asked[number >= 0], middle[number >= 0], number[number >= 0]
        part = self._steps.answers.offsets.diff()[number].cumsum(0) // self.chunk_size
        for some in torch.arange(len(asked)).split(part.unique_consecutive(return_counts=True)[1].tolist()):
            place, tail = self._steps.answers.rows(number[some])
            path = asked[some][place]
            query = row[path]
            keep = tail != queries.heads[query]
            keep &= ~queries.is_own(query, middle[some][place], r2[path], tail)
            total += queries.table(query[keep], tail[keep], weight[path[keep]])
        return noisy_or(total)[None]

    def reasons(self, head: int, relation: int, tail: int) -> list[Reason]:
        """Return the paths of rules from head to tail, with the confidence of the rule."""
        result = []
        for rule in range(int(self._pointer[relation]), int(self._pointer[relation + 1]) if tail != head else 0):
            _, first, second = self.rules[rule].tolist()
            _, middle = self._steps.rows(torch.tensor([head]), torch.tensor([first]))
            place, end = self._steps.rows(middle, torch.full_like(middle, second))
            for x in middle[place[end == tail]].tolist():
                # the triple that is asked about is no reason for itself
                if (head, relation, tail) not in {(head, first, x), (x, second, tail)}:
                    triples = ((head, first, x), (x, second, tail))
                    result.append(Reason("path", float(self.confidence[rule]), triples))
        return result
