"""The feature extractor of entity pairs, for models that compare a relation with the pairs that it might link."""

import torch
from class_resolver import HintOrType
from pykeen.typing import FloatTensor, LongTensor, MappedTriples
from torch import nn
from torch.nn import functional

from ...errors import MultimodalError
from ...indexing import offsets_of, row_offsets
from ...options import strict
from .layers import draw_xavier, norm_resolver

__all__ = ["PairExtractor", "sample_neighbors"]


def sample_neighbors(triples: MappedTriples, num_entities: int, k: int, seed: int = 0) -> tuple[LongTensor, LongTensor]:
    """Sample at most k neighbours of each entity, of either direction.

    :param triples: shape: ``(n, 3)``; the training triples, and no others: neighbours out of test triples give the
        answers away
    :param num_entities: the number of entities
    :param k: the greatest number of neighbours
    :param seed: the seed of the sample
    :returns: the neighbours, shape: ``(num_entities, k)``, and how many of them count, shape: ``(num_entities,)``
    """
    triples = triples.cpu().unique(dim=0)
    source = torch.cat([triples[:, 0], triples[:, 2]])
    target = torch.cat([triples[:, 2], triples[:, 0]])
    shuffle = torch.randperm(len(source), generator=torch.Generator().manual_seed(seed))
    order = shuffle[source[shuffle].argsort(stable=True)]
    source, target = source[order], target[order]
    offsets = row_offsets(source, num_entities)
    place = torch.arange(len(source)) - offsets[source]
    keep = place < k
    table = torch.zeros(num_entities, k, dtype=torch.long)
    table[source[keep], place[keep]] = target[keep]
    return table, offsets.diff().clamp(max=k)


