"""VL-KGE: frozen vision-language features fused with trainable structural embeddings."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

from class_resolver import OptionalKwargs
from docdata import parse_docdata
from pykeen.losses import Loss, SoftplusLoss
from pykeen.models.nbase import ERModel
from pykeen.nn.modules import Interaction, RotatEInteraction
from pykeen.nn.representation import Representation, TransformedRepresentation
from pykeen.triples import CoreTriplesFactory
from pykeen.typing import HintOrType
from pykeen.utils import complex_normalize
from torch import nn

from ..datasets.tables import Kind
from ..errors import MultimodalError
from ..modalities import STRUCTURAL, TEXTUAL, VISUAL, ModalitySources, labels_of
from ..nn.fusion import make_fusion
from ..nn.interaction import VLDistMultInteraction, VLRotatEInteraction, fast_interaction
from ..nn.representation import ComplexMultimodalRepresentation, MultimodalRepresentation, seen_entities
from .loss import OwnLossMixin
from .scoring import IndexedScoringMixin
from .shapes import (
    Slot,
    entity_slots,
    make_interaction,
    plain_embedding,
    relation_embedding,
    relation_slots,
    resolve_dimensions,
    seen_relations,
)

__all__ = ["VLKGE"]


@parse_docdata
class VLKGE(OwnLossMixin, IndexedScoringMixin, ERModel):
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
        adapter=dict(type="categorical", choices=[False, True]),
    )
    #: The default loss function class
    loss_default: ClassVar[type[Loss]] = SoftplusLoss
    #: The default parameters for the default loss function class
    loss_default_kwargs: ClassVar[Mapping[str, Any]] = dict(reduction="mean")

    def __init__(
        self,
        *,
        triples_factory: CoreTriplesFactory,
        embedding_dim: int = 256,
        interaction: HintOrType[Interaction] = None,
        interaction_kwargs: OptionalKwargs = None,
        dimensions: Mapping[str, int] | None = None,
        modalities: Sequence[str] | None = None,
        relation_modalities: Sequence[str] | None = None,
        fusion: str | None = None,
        fusion_kwargs: OptionalKwargs = None,
        encoder: str | None = None,
        encoder_kwargs: OptionalKwargs = None,
        entities: str | None = None,
        relations: str | None = None,
        images: str | None = None,
        features: Mapping[str, Any] | None = None,
        store: str | None = None,
        strict: bool = False,
        project: bool = False,
        shared_projection: bool = False,
        adapter: bool = False,
        adapter_kwargs: OptionalKwargs = None,
        normalize_features: bool = False,
        l2_normalize: bool = False,
        storage: str = "device",
        structural_dropout: float = 0.0,
        modality_dropout: float = 0.0,
        shuffle: Mapping[str, int] | None = None,
        imaginary: str = "distil",
        imaginary_fit: float = 1.0,
        fast: bool = True,
        **kwargs,
    ) -> None:
        r"""Initialize the model.

        :param triples_factory: the training triples. Sources that its metadata names (as a
            :class:`~pykeen_mmkg.datasets.folder.MultimodalDataset` does) need not be given again
        :param embedding_dim: the dimension $d$ of each modality's vector before fusion
        :param interaction: the interaction, by default ``vldistmult``; any of PyKEEN's, or the paper's forms
            ``vltranse``, ``vldistmult``, ``vlcomplex``, ``vlrotate``
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
        :param encoder_kwargs: keyword arguments of the encoder
        :param entities: path of the table of the entities (columns entity, label, description)
        :param relations: path of the table of the relations (columns relation, label, description)
        :param images: path of the image folder of the entities
        :param features: paths of feature files, with the keys ``visual``, ``textual``, ``relation_textual``
        :param store: the folder in which what is encoded is kept, by default one under PyKEEN's home
        :param strict: whether an image that cannot be decoded is an error, rather than counted, listed and skipped
        :param project: whether features are projected even if they have the right dimension
        :param shared_projection: whether modalities of the same dimension share one projection
        :param adapter: whether the projected features go through a residual adapter, see
            :class:`~pykeen_mmkg.nn.adapter.ResidualAdapter`
        :param adapter_kwargs: keyword arguments of the adapter
        :param normalize_features: whether the frozen vectors are scaled to unit length before the projection
        :param l2_normalize: whether each modality's vectors, the structural ones as well, are scaled to unit length
            before the fusion
        :param storage: where the features are kept: ``device``, or ``cpu`` for host memory where a GPU is too small
        :param structural_dropout: the probability with which the structural part of an entity is hidden in a training
            step, so that the other parts learn to do without it. Needed to predict for unseen entities
        :param modality_dropout: the same for each of the other modalities of an entity
        :param shuffle: modality -> seed: the vectors of this modality are dealt out anew among the entities that have
            one, the control that tells an informative modality from a mere identifier
        :param imaginary: for complex interactions, what the imaginary part of unseen entities learns from, see
            :class:`~pykeen_mmkg.nn.representation.ComplexMultimodalRepresentation`
        :param imaginary_fit: for complex interactions, the weight of the regression from which unseen entities get
            their imaginary part
        :param fast: whether an interaction that has a faster equal is replaced by it
        :param kwargs: keyword arguments of :class:`~pykeen.models.ERModel`
        :raises MultimodalError: if a modality, fusion or feature is unknown or does not fit, or no source is named
        """
        sources = ModalitySources.from_factory(
            triples_factory,
            entities=entities,
            relations=relations,
            images=images,
            features=features,
            encoder=encoder,
            encoder_kwargs=encoder_kwargs,
            store=store,
            strict=strict,
        )
        options = dict(
            projection=True if project else None,
            shared_projection=shared_projection,
            adapter=adapter,
            adapter_kwargs=adapter_kwargs,
            normalize_features=normalize_features,
            l2_normalize=l2_normalize,
            storage=storage,
            structural_dropout=structural_dropout,
            modality_dropout=modality_dropout,
            fusion=fusion,
            fusion_kwargs=fusion_kwargs,
        )
        parts = _Parts(triples_factory, sources, options)
        names = parts.modalities("entity", modalities)
        relation_names = parts.modalities("relation", relation_modalities or [STRUCTURAL])
        # the concatenation is wider than its parts
        width = {
            len(group): make_fusion(fusion, fusion_kwargs, modalities=group, dim=embedding_dim).output_dim
            for group in (names, relation_names)
        }
        dim = width[len(names)]
        interaction = make_interaction(interaction or VLDistMultInteraction, interaction_kwargs, dim=dim)
        numbers = resolve_dimensions(interaction, dim=dim, dimensions=dimensions)
        super().__init__(
            triples_factory=triples_factory,
            interaction=fast_interaction(interaction) if fast else interaction,
            entity_representations=[
                parts.entity(
                    slot,
                    names,
                    interaction,
                    factor=dim // embedding_dim,
                    shuffle=shuffle,
                    imaginary=dict(imaginary=imaginary, imaginary_fit=imaginary_fit),
                )
                for slot in entity_slots(interaction, numbers)
            ],
            relation_representations=[
                parts.relation(slot, relation_names, interaction, factor=width[len(relation_names)] // embedding_dim)
                for slot in relation_slots(interaction, numbers)
            ],
            **kwargs,
        )


class _Parts:
    """Builds the representations of entities and relations from their sources."""

    def __init__(
        self, triples_factory: CoreTriplesFactory, sources: ModalitySources, options: Mapping[str, Any]
    ) -> None:
        self.factory = triples_factory
        self.sources = sources
        self.options = options

    def modalities(self, kind: Kind, names: Sequence[str] | None) -> list[str]:
        """Return the modalities to use: those asked for, or structural and what the sources provide."""
        encoded = [VISUAL, TEXTUAL] if kind == "entity" else [TEXTUAL]
        if names is None:
            names = [STRUCTURAL, *(name for name in encoded if self.sources.provides(kind, name))]
            if len(names) == 1:
                raise MultimodalError(
                    f"No text, image or feature of the {'entities' if kind == 'entity' else 'relations'} is named. Use "
                    "a multimodal dataset, give `entities`, `images` or `features` in model_kwargs, or ask for "
                    'modalities=["structural"].'
                )
        names = [names] if isinstance(names, str) else list(names)
        known = [STRUCTURAL, *encoded]
        if not names or len(set(names)) < len(names) or not set(names) <= set(known):
            raise MultimodalError(f"The modalities of {kind} must be some of {known}, each once; got {names}.")
        return names

    def _fused(
        self, kind: Kind, slot: Slot, names: Sequence[str], factor: int, is_complex: bool, **kwargs: Any
    ) -> Representation:
        """Return the fused representation for a slot of any shape."""
        encoded = [name for name in names if name != STRUCTURAL]
        labels = labels_of(self.factory, kind) if encoded else None
        cls = ComplexMultimodalRepresentation if is_complex else MultimodalRepresentation
        base = cls(
            max_id=self.factory.num_entities if kind == "entity" else self.factory.num_relations,
            embedding_dim=slot.dim // factor,
            features={name: self.sources.gather(kind, name, cast(Sequence[str], labels)) for name in encoded},
            labels=labels,
            modalities=names,
            **self.options,
            **kwargs,
        )
        if len(slot.shape) == 1:
            return base
        # a matrix, as of QuatE: the same numbers in rows
        return TransformedRepresentation(
            transformation=nn.Unflatten(-1, slot.shape), base=base, max_id=base.max_id, shape=slot.shape
        )

    def entity(
        self,
        slot: Slot,
        names: Sequence[str],
        interaction: Interaction,
        factor: int,
        shuffle: Mapping[str, int] | None,
        imaginary: Mapping[str, Any],
    ) -> Representation:
        """Return the representation of the entities for one slot of the interaction."""
        if not slot.multimodal:
            return plain_embedding(slot, self.factory.num_entities)
        extra = imaginary if interaction.is_complex else {}
        return self._fused(
            "entity",
            slot,
            names,
            factor=factor,
            is_complex=interaction.is_complex,
            seen=seen_entities(self.factory),
            shuffle=shuffle,
            **extra,
        )

    def relation(self, slot: Slot, names: Sequence[str], interaction: Interaction, factor: int) -> Representation:
        """Return the representation of the relations for one slot of the interaction."""
        num_relations = self.factory.num_relations
        if names == [STRUCTURAL]:
            return relation_embedding(slot, num_relations, interaction)
        if not slot.multimodal or slot.dim % factor:
            return plain_embedding(slot, num_relations)
        angles = isinstance(interaction, VLRotatEInteraction)
        unit = isinstance(interaction, RotatEInteraction) and not angles
        return self._fused(
            "relation",
            slot,
            names,
            factor=factor,
            is_complex=interaction.is_complex and not angles,
            seen=seen_relations(self.factory),
            **(dict(normalizer=complex_normalize) if unit else {}),
        )
