"""Entity vectors out of text, images and the training graph: the first two components of MRE."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from docdata import parse_docdata
from pykeen.nn.representation import Embedding, Representation
from pykeen.regularizers import Regularizer
from pykeen.typing import BoolTensor, FloatTensor, LongTensor, MappedTriples
from torch import nn
from torch.nn import functional

from ...errors import MultimodalError
from ...indexing import Ragged, gather_rows, pick
from ...options import strict
from ..cached import CachedRepresentation
from ..feature import FeatureRepresentation

__all__ = ["AlignedRepresentation", "AuxiliaryLoss", "SampledRGCNRepresentation"]


class AuxiliaryLoss(Regularizer):
    """A sum of losses, as a term that PyKEEN's training loops add to that of the triples."""

    def forward(self, x: FloatTensor) -> FloatTensor:  # noqa: D102
        return x


@parse_docdata
class AlignedRepresentation(CachedRepresentation):
    r"""The mean of an entity's projected modalities, trained by alignment and by masked reconstruction.

    With frozen vectors of a vision-language model this is what remains of MRE's multimodal learner [cai2024]_. For the
    entities of a batch that have both an image and a text, it brings the two together:

    .. math::

        L_a = -\frac12 \sum_i \log\frac{e^{s_{ii} / \tau}}{\sum_j e^{s_{ij} / \tau}}
            + \log\frac{e^{s_{ii} / \tau}}{\sum_j e^{s_{ji} / \tau}}
        \qquad s_{ij} = \cos(W_v \mathbf{v}_i, W_t \mathbf{t}_j)

    averaged over i. The reconstruction is that of masked autoencoders [he2022]_, as MRE applies it to image and text at
    once: a random share :math:`\rho` of the coordinates of all of an entity's vectors :math:`\mathbf{x}_m` is masked,
    and found again from the mean of what is left,

    .. math::

        L_m = \frac{\sum_i \|\mathbf{b}_{im} \odot (D_m \mathbf{u}_i - \mathbf{x}_{im})\|^2}
            {\sum_i \|\mathbf{b}_{im} \odot \mathbf{x}_{im}\|^2}
        \qquad \mathbf{u}_i = \frac{1}{|M_i|} \sum_{m \in M_i} W_m \frac{(1 - \mathbf{b}_{im}) \odot \mathbf{x}_{im}}
            {1 - \rho}
        \qquad \mathbf{b}_{im} \sim \mathrm{Bernoulli}(\rho)

    over the entities that have the modality; :math:`M_i` are the modalities of the entity i. MRE masks patches and
    tokens, of which a frozen vector has none; by the denominator the loss of zeros is 1, whatever the encoder's scale.

    Their weighted sum reaches the loss the way PyKEEN's regularizers do. An entity without any modality is zero.

    ---
    name: Aligned Modalities
    citation:
        author: Cai
        year: 2024
        link: https://arxiv.org/abs/2404.06220
        arxiv: 2404.06220
    """

    @strict(temperature=0, contrastive_weight=0, mask_rate=(0, 1), max_rows=1)
    def __init__(
        self,
        parts: Mapping[str, FeatureRepresentation],
        structural: bool = False,
        temperature: float = 0.05,
        contrastive_weight: float = 1.0,
        reconstruction_weight: float | Mapping[str, float] = 0.0,
        mask_rate: float = 0.75,
        max_rows: int = 1024,
        **kwargs: Any,
    ) -> None:
        """Initialize the representation.

        :param parts: the frozen features by modality, projected to one dimension
        :param structural: whether there is a trained vector of each entity besides
        :param temperature: the temperature of the contrastive term
        :param contrastive_weight: the weight of the alignment, 0 for none
        :param reconstruction_weight: the weight of the reconstruction, 0 for none; or one for each modality
        :param mask_rate: the share of coordinates that is masked
        :param max_rows: how many entities of a batch, drawn at random, the two losses are taken over at most
        :param kwargs: keyword arguments of :class:`~pykeen_mmkg.nn.cached.CachedRepresentation`
        :raises MultimodalError: if there is nothing to represent an entity, or an option does not fit
        """
        if not parts:
            raise MultimodalError("There is no modality to align.")
        if not 0 < mask_rate < 1:
            raise MultimodalError(f"mask_rate must be between 0 and 1; got {mask_rate}.")
        if not isinstance(reconstruction_weight, Mapping):
            reconstruction_weight = dict.fromkeys(parts, reconstruction_weight)
        weights = {name: weight for name, weight in reconstruction_weight.items() if weight and name in parts}
        if bare := [name for name in weights if parts[name].projection is None]:
            raise MultimodalError(f"Without a projection there is nothing to learn from a masked vector: {bare}.")
        first = next(iter(parts.values()))
        super().__init__(max_id=first.max_id, shape=first.shape, **kwargs)
        self.parts = nn.ModuleDict(parts)
        self.free = Embedding(max_id=first.max_id, shape=first.shape) if structural else None
        self.temperature, self.contrastive_weight = temperature, contrastive_weight
        self.reconstruction_weight, self.mask_rate, self.max_rows = weights, mask_rate, max_rows
        self.decoders = nn.ModuleDict({name: nn.Linear(self.shape[0], parts[name].feature_dim) for name in weights})
        self.objective = AuxiliaryLoss()

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
        if self.training and torch.is_grad_enabled():
            self._learn(indices, vectors, masks)
        return _mean(vectors, masks)

    def _learn(self, indices: LongTensor | None, vectors: Sequence[FloatTensor], masks: Sequence[BoolTensor]) -> None:
        """Add the losses of a batch."""
        aligned = bool(self.contrastive_weight) and len(self.parts) == 2
        if not aligned and not self.decoders:
            return
        ids = torch.arange(self.max_id, device=masks[0].device) if indices is None else indices.reshape(-1)
        rows = torch.randperm(len(ids), device=ids.device)[: self.max_rows]
        if aligned:
            both = rows[(masks[0] & masks[1]).view(-1)[rows]]
            self._align(*(x.view(len(ids), -1)[both] for x in vectors[:2]))
        if self.decoders:
            self._reconstruct(ids[rows])

    def _align(self, one: FloatTensor, other: FloatTensor) -> None:
        """Add the contrastive loss of entities that have both; shape: ``(n, d)`` each."""
        if len(one) < 2:
            return
        similarity = functional.normalize(one, dim=-1) @ functional.normalize(other, dim=-1).T / self.temperature
        own = torch.arange(len(similarity), device=similarity.device)
        loss = (functional.cross_entropy(similarity, own) + functional.cross_entropy(similarity.T, own)) / 2
        self.objective.update(self.contrastive_weight * loss)

    def hide(self, x: FloatTensor) -> tuple[FloatTensor, BoolTensor]:
        """Mask a random share of the coordinates, and scale the rest up so that the sum stays the same on average.

        :param x: shape: ``(n, d)``
        :returns: what is left, and which coordinates are masked; shape: ``(n, d)`` each
        """
        hidden = torch.rand_like(x) < self.mask_rate
        return x.masked_fill(hidden, 0.0) / (1 - self.mask_rate), hidden

    def _reconstruct(self, indices: LongTensor) -> None:
        """Add the reconstruction loss of entities of shape ``(n,)``."""
        inputs, left, masks = {}, [], []
        for name, module in self.parts.items():
            part = cast(FeatureRepresentation, module)
            if part.projection is None:
                continue
            x = part.lookup(indices)
            rest, hidden = self.hide(x)
            mask = part.mask[indices]
            left.append(part.projection(rest))
            masks.append(mask)
            inputs[name] = x, hidden & mask[:, None]
        u = _mean(left, masks)
        for name, weight in self.reconstruction_weight.items():
            x, hidden = inputs[name]
            error = ((self.decoders[name](u) - x) * hidden).square().sum()
            self.objective.update(weight * error / (x * hidden).square().sum().clamp(min=1e-12))


