"""Entity vectors out of text, images and the training graph: the first two components of MRE."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from docdata import parse_docdata
from pykeen.nn.representation import Embedding, Representation
from pykeen.typing import BoolTensor, FloatTensor, LongTensor, MappedTriples
from torch import nn
from torch.nn import functional

from ..errors import MultimodalError
from .cache import CachedRepresentation
from .feature import FeatureRepresentation

__all__ = ["AlignedRepresentation", "SampledRGCNRepresentation"]


@parse_docdata
class AlignedRepresentation(CachedRepresentation):
    r"""The mean of an entity's projected modalities, which a contrastive term brings together.

    With frozen vectors of a vision-language model this is what remains of MRE's multimodal learner [cai2024]_. For the
    entities of a batch that have both an image and a text,

    .. math::

        L = -\frac12 \sum_i \log\frac{e^{s_{ii} / \tau}}{\sum_j e^{s_{ij} / \tau}}
            + \log\frac{e^{s_{ii} / \tau}}{\sum_j e^{s_{ji} / \tau}}
        \qquad s_{ij} = \cos(W_v \mathbf{v}_i, W_t \mathbf{t}_j)

    averaged over i; :meth:`pop_loss` hands it over. An entity without any modality is zero.

    ---
    name: Aligned Modalities
    citation:
        author: Cai
        year: 2024
        link: https://arxiv.org/abs/2404.06220
        arxiv: 2404.06220
    """

    def __init__(
        self,
        parts: Mapping[str, FeatureRepresentation],
        structural: bool = False,
        temperature: float = 0.05,
        **kwargs: Any,
    ) -> None:
        """Initialize the representation.

        :param parts: the frozen features by modality, projected to one dimension
        :param structural: whether there is a trained vector of each entity besides
        :param temperature: the temperature of the contrastive term
        :param kwargs: keyword arguments of :class:`~pykeen_mmkg.nn.cache.CachedRepresentation`
        :raises MultimodalError: if there is nothing to represent an entity
        """
        if not parts:
            raise MultimodalError("There is no modality to align.")
        first = next(iter(parts.values()))
        super().__init__(max_id=first.max_id, shape=first.shape, **kwargs)
        self.parts = nn.ModuleDict(parts)
        self.free = Embedding(max_id=first.max_id, shape=first.shape) if structural else None
        self.temperature = temperature
        self._loss: FloatTensor | None = None

    def _plain_forward(self, indices: LongTensor | None = None) -> FloatTensor:
        vectors: list[FloatTensor] = []
        masks: list[BoolTensor] = []
        for part in self.parts.values():
            mask = cast(FeatureRepresentation, part).mask
            vectors.append(part(indices))
            masks.append(mask if indices is None else mask[indices])
        if self.free is not None:
            vectors.append(self.free(indices))
            masks.append(torch.ones_like(masks[0]))
        if self.training and torch.is_grad_enabled() and len(self.parts) == 2:
            self._align(vectors[0], vectors[1], masks[0] & masks[1])
        weight = torch.stack(masks).to(vectors[0])[..., None]
        return (torch.stack(vectors) * weight).sum(0) / weight.sum(0).clamp(min=1)

    def _align(self, one: FloatTensor, other: FloatTensor, mask: BoolTensor) -> None:
        if int(mask.sum()) < 2:
            return
        similarity = functional.normalize(one[mask], dim=-1) @ functional.normalize(other[mask], dim=-1).T
        similarity = similarity / self.temperature
        own = torch.arange(len(similarity), device=similarity.device)
        loss = (functional.cross_entropy(similarity, own) + functional.cross_entropy(similarity.T, own)) / 2
        self._loss = loss if self._loss is None else self._loss + loss

    def pop_loss(self) -> FloatTensor | None:
        """Return the contrastive loss of all calls since the last time, and forget it."""
        loss, self._loss = self._loss, None
        return loss


@parse_docdata
class SampledRGCNRepresentation(CachedRepresentation):
    r"""One relational graph convolution over a few sampled neighbours, with a basis decomposition.

    .. math::

        \mathbf{e}' = \mathrm{LeakyReLU}_{0.2}\Big(W_0 \mathbf{e} + \frac{1}{|S_e|} \sum_{(r, i) \in S_e} \sum_b
            a_{rb} V_b \mathbf{e}_i\Big)

    :math:`S_e` is a sample of the links of e in the training triples, in both directions: drawn anew in each training
    step, and spread evenly over all links in evaluation. PyKEEN's own R-GCN computes the whole graph in every step.

    ---
    name: Sampled R-GCN
    citation:
        author: Schlichtkrull
        year: 2018
        link: https://arxiv.org/abs/1703.06103
        arxiv: 1703.06103
    """

    neighbor: LongTensor
    relation: LongTensor
    count: LongTensor
    start: LongTensor

    def __init__(
        self,
        base: Representation,
        triples: MappedTriples,
        num_relations: int,
        shape: int = 200,
        num_bases: int = 30,
        num_neighbors: int = 4,
        eval_neighbors: int = 16,
        **kwargs: Any,
    ) -> None:
        """Initialize the representation.

        :param base: the vectors that are convolved
        :param triples: shape: ``(n, 3)``; the training triples, and no others
        :param num_relations: the number of relations
        :param shape: the dimension of the result
        :param num_bases: the number of bases
        :param num_neighbors: the size of a sample in training
        :param eval_neighbors: the size of a sample in evaluation
        :param kwargs: keyword arguments of :class:`~pykeen_mmkg.nn.cache.CachedRepresentation`
        """
        super().__init__(max_id=base.max_id, shape=shape, **kwargs)
        self.base = base
        self.num_neighbors, self.eval_neighbors = num_neighbors, eval_neighbors
        dim = base.shape[0]
        triples = triples.cpu().unique(dim=0)
        source = torch.cat([triples[:, 0], triples[:, 2]])
        order = source.argsort(stable=True)
        neighbor = torch.cat([triples[:, 2], triples[:, 0]])[order]
        relation = torch.cat([triples[:, 1], triples[:, 1] + num_relations])[order]
        count = torch.bincount(source, minlength=base.max_id)
        self.register_buffer("neighbor", neighbor, persistent=False)
        self.register_buffer("relation", relation, persistent=False)
        self.register_buffer("count", count, persistent=False)
        self.register_buffer("start", count.cumsum(0) - count, persistent=False)
        self.own = nn.Linear(dim, shape)
        self.bases = nn.Linear(dim, num_bases * shape, bias=False)
        self.mixture = nn.Embedding(2 * num_relations, num_bases)

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        super().reset_parameters()
        nn.init.normal_(self.mixture.weight, std=self.mixture.embedding_dim**-0.5)

    def _plain_forward(self, indices: LongTensor | None = None) -> FloatTensor:
        ids = torch.arange(self.max_id, device=self.count.device) if indices is None else indices.reshape(-1)
        k = self.num_neighbors if self.training else self.eval_neighbors
        count = self.count[ids, None]
        if self.training:
            place = (torch.rand(len(ids), k, device=ids.device) * count).long()
        else:
            place = torch.arange(k, device=ids.device) * count // k
        link = (self.start[ids, None] + place).clamp(max=max(len(self.neighbor) - 1, 0))
        around, inverse = self.neighbor[link].unique(return_inverse=True)
        # mix the bases of a relation over the neighbours first: (b, basis, dim) is small, (b, k, basis, shape) is not
        both, position = torch.cat([ids, around]).unique(return_inverse=True)
        vectors = self.base(both)
        own, near = vectors[position[: len(ids)]], vectors[position[len(ids) :]][inverse]
        weight = self.mixture(self.relation[link]) * (count > 0)[..., None] / k
        mixed = torch.einsum("nkb,nkd->nbd", weight, near)
        num_bases = weight.shape[-1]
        message = torch.einsum("nbd,bsd->ns", mixed, self.bases.weight.view(num_bases, -1, mixed.shape[-1]))
        x = functional.leaky_relu(self.own(own) + message, 0.2)
        return x if indices is None else x.view(*indices.shape, -1)
