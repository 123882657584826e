"""Interactions that score one query against all entities at the speed of a matrix product, and the forms of VL-KGE.

Each interaction here turns two of the three parts of a triple into one *query* vector, such that the score is a dot
product or a distance between the query and the *key* of the remaining entity. Scoring against all entities is then a
single matrix operation, and needs memory for (batch, entities) numbers instead of (batch, entities, dimension).
The same statement serves the fast training scores of :mod:`pykeen_mmkg.nn.indexed`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, NamedTuple

import torch
from docdata import parse_docdata
from pykeen.nn.modules import ComplExInteraction, DistMultInteraction, Interaction, RotatEInteraction, TransEInteraction
from pykeen.typing import FloatTensor
from pykeen.utils import ensure_complex
from torch.nn.functional import normalize

from ..options import strict
from .kernels import cross_distance, cross_dot

__all__ = [
    "Comparison",
    "QueryInteraction",
    "FastComplExInteraction",
    "FastDistMultInteraction",
    "FastRotatEInteraction",
    "FastTransEInteraction",
    "VLComplExInteraction",
    "VLDistMultInteraction",
    "VLRotatEInteraction",
    "VLTransEInteraction",
    "fast_interaction",
]


class Comparison(NamedTuple):
    """How a query and a key make a score: by their dot product, or by their negative distance."""

    #: the norm of the distance (1 or 2), or None for the dot product
    p: int | None = None
    #: whether the distance is raised to the power of ``p``
    power_norm: bool = False


def key_side(h: torch.Size, r: torch.Size, t: torch.Size) -> Literal["head", "tail"] | None:
    """Find the side whose entities are compared with all queries, from the batch dimensions of the three parts.

    That is the side with the shape (1, ..., 1, n), n > 1, while the other two have (..., 1).
    """
    if not (len(h) == len(r) == len(t)) or not h or r[-1] != 1:
        return None
    if h[-1] == 1 and t[-1] > 1 and t.numel() == t[-1]:
        return "tail"
    if t[-1] == 1 and h[-1] > 1 and h.numel() == h[-1]:
        return "head"
    return None


class QueryInteraction(Interaction[FloatTensor, FloatTensor, FloatTensor], ABC):
    """Mixin for an interaction that compares a query vector with the key vector of an entity.

    To be placed before a class of PyKEEN, whose score stays as it is. Shapes that are not 1-vs-all, data types or norms
    without a matrix form go to that class.
    """

    #: added to each score
    margin: float = 0.0

    @property
    def comparison(self) -> Comparison | None:
        """Return how query and key are compared; None if there is no fast way with these parameters."""
        return Comparison()

    def prepare_entity(self, x: FloatTensor) -> FloatTensor:
        """Bring entity representations into the form that the score uses, shape: ``(*batch_dims, d)``."""
        return x

    def prepare_relation(self, x: FloatTensor) -> FloatTensor:
        """Bring relation representations into the form that the score uses, shape: ``(*batch_dims, d)``."""
        return x

    @abstractmethod
    def tail_query(self, h: FloatTensor, r: FloatTensor) -> FloatTensor:
        """Make the query for tails from prepared parts, shape: ``(*batch_dims, d)``."""

    @abstractmethod
    def head_query(self, r: FloatTensor, t: FloatTensor) -> FloatTensor:
        """Make the query for heads from prepared parts, shape: ``(*batch_dims, d)``."""

    def needs_unit_modulus(self, relations: FloatTensor) -> bool:
        """Return whether the two queries make the same score only if these relations have modulus one.

        :param relations: relation representations, not prepared
        :returns: whether to correct the score of a tail query, cf. :func:`pykeen_mmkg.nn.indexed.score_indexed`
        """
        return False

    def supports(self, *parts: FloatTensor) -> bool:
        """Return whether prepared parts of these types can be scored through query and key."""
        dtypes = {part.dtype for part in parts}
        if len(dtypes) != 1 or self.comparison is None:
            return False
        # a distance in half precision through its matrix form would be mostly rounding error
        return self.comparison.p is None or bool(dtypes & {torch.float32, torch.float64, torch.cfloat, torch.cdouble})

    def compare(self, query: FloatTensor, key: FloatTensor) -> FloatTensor:
        """Compare all queries with all keys.

        :param query: shape: (n, d); the queries
        :param key: shape: (m, d); the keys, which are prepared entities
        :returns: shape: (n, m); the scores, without the margin
        """
        assert self.comparison is not None
        query, key = as_real(query), as_real(key)
        if self.comparison.p is None:
            return cross_dot(query, key)
        return -cross_distance(query, key, p=self.comparison.p, power_norm=self.comparison.power_norm)

    def forward(self, h: FloatTensor, r: FloatTensor, t: FloatTensor) -> FloatTensor:
        """Evaluate the interaction function.

        .. seealso::
            :meth:`Interaction.forward <pykeen.nn.modules.Interaction.forward>` for a detailed description about
            the generic batched form of the interaction function.

        :param h: shape: ``(*batch_dims, d)``; the head representations.
        :param r: shape: ``(*batch_dims, d)``; the relation representations.
        :param t: shape: ``(*batch_dims, d)``; the tail representations.
        :returns: shape: ``batch_dims``; the scores.
        """
        h, r, t = self.prepare_entity(h), self.prepare_relation(r), self.prepare_entity(t)
        side = key_side(h.shape[:-1], r.shape[:-1], t.shape[:-1])
        if side is None or not self.supports(h, r, t):
            scores = super().forward(h=h, r=r, t=t)  # type: ignore[safe-super]
        else:
            query, key = (self.tail_query(h, r), t) if side == "tail" else (self.head_query(r, t), h)
            dim = query.shape[-1]
            scores = self.compare(query.reshape(-1, dim), key.reshape(-1, dim))
            scores = scores.view(*query.shape[:-2], scores.shape[-1])
        return scores + self.margin if self.margin else scores


def as_real(x: FloatTensor) -> FloatTensor:
    """View complex vectors as real ones of twice the dimension; real ones stay as they are."""
    return torch.view_as_real(x.resolve_conj()).flatten(start_dim=-2) if x.is_complex() else x


@parse_docdata
class FastDistMultInteraction(QueryInteraction, DistMultInteraction):
    """PyKEEN's DistMult, with scores against all entities by one matrix product.

    ---
    name: DistMult (fast)
    citation:
        author: Yang
        year: 2014
        link: https://arxiv.org/abs/1412.6575
        arxiv: 1412.6575
    """

    def tail_query(self, h: FloatTensor, r: FloatTensor) -> FloatTensor:  # noqa: D102
        return h * r

    def head_query(self, r: FloatTensor, t: FloatTensor) -> FloatTensor:  # noqa: D102
        return r * t


@parse_docdata
class FastComplExInteraction(QueryInteraction, ComplExInteraction):
    r"""PyKEEN's ComplEx, with scores against all entities by one matrix product for either side.

    The real part of a complex product with a conjugate is the dot product of the real and imaginary parts, and
    $Re \langle h, r, \bar{t} \rangle = Re \langle h, \overline{\bar{r} t} \rangle$.

    ---
    name: ComplEx (fast)
    citation:
        author: Trouillon
        year: 2016
        link: https://arxiv.org/abs/1606.06357
        arxiv: 1606.06357
    """

    def supports(self, *parts: FloatTensor) -> bool:  # noqa: D102
        return all(part.is_complex() for part in parts) and super().supports(*parts)

    def tail_query(self, h: FloatTensor, r: FloatTensor) -> FloatTensor:  # noqa: D102
        return h * r

    def head_query(self, r: FloatTensor, t: FloatTensor) -> FloatTensor:  # noqa: D102
        return r.conj() * t


@parse_docdata
class FastTransEInteraction(QueryInteraction, TransEInteraction):
    """PyKEEN's TransE, with scores against all entities by a matrix of distances, for the norms 1 and 2.

    ---
    name: TransE (fast)
    citation:
        author: Bordes
        year: 2013
        link: http://papers.nips.cc/paper/5071-translating-embeddings-for-modeling-multi-relational-data.pdf
    """

    @property
    def comparison(self) -> Comparison | None:  # noqa: D102
        return Comparison(p=int(self.p), power_norm=self.power_norm) if self.p in {1, 2} else None

    def supports(self, *parts: FloatTensor) -> bool:  # noqa: D102
        return not any(part.is_complex() for part in parts) and super().supports(*parts)

    def tail_query(self, h: FloatTensor, r: FloatTensor) -> FloatTensor:  # noqa: D102
        return h + r

    def head_query(self, r: FloatTensor, t: FloatTensor) -> FloatTensor:  # noqa: D102
        return t - r


@parse_docdata
class FastRotatEInteraction(QueryInteraction, RotatEInteraction):
    r"""PyKEEN's RotatE, with scores against all entities by a matrix of distances.

    As in PyKEEN, tails are compared with $h \odot r$ and heads with $t \odot \bar{r}$, which is the same score where
    the relation has modulus one; and the norm is always the 2-norm, over the real and imaginary parts together.

    ---
    name: RotatE (fast)
    citation:
        author: Sun
        year: 2019
        link: https://arxiv.org/abs/1902.10197
        arxiv: 1902.10197
    """

    @property
    def comparison(self) -> Comparison | None:  # noqa: D102
        return Comparison(p=2)

    def needs_unit_modulus(self, relations: FloatTensor) -> bool:  # noqa: D102
        return True

    def prepare_entity(self, x: FloatTensor) -> FloatTensor:  # noqa: D102
        return next(iter(ensure_complex(x)))

    prepare_relation = prepare_entity

    def tail_query(self, h: FloatTensor, r: FloatTensor) -> FloatTensor:  # noqa: D102
        return h * r

    def head_query(self, r: FloatTensor, t: FloatTensor) -> FloatTensor:  # noqa: D102
        return t * r.conj()


@parse_docdata
class VLTransEInteraction(FastTransEInteraction):
    r"""TransE as in VL-KGE: on vectors of length one, and with a margin.

    .. math::

        f(h, r, t) = \gamma - \left\| \frac{h}{\|h\|_2} + \frac{r}{\|r\|_2} - \frac{t}{\|t\|_2} \right\|_p

    with $\gamma = 12$ and $p = 1$ in the paper. The entity representations are the fused ones.

    ---
    name: VL-TransE
    citation:
        author: Efthymiou
        year: 2026
        link: https://arxiv.org/abs/2603.02435
        arxiv: 2603.02435
        github: thefth/vl-kge
    """

    @strict()
    def __init__(self, margin: float = 12.0, p: int = 1, power_norm: bool = False) -> None:
        """Initialize the interaction.

        :param margin: the number from which the distance is subtracted
        :param p: the norm of the distance
        :param power_norm: whether to use the $p$-th power of the norm
        """
        super().__init__(p=p, power_norm=power_norm)
        self.margin = margin

    def prepare_entity(self, x: FloatTensor) -> FloatTensor:  # noqa: D102
        return normalize(x, dim=-1)

    prepare_relation = prepare_entity


@parse_docdata
class VLDistMultInteraction(FastDistMultInteraction):
    """DistMult as in VL-KGE: the sum of the products of the fused head, the relation and the fused tail.

    ---
    name: VL-DistMult
    citation:
        author: Efthymiou
        year: 2026
        link: https://arxiv.org/abs/2603.02435
        arxiv: 2603.02435
        github: thefth/vl-kge
    """


@parse_docdata
class VLComplExInteraction(FastComplExInteraction):
    """ComplEx as in VL-KGE: the real part of an entity is the fused vector, the imaginary part a table of its own.

    Both parts come as one complex representation of shape ``(d,)``.

    ---
    name: VL-ComplEx
    citation:
        author: Efthymiou
        year: 2026
        link: https://arxiv.org/abs/2603.02435
        arxiv: 2603.02435
        github: thefth/vl-kge
    """


@parse_docdata
class VLRotatEInteraction(FastRotatEInteraction):
    r"""RotatE as in VL-KGE: with a margin, and relations given by their angles.

    .. math::

        f(h, r, t) = \gamma - \left\| h \odot e^{i \theta_r} - t \right\|_2

    with $\gamma = 12$ in the paper and one 2-norm over all $2d$ real and imaginary parts. The entity representations
    are complex of shape ``(d,)``, their real part being the fused vector. A relation representation is real, of
    shape ``(d,)``: the angles $\theta_r$, which the paper draws uniformly from $[0, 2 \pi)$. A complex relation
    representation is taken as the rotation itself, as in PyKEEN's RotatE.

    ---
    name: VL-RotatE
    citation:
        author: Efthymiou
        year: 2026
        link: https://arxiv.org/abs/2603.02435
        arxiv: 2603.02435
        github: thefth/vl-kge
    """

    @strict()
    def __init__(self, margin: float = 12.0) -> None:
        """Initialize the interaction.

        :param margin: the number from which the distance is subtracted
        """
        super().__init__()
        self.margin = margin

    def needs_unit_modulus(self, relations: FloatTensor) -> bool:  # noqa: D102
        return relations.is_complex()

    def prepare_relation(self, x: FloatTensor) -> FloatTensor:  # noqa: D102
        return x if x.is_complex() else torch.polar(torch.ones_like(x), x)


#: classes of PyKEEN and their fast equals, which have the same parameters
_FAST: dict[type[Interaction], type[QueryInteraction]] = {
    ComplExInteraction: FastComplExInteraction,
    DistMultInteraction: FastDistMultInteraction,
    RotatEInteraction: FastRotatEInteraction,
    TransEInteraction: FastTransEInteraction,
}


def fast_interaction(interaction: Interaction) -> Interaction:
    """Return the fast equal of one of PyKEEN's interactions, with the same state; any other one as it is.

    Only the very classes of PyKEEN are replaced, since a subclass may have changed the score.

    :param interaction: the interaction
    :returns: an interaction with the same scores
    """
    cls = _FAST.get(type(interaction))
    if cls is None:
        return interaction
    fast = cls.__new__(cls)
    fast.__dict__.update(interaction.__dict__)
    return fast
