"""The links and paths between pairs of entities, gathered once for all that weighs them."""

from typing import NamedTuple

import torch
from pykeen.typing import FloatTensor, LongTensor

from ...indexing import find_sorted, gather_rows, row_offsets
from .graph import EvidenceGraph

__all__ = ["Walks"]


class Walks(NamedTuple):
    """Links and paths of two links between the heads of queries and tails, without those of the relation asked for.

    The pairs are either listed, or a grid of all queries and tails; what is gathered is the same. A directed relation
    is ``r`` where the walk enters the link at its head, ``R + r`` where it enters at its tail.
    """

    #: the number of pairs
    num_pairs: int
    #: links between head and tail: pair, query, directed relation as seen from the tail
    direct: tuple[LongTensor, LongTensor, LongTensor]
    #: links of the heads: query, step (the number of a query's neighbour), directed relation as seen from the head
    reach: tuple[LongTensor, LongTensor, LongTensor]
    #: shape: ``(s,)``; ``log(1 + degree)`` of the neighbour that each step leads to
    log_degree: FloatTensor
    #: links between such neighbours and tails: pair, query, step, directed relation as seen from the tail; those of the
    #: same pair and step one after the other
    met: tuple[LongTensor, LongTensor, LongTensor, LongTensor]

    @classmethod
    def listed(
        cls,
        graph: EvidenceGraph,
        hops: int,
        heads: LongTensor,
        relations: LongTensor,
        query: LongTensor,
        tails: LongTensor,
    ) -> "Walks":
        """Gather the walks of listed pairs, from both ends.

        :param graph: the training graph
        :param hops: how many links are walked at most, 0 to 2
        :param heads: shape: ``(q,)``; the heads of the queries
        :param relations: shape: ``(q,)``; the relations that are asked for, -1 for one that is not in the graph
        :param query: shape: ``(m,)``; the query of each pair
        :param tails: shape: ``(m,)``; the tails
        :returns: the walks
        """
        n = graph.num_entities
        pair, other, back = graph.links(tails if hops else tails[:0], relations[query if hops else query[:0]])
        relation, q2 = graph.reverse(back), query[pair]
        hit = (other == heads[q2]).nonzero().view(-1)
        direct = pair[hit], q2[hit], relation[hit]
        code, reach = _steps(graph, hops, heads, relations)
        step = find_sorted(code, q2 * n + other)
        hit = (step >= 0).nonzero().view(-1)
        return cls(
            len(tails), direct, reach, graph.log_degree[code % n], (pair[hit], q2[hit], step[hit], relation[hit])
        )

    @classmethod
    def grid(
        cls,
        graph: EvidenceGraph,
        hops: int,
        heads: LongTensor,
        relations: LongTensor,
        place: LongTensor,
        num_tails: int,
    ) -> "Walks":
        """Gather the walks of all pairs of queries and tails, from the heads.

        They meet far fewer links than there are around all the tails. The pair of a tail and a query is
        ``tail * q + query``.

        :param graph: the training graph
        :param hops: how many links are walked at most, 0 to 2
        :param heads: shape: ``(q,)``; the heads of the queries
        :param relations: shape: ``(q,)``; the relations that are asked for, -1 for one that is not in the graph
        :param place: shape: ``(num_entities,)``; the position of an entity among the tails, -1 for none
        :param num_tails: the number of tails
        :returns: the walks
        """
        n, q = graph.num_entities, len(heads)
        q1, other, relation = graph.links(heads if hops else heads[:0], relations if hops else relations[:0])
        tail = place[other]
        hit = (tail >= 0).nonzero().view(-1)
        direct = tail[hit] * q + q1[hit], q1[hit], relation[hit]
        code, reach = _steps(graph, hops, heads, relations)
        middle, asking = code % n, code // n
        step, other, relation = graph.links(middle, relations[asking])
        tail = place[other]
        hit = (tail >= 0).nonzero().view(-1)
        step, relation = step[hit], relation[hit]
        q2 = asking[step]
        return cls(num_tails * q, direct, reach, graph.log_degree[middle], (tail[hit] * q + q2, q2, step, relation))

    @classmethod
    def from_tails(
        cls, graph: EvidenceGraph, hops: int, tails: LongTensor, relation: int, place: LongTensor, num_heads: int
    ) -> "Walks":
        """Gather the walks of all pairs of heads and tails for one relation, from the tails.

        The pair of a head and a tail is ``head * q + tail``, and the query of a walk is its head. Of the links of the
        heads, only those that lead on to a tail are among the steps.

        :param graph: the training graph
        :param hops: how many links are walked at most, 0 to 2
        :param tails: shape: ``(q,)``; the tails
        :param relation: the relation that is asked for, -1 for one that is not in the graph
        :param place: shape: ``(num_entities,)``; the position of an entity among the heads, -1 for none
        :param num_heads: the number of heads
        :returns: the walks
        """
        q = len(tails)
        tail, middle, back = graph.links(tails if hops else tails[:0], torch.full_like(tails, relation))
        last, head = graph.reverse(back), place[middle]
        hit = (head >= 0).nonzero().view(-1)
        direct = head[hit] * q + tail[hit], head[hit], last[hit]
        if hops < 2:
            tail, middle, last = tail[:0], middle[:0], last[:0]
        nodes, node = middle.unique(return_inverse=True)
        around, other, first = graph.links(nodes, torch.full_like(nodes, relation))
        hit = (place[other] >= 0).nonzero().view(-1)
        around, head, first = around[hit], place[other[hit]], first[hit]
        code, step = (around * num_heads + head).unique_consecutive(return_inverse=True)
        reach = head, step, first
        # from each pair of a tail and a neighbour to all steps that lead there, then over all links of the pair
        pairs, link = (tail * len(nodes) + node).unique_consecutive(return_inverse=True)
        pair, step = gather_rows(row_offsets(code // num_heads, len(nodes)), pairs % max(len(nodes), 1))
        which, link = gather_rows(row_offsets(link, len(pairs)), pair)
        step = step[which]
        head = code[step] % num_heads
        met = head * q + tail[link], head, step, last[link]
        return cls(num_heads * q, direct, reach, graph.log_degree[nodes[code // num_heads]], met)

    def prior(self, graph: EvidenceGraph, linked: float = 3.0) -> FloatTensor:
        r"""Return the score of Adamic and Adar of each pair, which knows no relation; shape: ``(num_pairs,)``.

        .. math::

            \log\Big(1 + \sum_x \frac{1}{\log(2 + \deg x)}\Big) + 3\,[h, t\ \text{linked}]

        over the neighbours x that head and tail have in common: each counts once, however many relations link it, and
        links of similar texts do not count.
        """
        real = 2 * graph.num_relations
        pair, _, relation = self.direct
        bonus = self.log_degree.new_zeros(self.num_pairs).index_fill(0, pair[relation < real], linked)
        _, step, relation = self.reach
        common = torch.zeros_like(self.log_degree).index_fill(0, step[relation < real], 1.0)
        rarity = common / torch.log1p(torch.exp(self.log_degree))
        pair, _, step, relation = (x[self.met[3] < real] for x in self.met)
        first = torch.ones_like(pair, dtype=torch.bool)
        first[1:] = (pair[1:] != pair[:-1]) | (step[1:] != step[:-1])
        near = torch.zeros_like(bonus).index_add(0, pair[first], rarity[step[first]])
        return bonus + torch.log1p(near)


def _steps(
    graph: EvidenceGraph, hops: int, heads: LongTensor, relations: LongTensor
) -> tuple[LongTensor, tuple[LongTensor, LongTensor, LongTensor]]:
    """Return the first steps of paths: sorted codes ``query * num_entities + neighbour``, and the links."""
    if hops < 2:
        heads, relations = heads[:0], relations[:0]
    query, other, back = graph.links(heads, relations)
    code, step = (query * graph.num_entities + other).unique_consecutive(return_inverse=True)
    return code, (query, step, graph.reverse(back))
