"""VL-KGE: frozen vision-language features fused with trainable structural embeddings."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from class_resolver import OptionalKwargs
from docdata import parse_docdata
from pykeen.losses import Loss, SoftplusLoss
from pykeen.models.nbase import ERModel
from pykeen.nn.modules import Interaction, RotatEInteraction
from pykeen.nn.representation import Representation, TransformedRepresentation
from pykeen.regularizers import Regularizer
from pykeen.triples import CoreTriplesFactory, TriplesFactory
from pykeen.typing import BoolTensor, HintOrType
from pykeen.utils import complex_normalize
from torch import nn

from ..datasets.labels import Kind
from ..errors import MultimodalError
from ..indexing import seen_entities, seen_relations
from ..modalities import STRUCTURAL, TEXTUAL, VISUAL, EncoderHint, ModalitySources, labels_of
from ..nn.fusion import fused_dim
from ..nn.interaction import VLDistMultInteraction, VLRotatEInteraction, fast_interaction
from ..nn.representation import ComplexMultimodalRepresentation, MultimodalRepresentation
from ..options import accepted, check_known, strict
from .embeddings import plain_embedding, relation_embedding
from .loss import OwnLossMixin
from .new_entities import NewEntitiesMixin
from .scoring import IndexedScoringMixin
from .shapes import Shape, entity_shapes, make_interaction, relation_shapes, resolve_dimensions, takes_modalities
from .undertrained import UndertrainedHintMixin

__all__ = ["VLKGE"]


@parse_docdata
class VLKGE(UndertrainedHintMixin, OwnLossMixin, IndexedScoringMixin, NewEntitiesMixin, ERModel):
    r"""VL-KGE: entities (and relations) with text and images, scored by any interaction of PyKEEN.

    The vector of an entity is the fusion of up to three parts: a trainable structural embedding, and the frozen vectors
    that a vision-language encoder gives for its images and its text, projected to the same dimension where they have
    another. With the default fusion, in the uneven form of the paper,

    .. math::

        \mathbf{e} = \frac{[e\ \text{seen}]\,\mathbf{s}_e + \mathbf{v}_e + \mathbf{t}_e}
                          {1 + [e\ \text{has images}] + [e\ \text{has text}]}

    where a missing part adds nothing. For a complex interaction this is the real part; the imaginary part is a table of
    its own, and for an entity that training never saw a projection of the features that learns to predict this table.

    Encoders are never part of the model: what is encoded is read from a
    :class:`~pykeen_mmkg.features.FeatureStore`, and is not written into a saved model.

    ---
    name: VL-KGE
    citation:
        author: Efthymiou
        year: 2026
        arxiv: 2603.02435
        link: https://doi.org/10.1145/3774904.3792677
        github: thefth/vl-kge
    """

    #: The default strategy for optimizing the model's hyper-parameters
    hpo_default: ClassVar[Mapping[str, Any]] = dict(
        embedding_dim=dict(type=int, low=64, high=512, q=64),
        fusion=dict(type="categorical", choices=["average", "sum", "weighted", "gated", "attention"]),
        structural_dropout=dict(type=float, low=0.0, high=0.5, q=0.1),
    )
    #: The default loss function class
    loss_default: ClassVar[type[Loss]] = SoftplusLoss
    #: The default parameters for the default loss function class
    loss_default_kwargs: ClassVar[Mapping[str, Any]] = dict(reduction="mean")
    advice = (
        "PyKEEN trains for five epochs by default, far too few for this loss: try training_kwargs={'num_epochs': 100}, "
        "or the settings that the README gives for it, which learn in thirty."
    )

    @strict(embedding_dim=1, structural_dropout=(0, 1))
    def __init__(
        self,
        *,
        triples_factory: CoreTriplesFactory,
        embedding_dim: int = 256,
        interaction: HintOrType[Interaction] = None,
        interaction_kwargs: OptionalKwargs = None,
        dimensions: Mapping[str, int] | None = None,
        modalities: str | Sequence[str] | None = None,
        relation_modalities: str | Sequence[str] | None = None,
        fusion: str | None = None,
        fusion_kwargs: OptionalKwargs = None,
        encoder: EncoderHint = None,
        sources: Mapping[str, Any] | None = None,
        structural_dropout: float = 0.0,
        regularizer: HintOrType[Regularizer] = None,
        regularizer_kwargs: OptionalKwargs = None,
        representation_kwargs: OptionalKwargs = None,
        relation_representation_kwargs: OptionalKwargs = None,
        **kwargs,
    ) -> None:
        r"""Initialize the model.

        :param triples_factory: the training triples. Sources that its metadata names (as a
            :class:`~pykeen_mmkg.datasets.folder.MultimodalDataset` does) need not be given again
        :param embedding_dim: the dimension $d$ of each modality's vector before fusion
        :param interaction: the interaction, by default ``vldistmult``; any of PyKEEN's, or the paper's forms
            ``vltranse``, ``vldistmult``, ``vlcomplex``, ``vlrotate``. One that has a faster equal is replaced by it. A
            :class:`~pykeen_mmkg.nn.modality_interaction.ModalityInteraction` fuses the modalities itself
        :param interaction_kwargs: keyword arguments of the interaction
        :param dimensions: further dimensions by their symbol in the interaction's shapes, e.g. ``{"e": 64}`` for TransR
        :param modalities: what represents an entity, out of ``structural``, ``visual`` and ``textual``; by default
            structural and whatever the sources provide
        :param relation_modalities: what represents a relation, out of ``structural`` and ``textual``; by default
            ``structural``
        :param fusion: the fusion of the modalities, see :data:`~pykeen_mmkg.nn.fusion.fusion_resolver`
        :param fusion_kwargs: keyword arguments of the fusion, e.g. ``{"form": "dense"}`` for the average
        :param encoder: the encoder of what has no features yet: a name on the Hugging Face hub, a local folder, or
            ``"pair"``, see :func:`~pykeen_mmkg.encoders.make_encoder`
        :param sources: where text, images and features come from, see
            :class:`~pykeen_mmkg.modalities.ModalitySources` for the keys
        :param structural_dropout: the probability with which the structural part of an entity is hidden in a training
            step, so that the other parts learn to do without it. Needed to predict for unseen entities
        :param regularizer: a regularizer of what is trained without text or images: each structural embedding of
            entities (for complex interactions the real part, and the table of the imaginary part) and of relations has
            one of its own
        :param regularizer_kwargs: keyword arguments of the regularizer
        :param representation_kwargs: further keyword arguments of the entities' representation,
            :class:`~pykeen_mmkg.nn.representation.MultimodalRepresentation` or, for complex interactions,
            :class:`~pykeen_mmkg.nn.representation.ComplexMultimodalRepresentation`: keyword arguments of the
            features, dropout of modalities, the shuffled control, ... With ``{"seen": None}`` none counts as unseen
        :param relation_representation_kwargs: the same for relations; with structural relations only, keyword
            arguments of their :class:`~pykeen.nn.representation.Embedding`. Biases and variances take none
        :param kwargs: keyword arguments of :class:`~pykeen.models.ERModel`
        :raises MultimodalError: if a modality, fusion, source or feature is unknown or does not fit, or no source is
            named
        """
        for name in ("entity_representations_kwargs", "relation_representations_kwargs"):
            if name in kwargs:
                own = name.removeprefix("entity_").replace("representations", "representation")
                raise MultimodalError(f"{name} would have no effect; use {own}.")
        # before anything is encoded, which can take hours
        check_known("argument of the model vlkge", kwargs, accepted(ERModel))
        if regularizer is None and regularizer_kwargs:
            raise MultimodalError(f"{regularizer_kwargs=} without a regularizer; name one, such as 'lp'.")
        interaction = interaction or VLDistMultInteraction
        apart = takes_modalities(interaction)
        if apart and fusion not in (None, "concat"):
            raise MultimodalError(f"The interaction fuses the modalities itself; leave {fusion=} out.")
        given = ModalitySources.from_factory(triples_factory, sources=sources, encoder=encoder)
        parts = _Parts(
            triples_factory,
            given,
            embedding_dim=embedding_dim,
            fusion=dict(fusion="concat" if apart else fusion, fusion_kwargs=fusion_kwargs),
            regularizer=dict(regularizer=regularizer, regularizer_kwargs=regularizer_kwargs) if regularizer else {},
        )
        names = parts.modalities("entity", modalities)
        relation_names = parts.modalities("relation", relation_modalities or [STRUCTURAL])
        dim = embedding_dim if apart else parts.width(names)
        interaction = make_interaction(interaction, interaction_kwargs, dim=dim, modalities=names)
        numbers = resolve_dimensions(interaction, dim=dim, dimensions=dimensions)
        super().__init__(
            triples_factory=triples_factory,
            interaction=fast_interaction(interaction),
            entity_representations=[
                parts.entity(shape, names, interaction, structural_dropout, representation_kwargs)
                for shape in entity_shapes(interaction, numbers)
            ],
            relation_representations=[
                parts.relation(shape, relation_names, interaction, relation_representation_kwargs)
                for shape in relation_shapes(interaction, numbers)
            ],
            **kwargs,
        )
        self.sources = given
        self.entity_labels = labels_of(triples_factory, "entity") if isinstance(triples_factory, TriplesFactory) else []


class _Parts:
    """Builds the representations of entities and relations from their sources."""

    def __init__(
        self,
        triples_factory: CoreTriplesFactory,
        sources: ModalitySources,
        embedding_dim: int,
        fusion: Mapping[str, Any],
        regularizer: Mapping[str, Any],
    ) -> None:
        self.factory = triples_factory
        self.sources = sources
        self.embedding_dim = embedding_dim
        self.fusion = fusion
        self._regularizer = regularizer

    def width(self, names: Sequence[str]) -> int:
        """Return the dimension of fused vectors: the concatenation is wider than its parts."""
        return fused_dim(**self.fusion, num_modalities=len(names), dim=self.embedding_dim)

    @property
    def regularizer(self) -> dict[str, Any]:
        """Return the regularizer of a structural embedding, its own if the pipeline made one for all."""
        return copy.deepcopy(dict(self._regularizer))

    def modalities(self, kind: Kind, names: Sequence[str] | None) -> list[str]:
        """Return the modalities to use: those asked for, or structural and what the sources provide."""
        encoded = [VISUAL, TEXTUAL] if kind == "entity" else [TEXTUAL]
        if names is None:
            names = [STRUCTURAL, *(name for name in encoded if self.sources.provides(kind, name))]
            if len(names) == 1:
                raise MultimodalError(
                    f"No text, image or feature of the {'entities' if kind == 'entity' else 'relations'} is named. Use "
                    "a multimodal dataset, name `entities`, `images` or `features` in the `sources` of model_kwargs, "
                    'or ask for modalities=["structural"].'
                )
        names = [names] if isinstance(names, str) else list(names)
        known = [STRUCTURAL, *encoded]
        if not names or len(set(names)) < len(names) or not set(names) <= set(known):
            raise MultimodalError(f"The modalities of {kind} must be some of {known}, each once; got {names}.")
        return names

    def _seen(self, seen: BoolTensor, given: Any, labels: Sequence[str]) -> BoolTensor:
        """Return which entities have structure: as a user says, but those added after training by their triples."""
        old = torch.as_tensor([label not in self.sources.added for label in labels])
        chosen = torch.ones_like(seen) if given is None else torch.as_tensor(given)
        if len(chosen) == int(old.sum()) < len(old):
            chosen = torch.zeros_like(seen).masked_scatter(old, chosen)
        return torch.where(old, chosen, seen)

    def _fused(
        self,
        kind: Kind,
        shape: Shape,
        names: Sequence[str],
        is_complex: bool,
        seen: BoolTensor,
        options: OptionalKwargs,
        **kwargs: Any,
    ) -> Representation:
        """Return the fused representation for a shape, a matrix or a vector."""
        encoded = [name for name in names if name != STRUCTURAL]
        labels = labels_of(self.factory, kind) if encoded else []
        cls = ComplexMultimodalRepresentation if is_complex else MultimodalRepresentation
        kwargs |= dict(
            max_id=len(seen),
            embedding_dim=shape.dim // (self.width(names) // self.embedding_dim),
            features={name: self.sources.gather(kind, name, labels) for name in encoded},
            labels=labels or None,
            modalities=names,
            **self.fusion,
        )
        options = {"seen": seen, **(options or {})}
        if kind == "entity" and self.sources.added:
            options["seen"] = self._seen(seen, options["seen"], labels)
        if self._regularizer:
            tables = ("structural_kwargs", "imaginary_kwargs") if is_complex else ("structural_kwargs",)
            options |= {table: {**self.regularizer, **(options.get(table) or {})} for table in tables}
        try:
            base = cls(**kwargs, **options)
        except TypeError as error:
            raise MultimodalError(f"{cls.__name__} cannot be made with {options}: {error}") from error
        if len(shape.sizes) == 1:
            return base
        # a matrix, as of QuatE: the same numbers in rows
        return TransformedRepresentation(
            transformation=nn.Unflatten(-1, shape.sizes), base=base, max_id=base.max_id, shape=shape.sizes
        )

    def entity(
        self,
        shape: Shape,
        names: Sequence[str],
        interaction: Interaction,
        structural_dropout: float,
        options: OptionalKwargs,
    ) -> Representation:
        """Return the representation of the entities for one shape of the interaction."""
        if not shape.multimodal:
            return plain_embedding(shape, self.factory.num_entities)
        seen = seen_entities(self.factory)
        return self._fused(
            "entity", shape, names, interaction.is_complex, seen, options, structural_dropout=structural_dropout
        )

    def relation(
        self, shape: Shape, names: Sequence[str], interaction: Interaction, options: OptionalKwargs
    ) -> Representation:
        """Return the representation of the relations for one shape of the interaction."""
        seen = seen_relations(self.factory)
        if names == [STRUCTURAL]:
            options = {**self.regularizer, **(options or {})}
            try:
                return relation_embedding(shape, len(seen), interaction, **options)
            except TypeError as error:
                raise MultimodalError(f"The relations cannot be made with {options}: {error}") from error
        if not shape.multimodal or shape.dim % (self.width(names) // self.embedding_dim):
            return relation_embedding(shape, len(seen), interaction, **self.regularizer)
        angles = isinstance(interaction, VLRotatEInteraction)
        if isinstance(interaction, RotatEInteraction) and not angles:
            options = {"normalizer": complex_normalize, **(options or {})}
        return self._fused("relation", shape, names, interaction.is_complex and not angles, seen, options)
