"""Interactions that get the vectors of all modalities, and fuse them in the light of the relation.

A fusion sees an entity alone. Here an entity comes as a matrix, one row for each modality, and the relation has numbers
of its own that say which rows count: the same entity has another vector for another relation. A row that is zero
throughout is a modality that the entity lacks: it is masked, as in a fusion, with the score of the rest. (A frozen
feature that is missing is zero, and so is the structural part of an entity that training never saw.)

The fused vectors then go to any interaction of PyKEEN that takes one vector of an entity, the `base`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch
from class_resolver import HintOrType, OptionalKwargs
from docdata import parse_docdata
from pykeen.nn.modules import ComplExInteraction, Interaction, RotatEInteraction, TransEInteraction, TuckERInteraction
from pykeen.typing import BoolTensor, FloatTensor, LongTensor
from pykeen.utils import complex_normalize
from torch import nn
from torch.nn.functional import normalize, softplus

from ..errors import MultimodalError
from ..options import strict
from .fusion import masked_softmax
from .interaction import QueryInteraction, VLRotatEInteraction, as_real, fast_interaction, key_side

__all__ = [
    "IKRLInteraction",
    "ModalityInteraction",
    "MoMoKInteraction",
    "NativEInteraction",
    "RSMEInteraction",
    "RelationFusedInteraction",
]

#: the least deviation of the noise on the gates of experts
NOISE_FLOOR = 0.01


class ModalityInteraction(Interaction[FloatTensor, Any, FloatTensor], ABC):
    """The base of interactions that take an entity as one row for each modality, shape ``(M, d)``.

    In ``pipeline(model="vlkge", interaction=...)`` the modalities and the dimension are filled in, and the rows come
    from the representation with ``fusion="concat"``. A base for complex numbers takes neighbouring reals as one.
    """

    entity_shape = ("md",)

    #: the symbolic shapes of what a relation has beside the representations of the base
    gate_shape: ClassVar[Sequence[str]] = ()

    #: the base of the publication
    base_default: ClassVar[type[Interaction]] = TransEInteraction
    base_default_kwargs: ClassVar[dict[str, Any]] = {}

    @strict(dim=1)
    def __init__(
        self,
        modalities: str | Sequence[str],
        dim: int,
        base: HintOrType[Interaction] = None,
        base_kwargs: OptionalKwargs = None,
    ) -> None:
        """Initialize the interaction.

        :param modalities: the names of the M modalities, in the order of the rows
        :param dim: the dimension ``d`` of every modality's vectors
        :param base: the interaction that scores, by default that of the publication
        :param base_kwargs: keyword arguments of the base
        :raises MultimodalError: if there is no such base, if it takes more than one vector of an entity, or if it takes
            complex numbers and the dimension is odd
        """
        super().__init__()
        from pykeen.nn.modules import interaction_resolver  # late: PyKEEN may be importing us from there

        self.modalities = (modalities,) if isinstance(modalities, str) else tuple(modalities)
        self.dim = dim
        kwargs = dict(base_kwargs or {})
        if base is None:
            base, kwargs = self.base_default, {**self.base_default_kwargs, **kwargs}
        if not isinstance(base, Interaction):
            try:
                base = interaction_resolver.lookup(base)
            except KeyError as error:
                options = ", ".join(sorted(interaction_resolver.lookup_dict))
                raise MultimodalError(f"Unknown base {base!r}; choose one of {options}.") from error
            if base is TuckERInteraction:
                kwargs.setdefault("embedding_dim", dim)
        self.base = fast_interaction(interaction_resolver.make(base, kwargs))
        if tuple(self.base.entity_shape) != ("d",):
            raise MultimodalError(
                f"{type(self).__name__} needs a base that takes one vector of an entity; "
                f"{type(self.base).__name__} takes the shapes {tuple(self.base.entity_shape)}."
            )
        if self.base.is_complex and dim % 2:
            raise MultimodalError(f"{type(self.base).__name__} makes complex numbers of pairs; {dim} reals are odd.")
        self.relation_shape = (*self.base.relation_shape, *self.gate_shape)

    @property
    def num_modalities(self) -> int:
        """Return the number ``M`` of modalities."""
        return len(self.modalities)

    def split(self, r: FloatTensor | Sequence[FloatTensor]) -> tuple[list[FloatTensor], list[FloatTensor]]:
        """Return the representations of relations that belong to the base, and those that belong to the gates."""
        parts = [r] if isinstance(r, torch.Tensor) else list(r)
        number = len(self.base.relation_shape)
        return [self._for_base(part, relation=True) for part in parts[:number]], parts[number:]

    def _for_base(self, x: FloatTensor, relation: bool = False) -> FloatTensor:
        """View reals as complex numbers if the base needs them; rotations have modulus one."""
        if not self.base.is_complex or x.is_complex():
            return x
        x = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
        return complex_normalize(x) if relation and isinstance(self.base, RotatEInteraction) else x

    def _base_score(self, h: FloatTensor, r: Sequence[FloatTensor], t: FloatTensor) -> FloatTensor:
        return self.base(h=self._for_base(h), r=r[0] if len(r) == 1 else tuple(r), t=self._for_base(t))

    def iter_extra_repr(self) -> Iterable[str]:
        """Yield what to print."""
        yield f"modalities={self.modalities}"
        yield f"dim={self.dim}"

    def extra_repr(self) -> str:  # noqa: D102
        return ", ".join(self.iter_extra_repr())


def present(x: FloatTensor) -> BoolTensor:
    """Return which rows of entities are not zero throughout; shape: ``(*b, M)`` for ``(*b, M, d)``."""
    return (x != 0).any(dim=-1)


class RelationFusedInteraction(ModalityInteraction, ABC):
    r"""The base of interactions that fuse the rows by weights which depend on the entity and the relation.

    .. math::

        f(h, r, t) = g\left(\sum_i w_i(h, r)\, \mathbf{p}_i(h), \mathbf{r},
                            \sum_i w_i(t, r)\, \mathbf{p}_i(t)\right)

    where $g$ is the base and $\mathbf{p}_i$ does not depend on the relation. Where $g$ is a dot product with a query,
    all candidates are scored by one matrix product for each $i$, without a vector for each pair of relation and entity.
    """

    def parts(self, x: FloatTensor) -> FloatTensor:
        r"""Return the vectors $\mathbf{p}_i$ to be added up.

        :param x: shape: ``(*b, M, d)``
        :returns: shape: ``(*b, V, d)``; by default the rows themselves
        """
        return x

    @abstractmethod
    def weights(self, x: FloatTensor, parts: FloatTensor, gates: Sequence[FloatTensor]) -> FloatTensor:
        """Return the weights of the parts.

        :param x: shape: ``(*b, M, d)``; entities
        :param parts: shape: ``(*b, V, d)``; their parts
        :param gates: of relations, with batch dimensions that can be broadcast with ``b``
        :returns: shape: ``(*b', V)`` with the common batch dimensions; zero for the parts of what is missing
        """

    def fuse(self, x: FloatTensor, gates: Sequence[FloatTensor]) -> FloatTensor:
        """Fuse the rows of entities for relations.

        :param x: shape: ``(*b, M, d)``
        :param gates: of relations
        :returns: shape: ``(*b', d)``; zero for an entity that has nothing
        """
        parts = self.parts(x)
        return torch.einsum("...v,...vd->...d", self.weights(x, parts, gates), parts)

    def forward(self, h: FloatTensor, r: Any, t: FloatTensor) -> FloatTensor:
        """Evaluate the interaction function.

        :param h: shape: ``(*batch_dims, M, d)``; heads
        :param r: the representations of the base and the gates, ``(*batch_dims, *dims)`` each
        :param t: shape: ``(*batch_dims, M, d)``; tails
        :returns: shape: ``batch_dims``; the scores
        """
        relation, gates = self.split(r)
        base = self.base
        side = None
        if isinstance(base, QueryInteraction) and base.comparison is not None and base.comparison.p is None:
            side = key_side(h.shape[:-2], relation[0].shape[:-1], t.shape[:-2])
        if side is None:
            return self._base_score(self.fuse(h, gates), relation, self.fuse(t, gates))
        assert isinstance(base, QueryInteraction)
        given, candidates = (h, t) if side == "tail" else (t, h)
        x, rel = base.prepare_entity(self._for_base(self.fuse(given, gates))), base.prepare_relation(relation[0])
        query = as_real(base.tail_query(x, rel) if side == "tail" else base.head_query(rel, x))
        parts = self.parts(candidates)
        weights = self.weights(candidates, parts, gates)
        # (*b, 1, d) with (N, V, d)
        products = torch.einsum("...d,nvd->...nv", query.squeeze(-2), parts.reshape(-1, *parts.shape[-2:]))
        return (weights * products).sum(dim=-1) + base.margin


@parse_docdata
class NativEInteraction(RelationFusedInteraction):
    r"""NativE's relation-guided fusion: attention over the modalities, with a temperature by relation.

    .. math::

        w_i(e, r) = \operatorname{softmax}_i\left(
            \mathbf{v} \cdot \tanh(\mathbf{x}_i) \,/\, \sigma(\zeta_r)\right)

    over the modalities that the entity has, with a learned $\mathbf{v}$ and a number $\zeta_r$ for each relation. It
    starts as the mean. The base is RotatE with a margin (:class:`~pykeen_mmkg.nn.interaction.VLRotatEInteraction`).

    Source: the paper and its code; the adversarial training of the paper is not part of an interaction.

    ---
    name: NativE
    citation:
        author: Zhang
        year: 2024
        arxiv: 2406.17605
        link: https://arxiv.org/abs/2406.17605
        github: zjukg/NATIVE
    """

    gate_shape = ("",)
    base_default = VLRotatEInteraction

    @strict()
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Initialize the interaction; the arguments are those of :class:`ModalityInteraction`."""
        super().__init__(*args, **kwargs)
        self.query = nn.Parameter(torch.zeros(self.dim))

    def reset_parameters(self) -> None:  # noqa: D102
        super().reset_parameters()
        nn.init.zeros_(self.query)

    def weights(self, x: FloatTensor, parts: FloatTensor, gates: Sequence[FloatTensor]) -> FloatTensor:  # noqa: D102
        scores = x.tanh() @ self.query
        return masked_softmax(scores / gates[0].sigmoid().unsqueeze(-1), present(x))


@parse_docdata
class MoMoKInteraction(RelationFusedInteraction):
    r"""MoMoK's mixture of experts for each modality, with gates whose temperature the relation sets.

    Expert $k$ of modality $i$ is a linear map, $E_{ik}(\mathbf{x}) = W_{ik} (\mathbf{x} - \mathbf{b}_{ik})$, and

    .. math::

        \mathbf{x}_{ir} = \sum_k \operatorname{softmax}_k\left(
            \mathbf{u}_{ik} \cdot \mathbf{x}_i \,/\, \sigma(\phi_r)\right) E_{ik}(\mathbf{x}_i)
        \qquad
        \mathbf{e}_r = \sum_i \operatorname{softmax}_i(\mathbf{v} \cdot \mathbf{x}_{ir})\, \mathbf{x}_{ir}

    over the modalities that the entity has. In training, the numbers in the first softmax have a noise of deviation
    $\operatorname{softplus}(\mathbf{n}_{ik} \cdot \mathbf{x}_i) + 0.01$. The base is TuckER.

    Source: the paper and its code. There, the vectors $\mathbf{x}_{ir}$ pass another layer before they are joined,
    candidates do not see the relation, each modality has a loss of its own, and an estimator of mutual information,
    trained in turn with the rest, keeps the experts apart.

    ---
    name: MoMoK
    citation:
        author: Zhang
        year: 2025
        arxiv: 2405.16869
        link: https://openreview.net/forum?id=ue1Tt3h1VC
        github: zjukg/MoMoK
    """

    gate_shape = ("",)
    base_default = TuckERInteraction

    @strict(num_experts=1)
    def __init__(self, *args: Any, num_experts: int = 3, noise: bool = True, **kwargs: Any) -> None:
        """Initialize the interaction.

        :param args: those of :class:`ModalityInteraction`
        :param num_experts: how many experts a modality has
        :param noise: whether the gates are noisy in training
        :param kwargs: those of :class:`ModalityInteraction`
        """
        super().__init__(*args, **kwargs)
        self.num_experts, self.noise = num_experts, noise
        number = (self.num_modalities, num_experts)
        self.experts = nn.Parameter(torch.empty(*number, self.dim, self.dim))
        self.centers = nn.Parameter(torch.zeros(*number, self.dim))
        self.gate = nn.Parameter(torch.zeros(*number, self.dim))
        self.deviation = nn.Parameter(torch.zeros(*number, self.dim))
        self.query = nn.Parameter(torch.zeros(self.dim))
        self._reset_own()

    def _reset_own(self) -> None:
        for expert in self.experts.flatten(end_dim=1):
            nn.init.xavier_uniform_(expert.data)
        for parameter in (self.centers, self.gate, self.deviation, self.query):
            nn.init.zeros_(parameter)

    def reset_parameters(self) -> None:  # noqa: D102
        super().reset_parameters()
        self._reset_own()

    def parts(self, x: FloatTensor) -> FloatTensor:  # noqa: D102
        shifted = x.unsqueeze(-2) - self.centers
        return torch.einsum("...mkd,mked->...mke", shifted, self.experts).flatten(-3, -2)

    def weights(self, x: FloatTensor, parts: FloatTensor, gates: Sequence[FloatTensor]) -> FloatTensor:  # noqa: D102
        scores = torch.einsum("...md,mkd->...mk", x, self.gate)
        if self.noise and self.training:
            deviation = softplus(torch.einsum("...md,mkd->...mk", x, self.deviation)) + NOISE_FLOOR
            scores = scores + deviation * torch.randn_like(scores)
        inner = (scores / gates[0].sigmoid()[..., None, None]).softmax(dim=-1)
        # the dot product with a mixture is the mixture of the dot products
        attention = (inner * (parts @ self.query).unflatten(-1, scores.shape[-2:])).sum(dim=-1)
        outer = masked_softmax(attention, present(x))
        return (outer.unsqueeze(-1) * inner).flatten(-2)


@parse_docdata
class RSMEInteraction(RelationFusedInteraction):
    r"""RSME: how much of each modality an entity has is up to the relation, and so is whether pictures are compared.

    .. math::

        f(h, r, t) = \beta\, g(\mathbf{h}_r, \mathbf{r}, \mathbf{t}_r)
            + (1 - \beta)\, \sigma(\gamma_r) \cos(\mathbf{v}_h, \mathbf{v}_t)
        \qquad
        \mathbf{e}_r = \sum_i \operatorname{softmax}_i(\alpha_{ri})\, \mathbf{x}_i

    over the modalities that the entity has; with two this is $(1 - a_r) \mathbf{s} + a_r \mathbf{v}$. The cosine is
    zero where one of the two has no picture. The base is ComplEx.

    Source: the paper and its code. There, the forget gate $\sigma(\gamma_r)$ is 0 or 1, set before training by how well
    pictures alone find the tails of a relation; here it is learned. The filter gate, which leaves one picture of each
    entity, belongs to the features.

    ---
    name: RSME
    citation:
        author: Wang
        year: 2021
        link: https://doi.org/10.1145/3474085.3475470
        github: wangmengsd/RSME
    """

    gate_shape = ("m", "")
    base_default = ComplExInteraction

    @strict(beta=(0, 1))
    def __init__(self, *args: Any, beta: float = 0.95, compared: str = "visual", **kwargs: Any) -> None:
        r"""Initialize the interaction.

        :param args: those of :class:`ModalityInteraction`
        :param beta: $\beta$, what the base counts
        :param compared: the modality whose vectors are compared
        :param kwargs: those of :class:`ModalityInteraction`
        :raises MultimodalError: if there is no such modality
        """
        super().__init__(*args, **kwargs)
        if compared not in self.modalities:
            raise MultimodalError(f"There is no modality {compared!r} to compare; there are {list(self.modalities)}.")
        self.beta, self.compared = beta, self.modalities.index(compared)

    def weights(self, x: FloatTensor, parts: FloatTensor, gates: Sequence[FloatTensor]) -> FloatTensor:  # noqa: D102
        scores, mask = torch.broadcast_tensors(gates[0], present(x))
        return masked_softmax(scores, mask)

    def forward(self, h: FloatTensor, r: Any, t: FloatTensor) -> FloatTensor:  # noqa: D102
        _, gates = self.split(r)
        # a zero vector has the cosine zero; with einsum, all candidates are one matrix product
        ours, theirs = (normalize(x[..., self.compared, :], dim=-1) for x in (h, t))
        alike = torch.einsum("...d,...d->...", ours, theirs)
        return self.beta * super().forward(h, r, t) + (1 - self.beta) * gates[1].sigmoid() * alike


@parse_docdata
class IKRLInteraction(ModalityInteraction):
    r"""IKRL's score: every modality of the head with every one of the tail, by the same relation.

    .. math::

        f(h, r, t) = \operatorname{mean}_{ij}\ g(\mathbf{h}_i, \mathbf{r}, \mathbf{t}_j)

    over the modalities $i$ that the head has and $j$ that the tail has; zero if one has none. The base is TransE. With
    structure and images these are the four energies of the paper, which adds them up.

    ---
    name: IKRL
    citation:
        author: Xie
        year: 2017
        arxiv: 1609.07028
        link: https://doi.org/10.24963/ijcai.2017/438
    """

    base_default_kwargs: ClassVar[dict[str, Any]] = {"p": 1}

    def forward(self, h: FloatTensor, r: Any, t: FloatTensor) -> FloatTensor:
        """Evaluate the interaction function.

        :param h: shape: ``(*batch_dims, M, d)``; heads
        :param r: the representations of the base, ``(*batch_dims, *dims)`` each
        :param t: shape: ``(*batch_dims, M, d)``; tails
        :returns: shape: ``batch_dims``; the scores
        """
        relation, _ = self.split(r)
        has_h, has_t = present(h), present(t)
        total: FloatTensor | float = 0.0
        number: LongTensor | int = 0
        for i in range(self.num_modalities):
            for j in range(self.num_modalities):
                pair = has_h[..., i] & has_t[..., j]
                # one pair at a time: all candidates are scored at once, as the base does it
                scores = self._base_score(h[..., i, :], relation, t[..., j, :])
                total, number = total + torch.where(pair, scores, 0.0), number + pair.long()
        assert isinstance(number, torch.Tensor)
        return total / number.clamp(min=1)
