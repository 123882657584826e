"""Weights of a sum of scores, one set per directed relation, fitted by ranking held-out answers."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from pykeen.typing import BoolTensor, FloatTensor, LongTensor
from torch.nn import functional

from ..indexing import degrees, occurring

__all__ = ["Candidates", "fit_weights", "hold_out", "pick_candidates"]


def hold_out(
    triples: LongTensor,
    num_entities: int,
    entities: float = 0.04,
    share: float = 0.06,
    limit: int = 2000,
    pairs: bool = False,
    seed: int = 0,
) -> tuple[LongTensor, LongTensor]:
    """Set triples aside: all of some entities, which the rest then never saw, and some of the others.

    What is set aside should be like what is to be predicted. Where that never relates entities that training relates,
    as in FB15k-237, from whose validation and test triples such pairs were taken out, set whole pairs aside.

    :param triples: shape: ``(n, 3)``
    :param num_entities: the number of entities
    :param entities: the share of the entities whose triples are all set aside
    :param share: the share of the other triples that is set aside
    :param limit: about how many triples are set aside at most for either reason
    :param pairs: whether the others are drawn by the pair of their entities, in either order, so that the rest relates
        no entities that a triple of these relates
    :param seed: the random seed
    :returns: the triples that are left, and those that are set aside and have an entity that the former know. A triple
        of two entities that are set aside is in neither. If none would be left, none is set aside
    """
    generator = torch.Generator().manual_seed(seed)
    degree = degrees(triples, num_entities)
    order = torch.randperm(num_entities, generator=generator)
    order = order[degree[order] > 0]
    few = (torch.arange(len(order)) < entities * len(order)) & (degree[order].cumsum(0) <= limit)
    hidden = occurring(order[few], num_entities)
    head, tail = hidden[triples[:, 0]], hidden[triples[:, 2]]
    plain = ~head & ~tail
    chance = torch.rand(len(triples), generator=generator)
    if pairs:
        same, inverse = triples[:, [0, 2]].sort(dim=-1).values.unique(dim=0, return_inverse=True)
        chance = chance[: len(same)][inverse]
    drawn = chance < min(share, limit / max(1, int(plain.sum())))
    held = (head ^ tail) | (plain & drawn)
    rest = triples[plain & ~drawn]
    if not len(rest):
        return triples, triples[:0]
    known = occurring(rest[:, [0, 2]], num_entities)
    held &= known[triples[:, 0]] | known[triples[:, 2]]
    return rest, triples[held]


class Candidates(NamedTuple):
    """Queries, each with candidates of its own, of which one is the answer."""

    #: shape (q,), the directed relation of each query
    relation: LongTensor
    #: shape (q, K, n), the score of each candidate by each column; zero where there is no candidate
    scores: FloatTensor
    #: shape (q, n), which places hold a candidate
    mask: BoolTensor
    #: shape (q,), the place of the answer
    answer: LongTensor

    @classmethod
    def concatenate(cls, parts: Sequence["Candidates"]) -> "Candidates":
        """Join queries with different numbers of places."""
        places = max(part.mask.shape[-1] for part in parts)
        return cls(
            torch.cat([part.relation for part in parts]),
            torch.cat([functional.pad(part.scores, (0, places - part.mask.shape[-1])) for part in parts]),
            torch.cat([functional.pad(part.mask, (0, places - part.mask.shape[-1])) for part in parts]),
            torch.cat([part.answer for part in parts]),
        )


def pick_candidates(
    scores: FloatTensor,
    relation: LongTensor,
    answer: LongTensor,
    known: BoolTensor,
    best: int = 60,
    others: int = 100,
    generator: torch.Generator | None = None,
) -> Candidates:
    """Pick the candidates that decide a ranking: the best by each column, and some at random.

    :param scores: shape: ``(K, b, N)``; scores of all entities
    :param relation: shape: ``(b,)``; directed relations
    :param answer: shape: ``(b,)``; the answers
    :param known: shape: ``(b, N)``; entities that are left out, since they are answers as well; never the answer itself
    :param best: how many of the best of each column are taken
    :param others: how many entities are drawn for a batch
    :param generator: for the entities that are drawn
    :returns: the candidates
    """
    num_entities = scores.shape[-1]
    taken = torch.zeros_like(known)
    for column in scores:
        taken.scatter_(1, column.topk(min(best, num_entities), dim=-1).indices, value=True)
    drawn = torch.randint(num_entities, (others,), generator=generator)
    taken[:, drawn.to(taken.device)] = True
    taken &= ~known
    taken.scatter_(1, answer[:, None], value=True)
    count = taken.sum(dim=-1)
    # the taken ones first, in the order of their ids
    ids = taken.byte().argsort(dim=-1, descending=True, stable=True)[:, : int(count.max())]
    mask = torch.arange(ids.shape[1], device=ids.device) < count[:, None]
    picked = scores.gather(2, ids.expand(len(scores), -1, -1)).masked_fill(~mask, 0.0).transpose(0, 1)
    place = ((ids == answer[:, None]) & mask).byte().argmax(dim=-1)
    return Candidates(relation.cpu(), picked.half().cpu(), mask.cpu(), place.cpu())


def fit_weights(
    data: Candidates,
    num_relations: int,
    columns: Sequence[int] | None = None,
    shrinkage: float = 0.05,
    ridge: float = 1e-3,
    steps: int = 600,
    batch_size: int = 256,
    lr: float = 0.05,
    seed: int = 0,
) -> tuple[FloatTensor, FloatTensor]:
    r"""Fit common weights $w$ and the deviations $\delta_r$ of each relation by the cross-entropy of the answers.

    .. math::

        -\log \mathrm{softmax}\Bigl(\sum_k (w_k + \delta_{rk}) f_k\Bigr)_t
        + \frac{\lambda}{R} \sum_r \|\delta_r\|^2 + \mu \|w\|^2

    where the softmax is over the candidates of a query, and $R$ is the number of directed relations. The learning rate
    falls linearly to zero, so that the weights settle: the last steps of a constant one are noise.

    :param data: the queries
    :param num_relations: $R$
    :param columns: which columns take part, by default all; the others have the weight zero
    :param shrinkage: $\lambda$
    :param ridge: $\mu$
    :param steps: the number of steps of Adam
    :param batch_size: the number of queries in a step
    :param lr: the learning rate of the first step
    :param seed: for the order of the queries
    :returns: $w$, shape ``(K,)``, and $\delta$, shape ``(R, K)``
    """
    num_columns = data.scores.shape[1]
    chosen = list(range(num_columns)) if columns is None else list(columns)
    generator = torch.Generator().manual_seed(seed)
    common, own = torch.zeros(len(chosen)), torch.zeros(num_relations, len(chosen))
    with torch.enable_grad(), torch.inference_mode(False):
        common[:1] = 1.0
        common.requires_grad_(), own.requires_grad_()
        optimizer = torch.optim.Adam([common, own], lr=lr)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
        for _ in range(steps):
            rows = torch.randint(len(data.relation), (min(batch_size, len(data.relation)),), generator=generator)
            scores = data.scores[rows][:, chosen].float()
            total = torch.einsum("qkn,qk->qn", scores, common + own[data.relation[rows]])
            total = total.masked_fill(~data.mask[rows], -torch.inf)
            loss = functional.cross_entropy(total, data.answer[rows])
            loss = loss + shrinkage * own.square().sum() / num_relations + ridge * common.square().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    all_common, all_own = torch.zeros(num_columns), torch.zeros(num_relations, num_columns)
    all_common[chosen], all_own[:, chosen] = common.detach(), own.detach()
    return all_common, all_own