class PairExtractor(nn.Module):
    r"""The vector of a pair of entities, out of both and their neighbourhoods [qin2020]_.

    .. math::

        \mathbf{n}_e &= \tanh\Big(\frac{1}{|N_e|} \sum_{i \in N_e} W_g \mathbf{e}_i + \mathbf{b}\Big)\\
        \mathbf{x} &= W_1 [\mathbf{n}_h; \tanh(F_1 \mathbf{e}_h); \tanh(F_2 \mathbf{e}_t); \mathbf{n}_t]\\
        E(h, t) &= \mathrm{LayerNorm}(\mathbf{x} + W_3\, \mathrm{dropout}(\mathrm{relu}(W_2 \mathbf{x})))

    The vectors of entities are frozen, and so are the neighbours, at most 50 of each entity, out of training triples.
    The first map is applied to the halves of head and tail separately, so that a query needs each half once. These are
    the maps of MRE [cai2024]_; in ZSGAN the four parts are x themselves (``reduce=False``).

    Both drop coordinates of :math:`\mathbf{e}` and of what :math:`W_3` gives (``input_dropout``, ``output_dropout``)
    where this class drops those inside of the block, and draw the maps by ``xavier``. They also add :math:`\mathbf{b}`
    once for each of 50 places, filled or not, before they divide by the number of neighbours; that is not done here.
    """

    neighbors: LongTensor
    num_neighbors: LongTensor
    entities: FloatTensor
    context: FloatTensor

    @strict(dim=1, max_neighbors=0, dropout=(0, 1), input_dropout=(0, 1), output_dropout=(0, 1))
    def __init__(
        self,
        triples: MappedTriples,
        num_entities: int,
        entity_dim: int,
        dim: int = 200,
        max_neighbors: int = 50,
        dropout: float = 0.2,
        input_dropout: float = 0.0,
        output_dropout: float = 0.0,
        reduce: bool = True,
        norm: HintOrType[nn.LayerNorm] = None,
        xavier: bool = False,
        leaked: MappedTriples | None = None,
    ) -> None:
        """Initialize the extractor.

        :param triples: shape: ``(n, 3)``; the training triples
        :param num_entities: the number of entities
        :param entity_dim: the dimension of the entities' vectors
        :param dim: the dimension of the result; the four parts have half of it each
        :param max_neighbors: the greatest number of neighbours
        :param dropout: the dropout inside of the residual block
        :param input_dropout: the dropout of the entities' vectors, for each neighbour anew
        :param output_dropout: the dropout of what the residual block adds
        :param reduce: whether :math:`W_1` maps the four parts to x; else they have a quarter of `dim` each, and are x
        :param norm: which layer normalization, see :data:`~pykeen_mmkg.nn.zero_shot.layers.norm_resolver`
        :param xavier: whether the maps are drawn by :func:`~pykeen_mmkg.nn.zero_shot.layers.draw_xavier`
        :param leaked: shape: ``(m, 3)``; triples that are to be predicted, whose links count as neighbours, too. This
            gives answers away: it is there to measure by how much, never to report
        :raises MultimodalError: if the dimension has no quarter
        """
        super().__init__()
        if not reduce and dim % 4:
            raise MultimodalError(f"With reduce=False the four parts have a quarter of dim each; got dim={dim}.")
        links = triples if leaked is None else torch.cat([triples.cpu(), leaked.cpu()])
        neighbors, count = sample_neighbors(links, num_entities, max_neighbors)
        self.register_buffer("neighbors", neighbors, persistent=False)
        self.register_buffer("num_neighbors", count, persistent=False)
        # frozen copies: part of the state, since they are what the rest was trained on
        self.register_buffer("entities", torch.zeros(num_entities, entity_dim))
        self.register_buffer("context", torch.zeros(num_entities, entity_dim))
        part = dim // 2 if reduce else dim // 4
        self.neighbor = nn.Linear(entity_dim, part)
        self.head, self.tail = nn.Linear(entity_dim, part), nn.Linear(entity_dim, part)
        self.of_head = nn.Linear(2 * part, dim) if reduce else nn.ConstantPad1d((0, 2 * part), 0.0)
        self.of_tail = nn.Linear(2 * part, dim, bias=False) if reduce else nn.ConstantPad1d((2 * part, 0), 0.0)
        self.inner, self.outer = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)
        self.input_dropout, self.output_dropout = nn.Dropout(input_dropout), nn.Dropout(output_dropout)
        self.dropout = nn.Dropout(dropout)
        self.norm = norm_resolver.make(norm, normalized_shape=dim)
        self.dim, self.xavier = dim, xavier
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the maps by Xavier's distribution, if asked to; else they draw themselves."""
        if not self.xavier:
            return
        draw_xavier(self)
        for half in (self.of_head, self.of_tail):
            if isinstance(half, nn.Linear):  # one map of the four parts
                nn.init.normal_(half.weight, std=(2 / (2 * half.in_features + half.out_features)) ** 0.5)

    @torch.no_grad()
    def freeze(self, entities: FloatTensor) -> None:
        """Take the vectors of the entities as they are now.

        :param entities: shape: ``(num_entities, entity_dim)``
        """
        self.entities.copy_(entities)
        count = self.num_neighbors
        place = torch.arange(self.neighbors.shape[1], device=count.device)
        around = self.neighbors[place < count[:, None]]
        offsets = offsets_of(count)
        mean = functional.embedding_bag(around, self.entities, offsets, mode="mean", include_last_offset=True)
        self.context.copy_(mean)

    def halves(self, entities: LongTensor, side: str) -> FloatTensor:
        """Return the share of the heads or tails in x; shape: ``(*s, dim)``.

        :param entities: shape: ``s``
        :param side: ``head`` or ``tail``
        """
        # the mean of linear maps is the linear map of the mean
        around = torch.tanh(self.neighbor(self._mean_around(entities)))
        own = self.input_dropout(self.entities[entities])
        if side == "head":
            return self.of_head(torch.cat([around, torch.tanh(self.head(own))], dim=-1))
        return self.of_tail(torch.cat([torch.tanh(self.tail(own)), around], dim=-1))

    def _mean_around(self, entities: LongTensor) -> FloatTensor:
        """Return the mean vector of the neighbours, zero without any; shape: ``(*s, entity_dim)``."""
        if not self.training or not self.input_dropout.p:
            return self.context[entities]
        count = self.num_neighbors[entities][..., None]
        there = torch.arange(self.neighbors.shape[1], device=count.device) < count
        near = self.input_dropout(self.entities[self.neighbors[entities]])
        return torch.einsum("...kd,...k->...d", near, there.to(near)) / count.clamp(min=1)

    def join(self, head: FloatTensor, tail: FloatTensor) -> FloatTensor:
        """Return the vectors of pairs from two halves that broadcast; shape: ``(*s, dim)``."""
        x = head + tail
        return self.norm(x + self.output_dropout(self.outer(self.dropout(functional.relu(self.inner(x))))))

    def forward(self, heads: LongTensor, tails: LongTensor) -> FloatTensor:
        """Return E(h, t).

        :param heads: shape: ``s``
        :param tails: shape: ``s``
        :returns: shape: ``(*s, dim)``
        """
        return self.join(self.halves(heads, "head"), self.halves(tails, "tail"))

    def cosines(self, one: LongTensor, many: LongTensor, prototypes: FloatTensor, side: str = "tail") -> FloatTensor:
        r"""Return the cosines of pairs of one with each of many entities, in evaluation mode.

        The maps of the block that are linear, :math:`W_2 \mathbf{x}` and the sum, are taken of each entity once.

        :param one: shape: ``(b,)``
        :param many: shape: ``(n,)``; the entities that each is paired with
        :param prototypes: shape: ``(b, dim)``; what pairs are compared with
        :param side: ``tail`` if many are the tails, else ``head``
        :returns: shape: ``(b, n)``
        """
        x, y = self.halves(many, side), self.halves(one, "head" if side == "tail" else "tail")
        inner, inner_of_one = functional.linear(x, self.inner.weight), self.inner(y)
        y = y + self.outer.bias
        rows = []
        for i in range(len(one)):
            hidden = (inner + inner_of_one[i]).relu_()
            pair = self.norm(torch.addmm(x, hidden, self.outer.weight.T).add_(y[i]))
            rows.append((pair @ prototypes[i]) / torch.linalg.vector_norm(pair, dim=-1).clamp(min=1e-12))
        return torch.stack(rows) if rows else x.new_zeros(0, len(many))
