"""Link prediction from what is known of an entity: its text, or a picture that stands in for it."""

from collections.abc import Mapping
from typing import Any, ClassVar

from class_resolver import OptionalKwargs
from docdata import parse_docdata
from pykeen.losses import Loss
from pykeen.models.nbase import ERModel
from pykeen.nn.representation import Embedding
from pykeen.triples import CoreTriplesFactory
from pykeen.typing import BoolTensor, FloatTensor
from torch import nn

from ..errors import MultimodalError
from ..modalities import TEXTUAL, VISUAL, EncoderHint, ModalitySources, labels_of
from ..nn.feature import FeatureRepresentation
from ..nn.losses import SampledSoftmaxLoss
from ..nn.two_tower_interaction import TwoTowerInteraction
from ..options import check_keys, strict
from .loss import OwnLossMixin
from .new_entities import NewEntitiesMixin

__all__ = ["TwoTower"]


@parse_docdata
class TwoTower(OwnLossMixin, NewEntitiesMixin, ERModel):
    r"""Two towers over frozen features: a query of head and relation, compared with the tail's content by its cosine.

    The features are centered, an entity that has only the other modality gets an estimate (by default, its text from
    its picture), and one without either has the score 0. There are no vectors per entity, so unseen entities are
    scored like all others. See :class:`.TwoTowerInteraction` for the formula.

    Train it with inverse triples and the training loop ``sampledsoftmax``.

    ---
    name: Two-Tower
    citation:
        author: Wang
        year: 2022
        link: https://aclanthology.org/2022.acl-long.295
        github: intfloat/SimKGC
    """

    #: The default strategy for optimizing the model's hyper-parameters
    hpo_default: ClassVar[Mapping[str, Any]] = dict(
        embedding_dim=dict(type=int, low=64, high=256, q=64),
        dropout=dict(type=float, low=0.0, high=0.4, q=0.1),
    )
    #: The default loss function class
    loss_default: ClassVar[type[Loss]] = SampledSoftmaxLoss
    #: The default parameters for the default loss function class
    loss_default_kwargs: ClassVar[Mapping[str, Any]] = {}

    @strict(embedding_dim=1, hidden_dim=1, dropout=(0, 1), temperature=0)
    def __init__(
        self,
        *,
        triples_factory: CoreTriplesFactory,
        embedding_dim: int = 128,
        hidden_dim: int | None = None,
        dropout: float = 0.1,
        temperature: float = 20.0,
        modality: str | None = None,
        center: bool = True,
        whiten: float | None = None,
        impute: str | None = "kernel",
        impute_kwargs: OptionalKwargs = None,
        shuffle: Mapping[str, int] | None = None,
        storage: str = "device",
        encoder: EncoderHint = None,
        sources: Mapping[str, Any] | None = None,
        **kwargs,
    ) -> None:
        """Initialize the model.

        :param triples_factory: the training triples; sources that its metadata names need not be given again
        :param embedding_dim: the dimension to which the features are projected
        :param hidden_dim: see :class:`.TwoTowerInteraction`
        :param dropout: see :class:`.TwoTowerInteraction`
        :param temperature: see :class:`.TwoTowerInteraction`
        :param modality: ``textual`` or ``visual``: what an entity is represented by; by default the text, if there is
            any
        :param center: whether the features are centered, see :func:`~pykeen_mmkg.nn.preprocessing.center`
        :param whiten: see :func:`~pykeen_mmkg.nn.preprocessing.whiten`
        :param impute: how to estimate the features of an entity that has only the other modality, ``kernel``,
            ``ridge`` or None, see :func:`~pykeen_mmkg.nn.preprocessing.impute`
        :param impute_kwargs: ``temperature`` or ``ridge``
        :param shuffle: modality -> seed: the vectors of this modality are dealt out anew, as a control
        :param storage: where the features are kept: ``device`` or ``cpu``
        :param encoder: the encoder of what has no features yet, see :func:`~pykeen_mmkg.encoders.make_encoder`
        :param sources: where text, images and features come from, see
            :class:`~pykeen_mmkg.modalities.ModalitySources` for the keys
        :param kwargs: keyword arguments of :class:`~pykeen.models.ERModel`
        :raises MultimodalError: if the graph has no text and no image, or not the one that is asked for
        """
        given = ModalitySources.from_factory(triples_factory, sources=sources, encoder=encoder)
        labels = labels_of(triples_factory, "entity")
        known = [name for name in (TEXTUAL, VISUAL) if given.provides("entity", name)]
        modality = modality or next(iter(known), None)
        if modality not in known:
            raise MultimodalError(
                f"The entities have no {modality or 'text or image'}: a two-tower model needs features. Use a "
                "multimodal dataset, or name `features` in the `sources` of model_kwargs."
            )
        other = next((name for name in known if name != modality), None)
        shuffle = shuffle or {}
        check_keys("shuffle", shuffle, (TEXTUAL, VISUAL))
        store = given.gather("entity", modality, labels)
        # pictures are not encoded in vain; where they are already, an entity that is added later may have nothing else
        lacking = other is not None and (given.stored("entity", other) or not store.lookup(labels)[1].all())
        if impute is None or other is None or not lacking:
            impute, impute_kwargs = None, None
        else:
            impute_kwargs = {
                "features": given.gather("entity", other, labels),
                "shuffle": shuffle.get(other),
                **(impute_kwargs or {}),
            }
        content = FeatureRepresentation(
            max_id=triples_factory.num_entities,
            shape=embedding_dim,
            features=store,
            labels=labels,
            projection=True,
            center=center,
            whiten=whiten,
            impute=impute,  # type: ignore[arg-type]
            impute_kwargs=impute_kwargs,
            shuffle=shuffle.get(modality),
            storage=storage,
        )
        num_relations = triples_factory.num_relations
        super().__init__(
            triples_factory=triples_factory,
            interaction=TwoTowerInteraction(
                embedding_dim, hidden_dim=hidden_dim, dropout=dropout, temperature=temperature
            ),
            entity_representations=content,
            relation_representations=[
                Embedding(num_relations, shape=embedding_dim, initializer=nn.init.ones_),
                Embedding(num_relations, shape=embedding_dim, initializer=nn.init.normal_),
            ],
            **kwargs,
        )
        self.sources, self.entity_labels = given, labels

    def content(self) -> tuple[FloatTensor, BoolTensor]:
        """Return the frozen features of the entities, shape ``(num_entities, d)``, and which of them have any."""
        content = self.entity_representations[0]
        assert isinstance(content, FeatureRepresentation)
        return content.lookup(), content.mask

    @property
    def known_entities(self) -> BoolTensor:
        """Return which entities have features, or an estimate of them, shape: ``(num_entities,)``."""
        content = self.entity_representations[0]
        assert isinstance(content, FeatureRepresentation)
        return content.mask
