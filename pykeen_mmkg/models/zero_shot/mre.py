"""MRE: multimodal relation extrapolation."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from class_resolver import OptionalKwargs
from docdata import parse_docdata
from pykeen.nn.modules import Interaction
from pykeen.nn.representation import Representation, TransformedRepresentation
from pykeen.triples import CoreTriplesFactory
from pykeen.typing import HintOrType
from torch import nn

from ...errors import MultimodalError
from ...modalities import TEXTUAL, VISUAL, EncoderHint, ModalitySources, labels_of
from ...nn.feature import FeatureRepresentation
from ...nn.zero_shot.consolidator import AlignedRepresentation, SampledRGCNRepresentation
from ...nn.zero_shot.layers import SpectralLinear
from ...options import strict
from .presets import PUBLISHED_MRE, with_presets
from .zsgan import PairScoredModel

__all__ = ["MRE"]


@parse_docdata
class MRE(PairScoredModel):
    r"""MRE [cai2024]_: a multimodal learner, a structure consolidator and a generator of relation vectors.

    1. The learner projects the frozen image and text vectors of an entity to one dimension, brings them together by a
       contrastive term, reconstructs what is masked of them and takes their mean
       (:class:`~pykeen_mmkg.nn.zero_shot.consolidator.AlignedRepresentation`).
    2. The consolidator convolves these over the training triples
       (:class:`.SampledRGCNRepresentation`), and is trained with the vectors of seen
       relations, :math:`W_2 W_1 \mathbf{x}_r` of their text, by an interaction, TransE unless said otherwise.
    3. The generator gives an unseen relation a place among the pairs
       (:class:`~pykeen_mmkg.nn.zero_shot.pair_learner.PairLearner`).

    The default is what works best on relations held out from training. ``preset="published"`` is the published method
    (:data:`~pykeen_mmkg.models.zero_shot.presets.PUBLISHED_MRE`) on frozen vectors of images and texts; single options
    can be given besides.

    ---
    name: MRE
    citation:
        author: Cai
        year: 2024
        link: https://arxiv.org/abs/2404.06220
        arxiv: 2404.06220
        github: luisrui/Multimodal-Relation-Extrapolation
    """

    #: The default strategy for optimizing the model's hyper-parameters
    hpo_default: ClassVar[Mapping[str, Any]] = dict(
        embedding_dim=dict(type=int, low=100, high=300, q=50),
        contrastive=dict(type=float, low=0.0, high=1.0),
        pivot=dict(type=float, low=0.5, high=8.0),
    )

    @with_presets(published=PUBLISHED_MRE)
    @strict(embedding_dim=1, contrastive=0, pivot=0)
    def __init__(
        self,
        *,
        triples_factory: CoreTriplesFactory,
        embedding_dim: int = 200,
        interaction: HintOrType[Interaction] = None,
        interaction_kwargs: OptionalKwargs = None,
        modalities: Sequence[str] | None = None,
        encoder: EncoderHint = None,
        sources: Mapping[str, Any] | None = None,
        unseen: Sequence[str] | None = None,
        structure: bool = True,
        contrastive: float = 0.5,
        pivot: float = 3.0,
        representation_kwargs: OptionalKwargs = None,
        consolidator_kwargs: OptionalKwargs = None,
        relation_kwargs: OptionalKwargs = None,
        pair_kwargs: OptionalKwargs = None,
        learner_kwargs: OptionalKwargs = None,
        **kwargs,
    ) -> None:
        """Initialize the model.

        :param triples_factory: the training triples; sources that its metadata names need not be given again
        :param embedding_dim: the dimension of consolidated entities, and of relations
        :param interaction: the interaction of seen relations, by default TransE with the 1-norm
        :param interaction_kwargs: its keyword arguments
        :param modalities: what is known of an entity, out of ``visual`` and ``textual``; by default what the sources
            provide
        :param encoder: the encoder of what has no features yet, see :func:`~pykeen_mmkg.encoders.make_encoder`
        :param sources: where texts, images and features come from, see
            :class:`~pykeen_mmkg.modalities.ModalitySources` for the keys
        :param unseen: labels of relations that must not have a training triple; one that has is an error
        :param structure: whether there is a consolidator; without it the aligned vectors are used as they are
        :param contrastive: the weight of the contrastive term, 0 for none
        :param pivot: the weight of the distance from the centroid of a relation
        :param representation_kwargs: further keyword arguments of :class:`.AlignedRepresentation`, and ``dim``, the
            dimension to which images and texts are projected, 384 unless said otherwise (`embedding_dim` without a
            consolidator)
        :param consolidator_kwargs: keyword arguments of :class:`.SampledRGCNRepresentation`
        :param relation_kwargs: ``spectral``, whether the two maps from texts to relations have a spectral norm of one;
            ``shared``, whether they are the last two maps of the generator, too, so that both trainings move them;
            pairs then have the dimension of relations
        :param pair_kwargs: keyword arguments of :class:`~pykeen_mmkg.nn.zero_shot.pair_learner.PairLearner`
        :param learner_kwargs: further keyword arguments of :class:`.GenerativeLearner`; neither noise nor
            discriminator nor spectral norms unless they say otherwise
        :param preset: ``published`` for the published method, but for what is given; None for our defaults
        :param kwargs: keyword arguments of :class:`.PairScoredModel`, such as ``loss_weight`` and ``l2``, and of
            :class:`~pykeen.models.ERModel`
        :raises MultimodalError: if an entity would have nothing to be known by, or shared maps have no one dimension
        """
        given = ModalitySources.from_factory(triples_factory, sources=sources, encoder=encoder)
        described = self._described(triples_factory, given, unseen)
        learner = self._entity(
            triples_factory,
            given,
            modalities,
            **{"dim": 384 if structure else embedding_dim, **(representation_kwargs or {})},
            contrastive_weight=contrastive,
        )
        entity: Representation = learner
        if structure:
            entity = SampledRGCNRepresentation(
                base=learner,
                triples=triples_factory.mapped_triples,
                num_relations=triples_factory.num_relations,
                shape=embedding_dim,
                **(consolidator_kwargs or {}),
            )
        maps, shared = _relation_maps(described.vectors.shape[-1], embedding_dim, **(relation_kwargs or {}))
        learner_kwargs = {"adversarial": False, "noise_dim": 0, "spectral": False, **(learner_kwargs or {})}
        if shared:
            learner_kwargs["last"] = maps
            pair_kwargs = {"dim": embedding_dim, **(pair_kwargs or {})}
            if pair_kwargs["dim"] != embedding_dim:
                raise MultimodalError(
                    f"Maps that relations share with the generator are of one dimension: embedding_dim={embedding_dim} "
                    f"and pair_kwargs dim={pair_kwargs['dim']} must be equal. Leave one of them out, or shared=False."
                )
        super().__init__(
            triples_factory=triples_factory,
            described=described,
            interaction=interaction,
            interaction_kwargs=interaction_kwargs,
            entity_representations=entity,
            relation_representations=TransformedRepresentation(
                transformation=maps,
                base=FeatureRepresentation(features=described.vectors),
                shape=embedding_dim,
            ),
            pair_kwargs=pair_kwargs,
            learner_kwargs=dict(pivot=pivot, **learner_kwargs),
            **kwargs,
        )
        self.sources = given
        self._remember_encoder(encoder, given.encoder_kwargs)

    @staticmethod
    def _entity(
        triples_factory: CoreTriplesFactory,
        sources: ModalitySources,
        modalities: Sequence[str] | None,
        dim: int,
        **kwargs: Any,
    ) -> AlignedRepresentation:
        if modalities is None:
            modalities = [name for name in (VISUAL, TEXTUAL) if sources.provides("entity", name)]
        unknown = set(modalities) - {VISUAL, TEXTUAL}
        if unknown or not modalities:
            raise MultimodalError(
                f"MRE needs images or texts of the entities; modalities must be some of ['visual', 'textual'] and have "
                f"a source. Got {list(modalities)}."
            )
        labels = labels_of(triples_factory, "entity")
        return AlignedRepresentation(
            {
                name: FeatureRepresentation(
                    shape=dim, features=sources.gather("entity", name, labels), labels=labels, projection=True
                )
                for name in modalities
            },
            **kwargs,
        )


@strict()
def _relation_maps(text_dim: int, dim: int, spectral: bool = False, shared: bool = False) -> tuple[nn.Sequential, bool]:
    """Return the maps from texts to relations, and whether they are the generator's, too."""
    linear = SpectralLinear if spectral else nn.Linear
    return nn.Sequential(linear(text_dim, dim), linear(dim, dim)), shared
