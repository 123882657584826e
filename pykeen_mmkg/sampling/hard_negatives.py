"""Negatives that are hard to tell from the answer: entities with a like text or picture."""

from collections.abc import Sequence
from typing import Any

import torch
from docdata import parse_docdata
from pykeen.sampling.negative_sampler import NegativeSampler
from pykeen.typing import LongTensor, MappedTriples
from torch.nn.functional import normalize

from ..errors import FeatureError
from ..features import FeatureStore
from ..options import strict

__all__ = ["SimilarNegativeSampler"]

#: how many similarities are computed at a time
CHUNK = 1024


@parse_docdata
class SimilarNegativeSampler(NegativeSampler):
    r"""Corrupt one side of a triple, chosen by a coin, by an entity whose features are like those of the true one.

    In the place of $e$ comes $e'$ with the probability

    .. math::

        \rho \frac{1}{N - 1} + (1 - \rho)\,
            \operatorname{softmax}_{e' \in K(e)}\left(\cos(\mathbf{x}_e, \mathbf{x}_{e'}) / \tau\right)

    where $K(e)$ are the entities with the nearest features. An entity without features gets any other with the same
    probability, and is itself drawn in this way only.

    This is the modality-aware part of MMRNS. There, the similarities come from an attention over pictures and texts
    that is guided by the relation and trained along with the model, through draws that have a gradient; a sampler of
    PyKEEN names entities before the model sees them.

    ---
    name: Similar
    citation:
        author: Xu
        year: 2022
        link: https://doi.org/10.1145/3503161.3548388
        github: quqxui/MMRNS
    """

    @strict(temperature=1e-6, nearest=1, share=(0, 1))
    def __init__(
        self,
        *,
        mapped_triples: MappedTriples,
        features: Any,
        labels: Sequence[str] | None = None,
        mask: Any = None,
        temperature: float = 0.1,
        nearest: int = 100,
        share: float = 0.5,
        **kwargs: Any,
    ) -> None:
        r"""Initialize the sampler.

        :param mapped_triples: shape: ``(n, 3)``; the training triples
        :param features: shape: ``(N, d)``, in the order of the ids; or a :class:`~pykeen_mmkg.features.FeatureStore`,
            or the path to one
        :param labels: the labels of the entities in the order of their ids, for a store
        :param mask: shape: ``(N,)``; which entities have features, for an array
        :param temperature: $\tau$
        :param nearest: how many entities there are in $K(e)$
        :param share: $\rho$, the share of negatives that are drawn uniformly
        :param kwargs: keyword arguments of :class:`pykeen.sampling.NegativeSampler`
        :raises FeatureError: if features do not fit the entities, or fewer than two entities have any
        """
        super().__init__(mapped_triples=mapped_triples, **kwargs)
        x, has = _aligned(features, labels, mask, self.num_entities)
        ids = has.nonzero()[:, 0]
        if len(ids) < 2:
            raise FeatureError(f"{len(ids)} of {self.num_entities} entities have features; there is none to resemble.")
        x = normalize(x[ids].float(), dim=-1)
        self.share = share
        number = min(nearest, len(ids) - 1)
        #: shape (N,), the row of an entity in the tables below, -1 without features
        self.row = torch.full((self.num_entities,), -1, dtype=torch.long)
        self.row[ids] = torch.arange(len(ids))
        others, weights = [], []
        for rows in torch.arange(len(ids)).split(CHUNK):
            cosines = x[rows] @ x.T
            cosines[torch.arange(len(rows)), rows] = -torch.inf
            top = cosines.topk(number, dim=-1)
            others.append(ids[top.indices])
            weights.append((top.values / temperature).softmax(dim=-1))
        #: shape (n, K), the entities that are like each of those with features, and how probable they are
        self.others, self.weights = torch.cat(others), torch.cat(weights)

    def corrupt_batch(self, positive_batch: LongTensor) -> LongTensor:  # noqa: D102
        k = self.num_negs_per_pos
        flat = positive_batch.reshape(-1, 3)
        column = torch.randint(2, (len(flat), k, 1)) * 2
        negative = flat.cpu()[:, None].repeat(1, k, 1)
        true = negative.gather(-1, column)[..., 0]
        # uniformly among the others
        drawn = torch.randint(self.num_entities - 1, true.shape)
        drawn = drawn + (drawn >= true).long()
        rows = self.row[true]
        hard = (rows >= 0) & (torch.rand(true.shape) >= self.share)
        if hard.any():
            chosen, inverse = rows[hard].unique(return_inverse=True)
            # one distribution function for each entity, in which all its draws look their place up
            edges = self.weights[chosen].double().cumsum(dim=-1)
            places = torch.searchsorted(edges[inverse], torch.rand(len(inverse), 1, dtype=torch.double), right=True)
            places = places[:, 0].clamp(max=edges.shape[-1] - 1)
            drawn[hard] = self.others[chosen[inverse], places]
        negative = negative.scatter(-1, column, drawn[..., None])
        return negative.to(positive_batch.device).view(*positive_batch.shape[:-1], k, 3)


def _aligned(features: Any, labels: Sequence[str] | None, mask: Any, number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a row for each entity, and which of them have features."""
    if isinstance(features, FeatureStore) or not hasattr(features, "__len__") or isinstance(features, str):
        store = features if isinstance(features, FeatureStore) else FeatureStore.load(features)
        if labels is None or len(labels) != number:
            raise FeatureError(
                f"Features in a store have labels: give the `labels` of the {number} entities, in the order of the ids."
            )
        row = {label: i for i, label in enumerate(store.labels)}
        rows = torch.as_tensor([row.get(label, -1) for label in labels])
        return store.vectors[rows.clamp(min=0)], (rows >= 0) & store.mask[rows.clamp(min=0)]
    x = torch.as_tensor(features)
    has = torch.ones(len(x), dtype=torch.bool) if mask is None else torch.as_tensor(mask, dtype=torch.bool)
    if x.ndim != 2 or len(x) != number or has.shape != (number,):
        raise FeatureError(f"Features are a matrix with a row for each of {number} entities; got {tuple(x.shape)}.")
    return x, has
