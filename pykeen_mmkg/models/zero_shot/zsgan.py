"""ZSGAN: relation vectors generated from descriptions, compared with the vectors of entity pairs."""

import logging
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from class_resolver import OptionalKwargs
from docdata import parse_docdata
from pykeen.losses import Loss, MarginRankingLoss
from pykeen.models.nbase import ERModel
from pykeen.nn.modules import Interaction, TransEInteraction
from pykeen.nn.representation import Embedding, Representation
from pykeen.triples import CoreTriplesFactory, TriplesFactory
from pykeen.typing import (
    LABEL_RELATION,
    LABEL_TAIL,
    BoolTensor,
    FloatTensor,
    HintOrType,
    InductiveMode,
    LongTensor,
    Target,
)
from torch import nn

from ...datasets import entity_types, type_pools
from ...datasets.files import read_triples
from ...errors import DataError, MultimodalError
from ...indexing import seen_relations
from ...modalities import EncoderHint, ModalitySources
from ...nn.zero_shot.pair_learner import PairLearner
from ...nn.zero_shot.self_trained import SelfTrained
from ...nn.zero_shot.structure_loss import MeanSquareRegularizer, WeightedLoss
from ...options import strict
from ...query_scoring import QueryScoringMixin
from ..loss import OwnLossMixin
from .descriptions import DescribedRelations, DescribedRelationsMixin
from .presets import PUBLISHED_ZSGAN, with_presets

__all__ = ["ZSGAN", "PairScoredModel"]

logger = logging.getLogger(__name__)