def _mean(vectors: Sequence[FloatTensor], masks: Sequence[BoolTensor]) -> FloatTensor:
    """Return the mean over what is there, zero where nothing is; shape: ``(n, d)``."""
    weight = torch.stack(list(masks)).to(vectors[0])[..., None]
    return (torch.stack(list(vectors)) * weight).sum(0) / weight.sum(0).clamp(min=1)


@parse_docdata
class SampledRGCNRepresentation(CachedRepresentation):
    r"""One relational graph convolution over a few sampled neighbours, with a basis decomposition.

    .. math::

        \mathbf{e}' = \mathrm{LeakyReLU}_{0.2}\Big(W_0 \mathbf{e} + \frac{1}{|S_e|} \sum_{(r, i) \in S_e} \sum_b
            a_{rb} V_b \mathbf{e}_i\Big)

    :math:`S_e` is a sample of the links of e in the training triples, in both directions: drawn anew in each training
    step, and spread evenly over all links in evaluation. PyKEEN's own R-GCN computes the whole graph in every step.

    MRE [cai2024]_ takes the links that come in alone (``inverse=False``), without replacement (``replacement=False``)
    in training and all of them in evaluation (``eval_neighbors=None``), and sums the means of each relation, where the
    default has one mean (``per_relation``):

    .. math::

        \sum_r \frac{1}{|S_{e, r}|} \sum_{i \in S_{e, r}} \sum_b a_{rb} V_b \mathbf{e}_i

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
    offsets: LongTensor

    @strict(shape=1, num_bases=1, num_neighbors=1, eval_neighbors=1)
    def __init__(
        self,
        base: Representation,
        triples: MappedTriples,
        num_relations: int,
        shape: int = 200,
        num_bases: int = 30,
        num_neighbors: int = 4,
        eval_neighbors: int | None = 16,
        inverse: bool = True,
        per_relation: bool = False,
        replacement: bool = True,
        xavier: bool = False,
        **kwargs: Any,
    ) -> None:
        """Initialize the representation.

        :param base: the vectors that are convolved
        :param triples: shape: ``(n, 3)``; the training triples, and no others
        :param num_relations: the number of relations
        :param shape: the dimension of the result
        :param num_bases: the number of bases
        :param num_neighbors: the size of a sample in training
        :param eval_neighbors: the size of a sample in evaluation; None: all links
        :param inverse: whether the links that go out count, too, as those of inverse relations
        :param per_relation: whether the mean of each relation's links is taken, and these are summed
        :param replacement: whether a sample in training may have a link twice
        :param xavier: whether the maps are drawn by Xavier's uniform distribution [glorot2010]_, that of each basis and
            that of the coefficients, and the bias is zero at first
        :param kwargs: keyword arguments of :class:`~pykeen_mmkg.nn.cached.CachedRepresentation`
        """
        super().__init__(max_id=base.max_id, shape=shape, **kwargs)
        self.base = base
        self.num_neighbors, self.eval_neighbors = num_neighbors, eval_neighbors
        dim = base.shape[0]
        triples = triples.cpu().unique(dim=0)
        self.per_relation, self.replacement, self.xavier = per_relation, replacement, xavier
        ends, others, relations = [triples[:, 2]], [triples[:, 0]], [triples[:, 1]]
        if inverse:
            ends, others = [triples[:, 0], triples[:, 2]], [triples[:, 2], triples[:, 0]]
            relations = [triples[:, 1], triples[:, 1] + num_relations]
        links = Ragged.group(torch.cat(ends), base.max_id)
        neighbor, relation = torch.cat(others)[links.values], torch.cat(relations)[links.values]
        self.register_buffer("neighbor", neighbor, persistent=False)
        self.register_buffer("relation", relation, persistent=False)
        self.register_buffer("offsets", links.offsets, persistent=False)
        self.own = nn.Linear(dim, shape)
        self.bases = nn.Linear(dim, num_bases * shape, bias=False)
        self.mixture = nn.Embedding(2 * num_relations if inverse else num_relations, num_bases)

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        super().reset_parameters()
        if not self.xavier:
            nn.init.normal_(self.mixture.weight, std=self.mixture.embedding_dim**-0.5)
            return
        nn.init.xavier_uniform_(self.mixture.weight)
        nn.init.xavier_uniform_(self.own.weight)
        nn.init.zeros_(self.own.bias)
        bound = (6 / (self.own.in_features + self.own.out_features)) ** 0.5
        nn.init.uniform_(self.bases.weight, -bound, bound)

    def _plain_forward(self, indices: LongTensor | None = None) -> FloatTensor:
        ids = torch.arange(self.max_id, device=self.offsets.device) if indices is None else indices.reshape(-1)
        if self.training or self.eval_neighbors is not None:
            own, mixed = self._mix_sample(ids)
        else:
            own, mixed = self._mix_all(ids)
        message = torch.einsum("nbd,bsd->ns", mixed, self.bases.weight.view(mixed.shape[1], -1, mixed.shape[-1]))
        x = functional.leaky_relu(self.own(own) + message, 0.2)
        return x if indices is None else x.view(*indices.shape, -1)

    def _mix_sample(self, ids: LongTensor) -> tuple[FloatTensor, FloatTensor]:
        """Return the vectors of entities, and those of a sample of neighbours mixed for each basis.

        :param ids: shape: ``(n,)``
        :returns: shape: ``(n, d)`` and ``(n, b, d)``
        """
        link, share = self._sample(ids)
        link = link.clamp(max=max(len(self.neighbor) - 1, 0))  # of an entity without links, whose share is zero
        around, inverse = self.neighbor[link].unique(return_inverse=True)
        # mix the bases of a relation over the neighbours first: (b, basis, dim) is small, (b, k, basis, shape) is not
        both, position = torch.cat([ids, around]).unique(return_inverse=True)
        vectors = self.base(both)
        own, near = vectors[position[: len(ids)]], vectors[position[len(ids) :]][inverse]
        weight = self.mixture(self.relation[link]) * share[..., None]
        return own, torch.einsum("nkb,nkd->nbd", weight, near)

    def _sample(self, ids: LongTensor) -> tuple[LongTensor, FloatTensor]:
        """Return a sample of links, and the share that each has in the mean; shape: ``(n, k)`` both."""
        k = self.num_neighbors if self.training or self.eval_neighbors is None else self.eval_neighbors
        count = self.offsets.diff()[ids, None]
        place = torch.arange(k, device=ids.device)
        there = (count > 0).expand(-1, k)
        if not self.training:
            link = self.offsets[ids, None] + place * count // k
        elif self.replacement:
            link = pick(self.offsets, ids[:, None], torch.rand(len(ids), k, device=ids.device))
        else:
            link = self.offsets[ids, None] + _distinct(count, k)
            there = place < count
        if not self.per_relation:
            return link, there / there.sum(-1, keepdim=True).clamp(min=1)
        relation = self.relation[link.clamp(max=max(len(self.relation) - 1, 0))]
        same = (relation[:, :, None] == relation[:, None]) & there[:, None]
        return link, there / same.sum(-1).clamp(min=1)

    def _mix_all(self, ids: LongTensor) -> tuple[FloatTensor, FloatTensor]:
        """Return the same as :meth:`_mix_sample`, of all neighbours."""
        row, link = gather_rows(self.offsets, ids)
        relation, num_relations = self.relation[link], self.mixture.num_embeddings
        group = row * num_relations + relation if self.per_relation else row
        _, group, count = group.unique(return_inverse=True, return_counts=True)
        both, position = torch.cat([ids, self.neighbor[link]]).unique(return_inverse=True)
        vectors = self.base(both)
        weight = self.mixture(relation) / count[group, None]
        place, shape = torch.stack([row, position[len(ids) :]]), (len(ids), len(both))
        mixed = [
            torch.sparse.mm(torch.sparse_coo_tensor(place, w, shape, check_invariants=False), vectors) for w in weight.T
        ]
        return vectors[position[: len(ids)]], torch.stack(mixed, dim=1)


def _distinct(count: LongTensor, k: int) -> LongTensor:
    """Draw k different numbers below each count, all of them where there are no more.

    :param count: shape: ``(n, 1)``
    :param k: how many
    :returns: shape: ``(n, k)``; the first ``min(k, count)`` of a row are what was drawn
    """
    drawn = count.new_zeros(len(count), 0)
    for i in range(k):
        number = (torch.rand(len(count), 1, device=count.device) * (count - i).clamp(min=1)).long()
        # skip what is drawn already
        for earlier in drawn.sort(dim=-1).values.split(1, dim=-1) if i else ():
            number = number + (number >= earlier).long()
        drawn = torch.cat([drawn, number], dim=-1)
    return drawn
