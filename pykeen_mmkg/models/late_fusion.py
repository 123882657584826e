"""Scorers that are trained each on its own, joined by weights that are fitted on triples none of them has seen."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import pandas
import torch
from docdata import parse_docdata
from pykeen.losses import Loss, SoftplusLoss
from pykeen.models.base import Model
from pykeen.triples import CoreTriplesFactory, TriplesFactory
from pykeen.typing import LABEL_HEAD, LABEL_TAIL, BoolTensor, FloatTensor, InductiveMode, LongTensor, Target
from torch import nn

from ..errors import DataError, MultimodalError
from ..indexing import TargetIndex, irreflexive_relations, occurring, query_columns
from ..modalities import TEXTUAL, VISUAL, EncoderHint, ModalitySources, labels_of
from ..nn.late_weights import Candidates, fit_weights, hold_out, pick_candidates
from ..options import check_keys, strict
from .loss import OwnLossMixin
from .new_entities import NewEntitiesMixin
from .scorers import Scorer, ScorerRecipe, lend_content

__all__ = ["LateFusion"]

#: what is joined unless something else is said
DEFAULT = ("content", "structure", "evidence")
SIDES: tuple[Target, Target] = (LABEL_TAIL, LABEL_HEAD)


@parse_docdata
class LateFusion(OwnLossMixin, NewEntitiesMixin, Model):
    r"""The weighted sum of scorers that are trained each on its own.

    .. math::

        f(h, r, t) = \sum_k (w_k + \delta_{rk}) f_k(h, r, t)

    A scorer is any model, of PyKEEN or of this package. By default there are three: ``content`` (two towers over
    texts, with pictures in their place where there is none), ``structure`` (ComplEx) and ``evidence`` (rules, common
    words and the like, each with a weight of its own). A scorer that does not know an entity or a relation adds
    nothing: a missing modality is masked. Candidates without a triple get an estimate of their structural score.

    An entity is no answer to its own query, unless a training triple of the relation relates an entity to itself.

    The weights are fitted on training triples that are held out for it, those of some entities altogether; then all
    scorers are trained again on everything, and the weights are kept. Validation and test triples play no part.

    All this happens at the first step of any training loop, whose epochs, optimizer and loss play no part.

    ---
    name: Late Fusion
    citation:
        author: Kittler
        year: 1998
        link: https://doi.org/10.1109/34.667881
    """

    #: The default strategy for optimizing the model's hyper-parameters
    hpo_default: ClassVar[Mapping[str, Any]] = dict(shrinkage=dict(type=float, low=0.01, high=10.0, scale="log"))
    #: The default loss function class; the scorers have losses of their own
    loss_default: ClassVar[type[Loss]] = SoftplusLoss
    #: The default parameters for the default loss function class
    loss_default_kwargs: ClassVar[Mapping[str, Any]] = {}

    #: shape (K,), the common weights
    common: FloatTensor
    #: shape (2R, K), how the weights of tails (first) and heads of each relation differ from them
    deviation: FloatTensor
    fitted: BoolTensor
    #: shape (R,), the relations that have a training triple
    seen: BoolTensor
    #: shape (R,), the relations in which no entity is its own answer
    irreflexive: BoolTensor

    #: about how many scores are held at a time while the weights are fitted
    chunk_size: int = 20_000_000

    @strict(shrinkage=0, held_out_entities=(0, 1), held_out_triples=(0, 1), max_held_out=1)
    def __init__(
        self,
        *,
        triples_factory: CoreTriplesFactory,
        scorers: str | Mapping[str, Any] | Sequence[str] | None = None,
        prior: bool = False,
        shrinkage: float = 0.05,
        held_out_entities: float = 0.04,
        held_out_triples: float = 0.06,
        max_held_out: int = 2000,
        held_out_pairs: bool = False,
        impute: bool = True,
        sources: Mapping[str, Any] | None = None,
        encoder: EncoderHint = None,
        shuffle: Mapping[str, int] | None = None,
        scorer_kwargs: Mapping[str, Any] | None = None,
        **kwargs,
    ) -> None:
        r"""Initialize the model.

        :param triples_factory: the training triples
        :param scorers: the names of presets (``content``, ``structure``, ``evidence``, ``relevidence``), or name ->
            keyword arguments of :func:`pykeen.pipeline.pipeline` (``model``, ``model_kwargs``, ``training_loop``,
            ``optimizer_kwargs``, ...), see :class:`.ScorerRecipe`. For a preset, what is not given stays as it is;
            another name takes one by ``preset``. With ``stopper``, a scorer stops early, by held-out triples of its own
        :param prior: whether it counts in how many training triples an entity is the answer, which tells little
        :param shrinkage: $\lambda$ of :func:`~pykeen_mmkg.nn.late_weights.fit_weights`, which holds the weights of
            the relations together
        :param held_out_entities: see :func:`~pykeen_mmkg.nn.late_weights.hold_out`
        :param held_out_triples: see :func:`~pykeen_mmkg.nn.late_weights.hold_out`
        :param max_held_out: see :func:`~pykeen_mmkg.nn.late_weights.hold_out`
        :param held_out_pairs: see :func:`~pykeen_mmkg.nn.late_weights.hold_out`
        :param impute: whether a candidate without a training triple has, of a scorer that knows entities by their
            triples only, the mean score of those with the nearest content
        :param sources: where text, images and features come from, for all scorers, see
            :class:`~pykeen_mmkg.modalities.ModalitySources` for the keys
        :param encoder: the encoder of what has no features yet, for all scorers
        :param shuffle: modality -> seed, for all scorers: the vectors of this modality are dealt out anew, as a control
        :param scorer_kwargs: further keyword arguments for all scorers' models that take them
        :param kwargs: keyword arguments of :class:`pykeen.models.Model`
        :raises MultimodalError: if there is no scorer, or one is not described well
        """
        super().__init__(triples_factory=triples_factory, **kwargs)
        check_keys("shuffle", shuffle or (), (TEXTUAL, VISUAL))
        # relations are asked about in both directions anyway; the inverse ones of the factory are not used
        self.use_inverse_triples = False
        self.num_relations = triples_factory.real_num_relations
        self.prior, self.shrinkage, self.impute, self.seed = prior, shrinkage, impute, self._random_seed or 0
        given = dict(sources=sources, encoder=encoder, shuffle=shuffle)
        shared = {key: value for key, value in given.items() if value is not None} | dict(scorer_kwargs or {})
        if scorers is None:
            found = ModalitySources.from_factory(triples_factory, sources=sources, encoder=encoder)
            content = any(found.provides("entity", modality) for modality in (TEXTUAL, VISUAL))
            scorers = DEFAULT if content else DEFAULT[1:]
        if not isinstance(scorers, Mapping):
            scorers = {name: {} for name in ([scorers] if isinstance(scorers, str) else scorers)}
        if not scorers:
            raise MultimodalError("Late fusion needs at least one scorer.")
        self.recipes = [ScorerRecipe.parse(name, change, shared) for name, change in scorers.items()]
        self._factory: CoreTriplesFactory | None = triples_factory
        self.entity_labels = []
        self.relation_labels = [str(relation) for relation in range(self.num_relations)]
        if isinstance(triples_factory, TriplesFactory):
            self.entity_labels = labels_of(triples_factory, "entity")
            step = 2 if triples_factory.create_inverse_triples else 1
            self.relation_labels = labels_of(triples_factory, "relation")[::step]
        self.hold_out_kwargs: Any = dict(entities=held_out_entities, share=held_out_triples)
        self.hold_out_kwargs |= dict(limit=max_held_out, pairs=held_out_pairs)
        self.scorers = nn.ModuleDict({recipe.name: recipe.make(triples_factory, self.seed) for recipe in self.recipes})
        self._wrap()
        self.idle = nn.Parameter(torch.zeros(()))
        self._idle_version: int | None = None
        self.register_buffer("common", torch.zeros(len(self.columns)))
        self.register_buffer("deviation", torch.zeros(2 * self.num_relations, len(self.columns)))
        self.register_buffer("fitted", torch.tensor(False))
        triples = triples_factory.mapped_triples
        self.register_buffer("seen", occurring(triples[:, 1], self.num_relations), persistent=False)
        self.register_buffer("irreflexive", irreflexive_relations(triples, self.num_relations), persistent=False)
        self.candidates: Candidates | None = None
        self.reset_parameters_()

    def _wrap(self) -> None:
        assert self._factory is not None
        self._scorers = [
            Scorer(recipe.name, self.scorers[recipe.name], recipe.factory(self._factory))  # type: ignore[arg-type]
            for recipe in self.recipes
        ]
        lend_content(self._scorers if self.impute else ())

    @property
    def columns(self) -> list[str]:
        """The names of the scores that are joined."""
        return [column for scorer in self._scorers for column in scorer.columns]

    def _slices(self) -> Iterator[tuple[Scorer, slice]]:
        start = 0
        for scorer in self._scorers:
            stop = start + len(scorer.columns)
            yield scorer, slice(start, stop)
            start = stop

    def fit(self) -> "LateFusion":
        """Train the scorers and fit the weights; training loops call this at their first step.

        :returns: the model
        :raises MultimodalError: if the model comes from a file, which holds no training triples
        """
        if self._factory is None:
            raise MultimodalError("A model that was loaded from a file has no training triples: make a new one.")
        options: dict[str, Any] = dict(training=self._factory, seed=self.seed, device=self.idle.device)
        number = self.num_entities
        rest, held = hold_out(self._factory.mapped_triples, number, seed=self.seed + 1, **self.hold_out_kwargs)
        epochs: dict[str, int | None] = {}
        scorers = []
        for recipe in self.recipes:
            own, stopping = rest, None
            if recipe.trained and recipe.options.get("stopper"):
                own, stopping = hold_out(rest, number, entities=0.0, seed=self.seed + 2)
            model, epochs[recipe.name] = recipe.train(triples=own, validation=stopping, **options)
            scorers.append(Scorer(recipe.name, model, recipe.factory(self._factory, own)))
        lend_content(scorers if self.impute else ())
        self.candidates = self._collect(scorers, held)
        del scorers, model
        self._set_weights(self._chosen())
        for recipe in self.recipes:
            if recipe.trained:
                self.scorers[recipe.name], _ = recipe.train(num_epochs=epochs[recipe.name], **options)
        self._wrap()
        self.fitted.fill_(True)
        return self

    def _chosen(self, names: Sequence[str] | None = None, prior: bool | None = None) -> list[int]:
        prior = self.prior if prior is None else prior
        scorers = [name.partition(".")[0] for name in self.columns]
        return [
            i
            for i, (column, scorer) in enumerate(zip(self.columns, scorers, strict=True))
            if (names is None or scorer in names or column in names)
            and (prior or not column.endswith(".prior") or (names is not None and column in names))
        ]

    @torch.no_grad()
    def _collect(self, scorers: Sequence[Scorer], held: LongTensor) -> Candidates | None:
        """Score the candidates of the held-out triples, on either side."""
        assert self._factory is not None
        if not len(held):
            return None
        generator = torch.Generator().manual_seed(self.seed)
        step = max(1, self.chunk_size // (len(self.columns) * self.num_entities))
        parts = []
        for side, target in enumerate(SIDES):
            given, predicted = query_columns(target)
            index = TargetIndex.from_triples(self._factory.mapped_triples, target)
            for batch in held[held[:, 1].argsort(stable=True)].split(step):
                entities, relations, answers = batch[:, given], batch[:, 1], batch[:, predicted]
                known = torch.zeros(len(batch), self.num_entities, dtype=torch.bool)
                known[index.rows(entities, relations)] = True
                known[torch.arange(len(batch)), entities] |= self.irreflexive[relations].cpu()
                known[torch.arange(len(batch)), answers] = False
                queries = entities.to(self.idle.device), relations.to(self.idle.device)
                scores = torch.cat([scorer.scores(*queries, target) for scorer in scorers]).cpu()
                directed = relations + side * self.num_relations
                parts.append(pick_candidates(scores, directed, answers, known, generator=generator))
        return Candidates.concatenate(parts)

    def _set_weights(self, columns: Sequence[int]) -> None:
        """Fit the weights of some columns; without anything to fit by, all of these count the same."""
        common, deviation = torch.zeros_like(self.common), torch.zeros_like(self.deviation)
        if self.candidates is None or len(columns) == 1:
            common[list(columns)] = 1.0
        else:
            common, deviation = fit_weights(
                self.candidates, len(deviation), columns, shrinkage=self.shrinkage, seed=self.seed
            )
        self.common.copy_(common)
        self.deviation.copy_(deviation)

    def subset(self, *names: str, prior: bool | None = None) -> "LateFusion":
        """Return a model that joins some of the scorers, as they are trained, by weights fitted for these alone.

        :param names: names of scorers or of columns; by default all
        :param prior: whether the prior takes part, by default as before
        :returns: a model that shares the scorers with this one
        :raises MultimodalError: if a name is unknown, or the model has not been trained in this process
        """
        if unknown := sorted(set(names) - (known := {*self.columns, *(scorer.name for scorer in self._scorers)})):
            raise MultimodalError(f"There are no scorers {unknown}; known are {sorted(known)}.")
        columns = self._chosen(names or None, prior)
        lacking = self.candidates is None and len(columns) > 1 and bool(self.deviation.any())  # fitted elsewhere
        if not self.fitted or self._factory is None or lacking:
            raise MultimodalError("Train the model first; one that was loaded from a file has no candidates to fit by.")
        other = copy.copy(self)
        other._factory, other.candidates = self._factory, self.candidates
        other._buffers = {key: value.clone() for key, value in self._buffers.items() if value is not None}
        other._set_weights(columns)
        return other

    def _weights(self, relations: LongTensor, target: Target) -> FloatTensor:
        """Return the weights of queries, shape ``(b, K)``.

        For a relation without a training triple there is nothing to fit. If there are scorers that read descriptions
        of relations, they answer for it, and else all do, by the common weights.
        """
        num_relations = len(self.seen)
        inside = relations < num_relations
        rows = torch.where(inside, relations, 0)
        seen = (inside & self.seen[rows])[:, None]
        weights = self.common + self.deviation[rows + (num_relations if target == LABEL_HEAD else 0)]
        described = [scorer.described for scorer in self._scorers for _ in scorer.columns]
        if not any(described):
            return torch.where(seen, weights, self.common)
        return torch.where(seen, weights, torch.tensor(described, device=weights.device).to(weights))

    @property
    def weights_(self) -> pandas.DataFrame:
        """The weights: a row for each side of each relation, a column for each score."""
        relations = torch.arange(len(self.relation_labels), device=self.common.device)
        table = torch.cat([self._weights(relations, target) for target in SIDES]).cpu()
        rows = pandas.MultiIndex.from_product([SIDES, self.relation_labels], names=["target", "relation"])
        return pandas.DataFrame(table.numpy(), index=rows, columns=self.columns)

    def add_relation(self, description: str, label: str | None = None, **kwargs: Any) -> int:
        """Add a relation by its description, for the scorers that can; the others have nothing to say about it.

        :param description: what the relation means
        :param label: its label, by default the description
        :param kwargs: see :meth:`.DescribedRelationsMixin.add_relation`
        :returns: the id of the relation
        :raises MultimodalError: if no scorer can
        """
        able = [scorer.model for scorer in self._scorers if hasattr(scorer.model, "add_relation")]
        if not able:
            raise MultimodalError("No scorer answers for relations by their description: add `relevidence`.")
        for model in able:
            model.add_relation(description, label, **kwargs)  # type: ignore[operator]
        self.relation_labels = [*self.relation_labels, label or description]
        self.num_relations += 1
        return self.num_relations - 1

    def explain(self, head: str, relation: str, tail: str, target: Target = LABEL_TAIL) -> pandas.DataFrame:
        """Return what each scorer adds to the score of a triple.

        :param head: the label of the head
        :param relation: the label of the relation
        :param tail: the label of the tail
        :param target: the side that is asked for, ``tail`` or ``head``
        :returns: a row for each column, with its score, its weight, their product (the ``share``; the shares add up to
            the score of the triple), and the ``rank`` that the answer has among all entities by this column alone
        :raises DataError: if a label is unknown
        """
        for label, labels in ((head, self.entity_labels), (tail, self.entity_labels), (relation, self.relation_labels)):
            if label not in labels:
                raise DataError(f"{label!r} is not a label of the graph.")
        ends = (head, tail) if target == LABEL_TAIL else (tail, head)
        known, answer = (self.entity_labels.index(label) for label in ends)
        entity = torch.tensor([known], device=self.idle.device)
        rel = torch.tensor([self.relation_labels.index(relation)], device=self.idle.device)
        with torch.inference_mode():
            scores = torch.cat([scorer.scores(entity, rel, target) for scorer in self._scorers])[:, 0]
            own = scores[:, answer]
            weights = self._weights(rel, target)[0]
            better, equal = (scores > own[:, None]).sum(dim=-1), (scores == own[:, None]).sum(dim=-1)
        columns = dict(score=own, weight=weights, share=own * weights, rank=better + (equal + 1) / 2)
        return pandas.DataFrame({key: value.cpu().numpy() for key, value in columns.items()}, index=self.columns)

    def _rows(self, entities: LongTensor, relations: LongTensor, target: Target) -> FloatTensor:
        """Score all entities, shape ``(b, N)``."""
        if self.training:
            return torch.zeros(len(entities), self.num_entities, device=self.idle.device)
        weights = self._weights(relations, target)
        total: FloatTensor | None = None
        for scorer, columns in self._slices():
            own = weights[:, columns]
            if own.any():
                scores = scorer.weighted(entities, relations, target, own, None)
                total = scores if total is None else total + scores
        if total is None:
            total = weights.new_zeros(len(entities), self.num_entities)
        inside = relations < len(self.irreflexive)
        own = torch.where(inside, self.irreflexive[torch.where(inside, relations, 0)], self.irreflexive.all())
        last = torch.where(own, total.amin(dim=-1) - 1, total.gather(1, entities[:, None])[:, 0])
        return total.scatter(1, entities[:, None], last[:, None])

    def _answer(
        self, entities: LongTensor, relations: LongTensor, target: Target, ids: LongTensor | None
    ) -> FloatTensor:
        if self.training:
            # a training loop asks: its loss plays no part, but wants a gradient
            self._idle_version = self.idle._version
        pairs, inverse = torch.stack([entities, relations], dim=-1).unique(dim=0, return_inverse=True)
        scores = self._rows(pairs[:, 0], pairs[:, 1], target)[inverse]
        if ids is not None:
            scores = scores[:, ids] if ids.ndim == 1 else scores.gather(1, ids)
        return scores + 0 * self.idle

    # docstr-coverage: inherited
    def score_t(  # noqa: D102
        self,
        hr_batch: LongTensor,
        *,
        slice_size: int | None = None,
        mode: InductiveMode | None = None,
        tails: LongTensor | None = None,
    ) -> FloatTensor:
        return self._answer(hr_batch[:, 0], hr_batch[:, 1], LABEL_TAIL, tails)

    # docstr-coverage: inherited
    def score_h(  # noqa: D102
        self,
        rt_batch: LongTensor,
        *,
        slice_size: int | None = None,
        mode: InductiveMode | None = None,
        heads: LongTensor | None = None,
    ) -> FloatTensor:
        return self._answer(rt_batch[:, 1], rt_batch[:, 0], LABEL_HEAD, heads)

    # docstr-coverage: inherited
    def score_hrt(self, hrt_batch: LongTensor, *, mode: InductiveMode | None = None) -> FloatTensor:  # noqa: D102
        return self._answer(hrt_batch[:, 0], hrt_batch[:, 1], LABEL_TAIL, hrt_batch[:, 2:])

    # docstr-coverage: inherited
    def score_r(  # noqa: D102
        self,
        ht_batch: LongTensor,
        *,
        slice_size: int | None = None,
        mode: InductiveMode | None = None,
        relations: LongTensor | None = None,
    ) -> FloatTensor:
        if relations is None:
            relations = torch.arange(self.num_relations, device=ht_batch.device)
        choices = relations.expand(len(ht_batch), -1)
        hrt = torch.stack(
            [ht_batch[:, :1].expand_as(choices), choices, ht_batch[:, 1:].expand_as(choices)], dim=-1
        ).view(-1, 3)
        return self.score_hrt(hrt).view(choices.shape)

    # docstr-coverage: inherited
    def post_parameter_update(self) -> None:  # noqa: D102
        super().post_parameter_update()
        # looking for a batch size, a loop scores but makes no step
        stepped = self._idle_version is not None and self.idle._version != self._idle_version
        if self.training and stepped and not self.fitted:
            self.fit()
            self.train()

    # docstr-coverage: inherited
    def _reset_parameters_(self) -> None:
        self.fitted.fill_(False)
        self.candidates, self._idle_version = None, None
        nn.init.zeros_(self.idle)
        self.common.zero_(), self.deviation.zero_()
        for scorer in self.scorers.values():
            scorer.reset_parameters_()  # type: ignore[operator]

    # docstr-coverage: inherited
    def _get_entity_len(self, *, mode: InductiveMode | None) -> int:
        return self.num_entities

    # docstr-coverage: inherited
    def collect_regularization_term(self) -> FloatTensor:  # noqa: D102
        return torch.zeros((), device=self.idle.device)

    # docstr-coverage: inherited
    def get_grad_params(self) -> list[nn.Parameter]:  # noqa: D102
        return [self.idle]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_factory": None, "candidates": None}