class PairScoredModel(OwnLossMixin, DescribedRelationsMixin, QueryScoringMixin, ERModel):
    """Seen relations are scored by an interaction, unseen ones by the pair they would have to look like.

    The vectors of entities and seen relations are trained by the loop; the extractor of pairs and the generator train
    themselves (:class:`.PairLearner`), after each step of any loop of PyKEEN or, better, in
    epochs of their own (:class:`~pykeen_mmkg.training.twophase.TwoPhaseTrainingLoop`).
    """

    #: The default loss function class
    loss_default: ClassVar[type[Loss]] = MarginRankingLoss
    #: The default parameters for the default loss function class
    loss_default_kwargs: ClassVar[Mapping[str, Any]] = dict(margin=3.0, reduction="mean")

    seen: BoolTensor

    @strict(loss_weight=0, l2=0)
    def __init__(
        self,
        *,
        triples_factory: CoreTriplesFactory,
        described: DescribedRelations,
        interaction: HintOrType[Interaction],
        interaction_kwargs: OptionalKwargs,
        entity_representations: Representation,
        relation_representations: Representation,
        pair_kwargs: OptionalKwargs,
        learner_kwargs: OptionalKwargs,
        loss_weight: float = 1.0,
        l2: float = 0.0,
        **kwargs,
    ) -> None:
        """Initialize the model.

        :param triples_factory: the training triples
        :param described: the descriptions of the relations
        :param interaction: the interaction of seen relations, by default TransE with the 1-norm
        :param interaction_kwargs: its keyword arguments
        :param entity_representations: the vectors of entities
        :param relation_representations: the vectors of seen relations
        :param pair_kwargs: keyword arguments of :class:`~pykeen_mmkg.nn.zero_shot.pair_learner.PairLearner`. The
            ``pools`` may be ``types``: tails of negatives are then entities of the types that tails of the relation
            have, with labels such as NELL's ``concept:TYPE:name``. ``leaked_triples`` is a file of triples that are to
            be predicted, whose links the extractor then sees: to measure what the authors' code gains by it, never to
            report
        :param learner_kwargs: keyword arguments of its :class:`.GenerativeLearner`
        :param loss_weight: the weight of the loss of triples, and of `l2` with it, beside that of the representations
        :param l2: the weight of the mean of squares of heads, tails and relations, each a third
        :param kwargs: keyword arguments of :class:`~pykeen.models.ERModel`
        :raises MultimodalError: if there is a regularizer where `l2` would be another
        """
        interaction_kwargs = dict(p=1) if interaction is None and interaction_kwargs is None else interaction_kwargs
        super().__init__(
            triples_factory=triples_factory,
            interaction=interaction or TransEInteraction,
            interaction_kwargs=interaction_kwargs,
            entity_representations=entity_representations,
            relation_representations=relation_representations,
            **kwargs,
        )
        if loss_weight != 1:
            self.loss = WeightedLoss(self.loss, loss_weight)
        if l2:
            # heads and tails are two thirds, and the mean over both is that of entities
            for representation, share in ((entity_representations, 2 / 3), (relation_representations, 1 / 3)):
                if representation.regularizer is not None:
                    raise MultimodalError("With l2 the vectors cannot have another regularizer; leave one of them out.")
                representation.regularizer = MeanSquareRegularizer(weight=loss_weight * l2 * share)
        self.described = described
        self.register_buffer("seen", seen_relations(triples_factory), persistent=False)
        self.pairs = PairLearner(
            triples_factory.mapped_triples,
            (triples_factory.num_entities, int(entity_representations.shape[0])),
            seen=self.seen,
            text_dim=described.vectors.shape[-1],
            learner_kwargs=learner_kwargs,
            **_pair_options(triples_factory, pair_kwargs or {}),
        )
        self.pairs.sources = self._frozen

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.pairs.sources = self._frozen

    def _frozen(self) -> tuple[FloatTensor, FloatTensor]:
        """Return the vectors of entities and the texts of relations as they are."""
        entities = self.entity_representations[0]
        training = entities.training
        entities.eval()
        vectors = entities(None).detach().clone()
        entities.train(training)
        return vectors, self.described.vectors

    def get_grad_params(self) -> Iterable[nn.Parameter]:  # noqa: D102
        own = {id(p) for module in self.modules() if isinstance(module, SelfTrained) for p in module.parameters()}
        # maps that relations share with the generator are trained by both
        own -= {id(p) for representation in self.relation_representations for p in representation.parameters()}
        return (p for p in self.parameters() if p.requires_grad and id(p) not in own)

    def _is_seen(self, relations: LongTensor) -> BoolTensor:
        inside = relations < len(self.seen)
        return inside & self.seen[torch.where(inside, relations, 0)]

    def _prototypes(self, relations: LongTensor) -> FloatTensor:
        """Return what pairs of each relation are compared with; shape: ``(b, dim)``."""
        own, inverse = relations.unique(return_inverse=True)
        return self.pairs.prototypes(self.described(own))[inverse]

    def score_hrt(self, hrt_batch: LongTensor, *, mode: InductiveMode | None = None) -> FloatTensor:  # noqa: D102
        seen = self._is_seen(hrt_batch[:, 1])
        if bool(seen.all()):
            return super().score_hrt(hrt_batch, mode=mode)
        result = torch.empty(len(hrt_batch), 1, device=hrt_batch.device)
        if bool(seen.any()):
            result[seen] = super().score_hrt(hrt_batch[seen], mode=mode)
        heads, relations, tails = hrt_batch[~seen].unbind(-1)
        result[~seen] = self.pairs.scores(heads, self._prototypes(relations), tails)[:, None].to(result)
        return result

    def _score_queries(self, batch: LongTensor, target: Target, ids: LongTensor | None, **kwargs: Any) -> FloatTensor:
        if target == LABEL_RELATION:
            every = torch.arange(self.num_relations, device=batch.device) if ids is None else ids
            if every.ndim > 1 or not bool(self._is_seen(every).all()):
                return super()._score_queries(batch, target, ids, **kwargs)
            return ERModel.score_r(self, batch, relations=every, **kwargs)

        def interaction(rows: LongTensor, ids: LongTensor | None) -> FloatTensor:
            if target == LABEL_TAIL:
                return ERModel.score_t(self, rows, tails=ids, **kwargs)
            return ERModel.score_h(self, rows, heads=ids, **kwargs)

        one, relations = batch.unbind(-1) if target == LABEL_TAIL else batch.flip(-1).unbind(-1)
        seen = self._is_seen(relations)
        if bool(seen.all()):
            return interaction(batch, ids)
        every = torch.arange(self.num_entities, device=batch.device) if ids is None else ids
        result = torch.empty(len(batch), every.shape[-1], device=batch.device)
        if bool(seen.any()):
            result[seen] = interaction(batch[seen], ids if ids is None or ids.ndim == 1 else ids[seen])
        one, prototypes = one[~seen], self._prototypes(relations[~seen])
        cosines = self.pairs.extractor.cosines
        if every.ndim == 1:
            made = cosines(one, every, prototypes, target)
        else:
            rows = zip(one, every[~seen], prototypes, strict=True)
            made = torch.cat([cosines(o[None], e, p[None], target) for o, e, p in rows])
        result[~seen] = made.to(result)
        return result


def _pair_options(triples_factory: CoreTriplesFactory, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of the pair learner with entities by their ids in place of names and files."""
    options = dict(options)
    leaked, pools = options.pop("leaked_triples", None), options.get("pools")
    if leaked is None and not isinstance(pools, str):
        return options
    if not isinstance(triples_factory, TriplesFactory):
        raise DataError("Entities are found by their labels, but the triples factory has none.")
    ids = triples_factory.entity_to_id
    if isinstance(pools, str):
        if pools != "types":
            raise MultimodalError(f"The option pools={pools!r} must be 'types', or entities by relation.")
        options["pools"] = type_pools(triples_factory.mapped_triples, entity_types(ids))
    if leaked is not None:
        # the neighbours of unseen relations are told by their ends alone
        rows = [(ids[h], 0, ids[t]) for h, _, t in read_triples(pathlib.Path(leaked)) if h in ids and t in ids]
        logger.warning(
            "The extractor sees the %d links of %s, which gives answers away: do not report.", len(rows), leaked
        )
        given = dict(options.get("extractor_kwargs") or {})
        options["extractor_kwargs"] = {**given, "leaked": torch.tensor(rows, dtype=torch.long).view(-1, 3)}
    return options


@parse_docdata
class ZSGAN(PairScoredModel):
    """ZSGAN [qin2020]_: plain embeddings, the extractor of pairs, and a generator with discriminator.

    The default has our dimensions, TransE, and the hinge between centroids. ``preset="published"`` is the published
    method (:data:`~pykeen_mmkg.models.zero_shot.presets.PUBLISHED_ZSGAN`); single options can be given besides.

    ---
    name: ZSGAN
    citation:
        author: Qin
        year: 2020
        link: https://arxiv.org/abs/2001.02332
        arxiv: 2001.02332
        github: Panda0406/Zero-shot-knowledge-graph-relational-learning
    """

    #: The default strategy for optimizing the model's hyper-parameters
    hpo_default: ClassVar[Mapping[str, Any]] = dict(
        embedding_dim=dict(type=int, low=50, high=250, q=50),
        pivot=dict(type=float, low=0.5, high=8.0),
    )

    @with_presets(published=PUBLISHED_ZSGAN)
    @strict(embedding_dim=1, pivot=0)
    def __init__(
        self,
        *,
        triples_factory: CoreTriplesFactory,
        embedding_dim: int | None = None,
        interaction: HintOrType[Interaction] = None,
        interaction_kwargs: OptionalKwargs = None,
        encoder: EncoderHint = None,
        sources: Mapping[str, Any] | None = None,
        unseen: Sequence[str] | None = None,
        pivot: float = 3.0,
        pair_kwargs: OptionalKwargs = None,
        learner_kwargs: OptionalKwargs = None,
        **kwargs,
    ) -> None:
        """Initialize the model.

        :param triples_factory: the training triples; sources that its metadata names need not be given again
        :param embedding_dim: the dimension of entities and relations, by default 200, with the preset 100
        :param interaction: the interaction of seen relations, by default TransE
        :param interaction_kwargs: its keyword arguments
        :param encoder: the encoder of descriptions without features, see :func:`~pykeen_mmkg.encoders.make_encoder`
        :param sources: where descriptions and their features come from, see
            :class:`~pykeen_mmkg.modalities.ModalitySources` for the keys
        :param unseen: labels of relations that must not have a training triple; one that has is an error
        :param pivot: the weight of the distance from the centroid of a relation
        :param pair_kwargs: keyword arguments of :class:`~pykeen_mmkg.nn.zero_shot.pair_learner.PairLearner`
        :param learner_kwargs: further keyword arguments of :class:`.GenerativeLearner`; five steps of the discriminator
            for one of the generator unless they say otherwise
        :param preset: ``published`` for the published method, but for what is given; None for our defaults
        :param kwargs: keyword arguments of :class:`.PairScoredModel`, such as ``l2``, and of
            :class:`~pykeen.models.ERModel`
        """
        embedding_dim = 200 if embedding_dim is None else embedding_dim
        given = ModalitySources.from_factory(triples_factory, sources=sources, encoder=encoder)
        super().__init__(
            triples_factory=triples_factory,
            described=self._described(triples_factory, given, unseen),
            interaction=interaction,
            interaction_kwargs=interaction_kwargs,
            entity_representations=Embedding(max_id=triples_factory.num_entities, shape=embedding_dim),
            relation_representations=Embedding(max_id=triples_factory.num_relations, shape=embedding_dim),
            pair_kwargs=pair_kwargs,
            learner_kwargs=dict(pivot=pivot, **{"critic_steps": 5, **(learner_kwargs or {})}),
            **kwargs,
        )
        self.sources = given
        self._remember_encoder(encoder, given.encoder_kwargs)
