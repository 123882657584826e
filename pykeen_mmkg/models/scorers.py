"""A scorer of late fusion: how it is made, how it is trained, and what it has something to say about."""

import contextlib
import dataclasses
import gc
import inspect
import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy
import torch
from pykeen.models.base import Model
from pykeen.models.nbase import ERModel
from pykeen.triples import CoreTriplesFactory
from pykeen.typing import LABEL_TAIL, BoolTensor, FloatTensor, LongTensor, Target

from ..errors import MultimodalError
from ..indexing import occurring, seen_entities
from ..nn.multimodal import MultimodalRepresentation
from ..nn.preprocessing import stand_ins
from ..options import check_training

__all__ = ["PRESETS", "Scorer", "ScorerRecipe", "lend_content"]

#: the temperature by which entities are near for :class:`Scorer`; chosen on validation triples, see docs/late_fusion.md
NEARNESS = 0.05

#: scorers by name, as keyword arguments of PyKEEN's pipeline
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "content": dict(
        model="twotower",
        training_loop="sampledsoftmax",
        training_loop_kwargs=dict(num_sampled=512, warmup_steps=50, decay=True),
        optimizer="adam",
        optimizer_kwargs=dict(lr=2e-3),
        training_kwargs=dict(num_epochs=20, batch_size=512),
    ),
    "structure": dict(
        model="complexn3",
        training_loop="sampledsoftmax",
        training_loop_kwargs=dict(num_sampled=1024),
        optimizer="adagrad",
        optimizer_kwargs=dict(lr=0.1),
        training_kwargs=dict(num_epochs=12, batch_size=512),
    ),
    "evidence": dict(model="evidence", model_kwargs=dict(prior=True), training_kwargs=dict(num_epochs=0)),
    "relevidence": dict(
        model="relevidence",
        training_loop="episodic",
        optimizer="adam",
        optimizer_kwargs=dict(lr=2e-3),
        training_kwargs=dict(num_epochs=10, batch_size=128),
        inverse=False,
    ),
}


#: what is said of a scorer's pipeline; torch_max_mem warns of what PyKEEN does on every processor
_LEAST_LEVELS = {"pykeen": logging.WARNING, "torch_max_mem": logging.ERROR}


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Leave the state of all random number generators as it was; spare the garbage collector what exists already.

    What PyKEEN notes of each pipeline (its device, inverse triples) is not said once more for each scorer.
    """
    states = random.getstate(), numpy.random.get_state()
    levels = {logging.getLogger(name): least for name, least in _LEAST_LEVELS.items()}
    before = {logger: logger.level for logger in levels}
    for logger, least in levels.items():
        logger.setLevel(max(logger.level, least))
    gc.freeze()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        gc.unfreeze()
        for logger, level in before.items():
            logger.setLevel(level)
        random.setstate(states[0])
        numpy.random.set_state(states[1])


def _merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested mappings; what is changed to another class loses the arguments of the old one."""
    result = dict(base)
    for key, value in change.items():
        if isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            value = _merge(result[key], value)
        elif f"{key}_kwargs" in result and value != result.get(key):
            result.pop(f"{key}_kwargs")
        result[key] = value
    return result


@dataclasses.dataclass(frozen=True)
class ScorerRecipe:
    """How a scorer is made and trained.

    :param name: the name of the scorer
    :param options: keyword arguments of :func:`pykeen.pipeline.pipeline`, but for the data; and ``inverse``: whether it
        is trained with inverse triples (by default, if it is trained at all). With ``num_epochs=0`` it is not trained
    """

    name: str
    options: Mapping[str, Any]

    @classmethod
    def parse(cls, name: str, change: Mapping[str, Any] | str | None, shared: Mapping[str, Any]) -> "ScorerRecipe":
        """Complete what a user says.

        :param name: the name of the scorer; if it is one of :data:`PRESETS`, what is not given is taken from there,
            unless another model is named
        :param change: keyword arguments of the pipeline, or the name of a model; with ``preset``, what is not given is
            taken from this preset rather than from that of the name, so that there can be two of a kind
        :param shared: keyword arguments for the model, of which those are used that it takes
        :returns: the recipe
        :raises MultimodalError: if there is no model, or an argument is of the data or the evaluation
        """
        change = {"model": change} if isinstance(change, str) else dict(change or {})
        named = change.pop("preset", None)
        if named is not None and named not in PRESETS:
            raise MultimodalError(f"The scorer {name!r}: there is no preset {named!r}; there are {', '.join(PRESETS)}.")
        preset = PRESETS.get(named or name, {})
        if change.get("model", preset.get("model")) != preset.get("model"):
            preset = {}
        options = _merge(preset, change)
        # late: PyKEEN registers the models of plugins while it makes these modules
        from pykeen.models import model_resolver
        from pykeen.pipeline import pipeline

        if "model" not in options:
            raise MultimodalError(
                f"The scorer {name!r} has no model: give {{{name!r}: {{'model': ...}}}}, or take one of the presets "
                f"{', '.join(PRESETS)}: {{'preset': ...}}."
            )
        known = set(inspect.signature(pipeline).parameters) | {"inverse"}
        known -= {"dataset", "dataset_kwargs", "training", "testing", "validation", "random_seed", "device"}
        if unknown := sorted(set(options) - known):
            raise MultimodalError(f"The scorer {name!r} has the unknown options {unknown}; known are {sorted(known)}.")
        check_training(f"the scorer {name!r}", options.get("training_kwargs"))
        accepted = inspect.signature(model_resolver.lookup(options["model"]).__init__).parameters
        own = {key: value for key, value in shared.items() if key in accepted}
        options["model_kwargs"] = {**own, **(options.get("model_kwargs") or {})}
        return cls(name, options)

    @property
    def trained(self) -> bool:
        """Return whether there is anything to train."""
        return self.options.get("training_kwargs", {}).get("num_epochs", 5) > 0

    def factory(self, training: CoreTriplesFactory, triples: LongTensor | None = None) -> CoreTriplesFactory:
        """Return a factory of (other) training triples, with inverse ones if the scorer needs them."""
        return training.clone_and_exchange_triples(
            training.mapped_triples if triples is None else triples,
            create_inverse_triples=bool(self.options.get("inverse", self.trained)),
        )

    def make(self, training: CoreTriplesFactory, seed: int) -> Model:
        """Return the untrained model."""
        return self._make(self.factory(training), seed)

    def _make(self, factory: CoreTriplesFactory, seed: int) -> Model:
        from pykeen.models import model_resolver

        with _undisturbed():
            return model_resolver.make(
                self.options["model"], self.options["model_kwargs"], triples_factory=factory, random_seed=seed
            )

    def train(
        self,
        training: CoreTriplesFactory,
        seed: int,
        device: torch.device,
        triples: LongTensor | None = None,
        validation: LongTensor | None = None,
        num_epochs: int | None = None,
    ) -> tuple[Model, int | None]:
        """Make and train the model by PyKEEN's pipeline.

        :param training: the training triples
        :param seed: the random seed
        :param device: the device
        :param triples: shape: ``(n, 3)``; other triples to train on
        :param validation: shape: ``(m, 3)``; the triples by which it may stop early; it does not where there are none
        :param num_epochs: for how many epochs to train, without stopping early
        :returns: the model, and the best epoch if it could stop early
        """
        from pykeen.pipeline import pipeline

        factory = self.factory(training, triples)
        if not self.trained:
            return self._make(factory, seed).to(device).eval(), None
        options = {key: value for key, value in self.options.items() if key != "inverse"}
        part = "all" if triples is None else "without the held-out part"
        training_kwargs = {
            "use_tqdm_batch": False,
            "tqdm_kwargs": {"desc": f"{self.name} ({part})"},
            **options.pop("training_kwargs", {}),
        }
        if validation is not None and not len(validation):
            validation = None
        if num_epochs is not None or validation is None:
            options.pop("stopper", None), options.pop("stopper_kwargs", None)
            training_kwargs |= {} if num_epochs is None else {"num_epochs": num_epochs}
        held = factory.clone_and_exchange_triples(
            factory.mapped_triples[:1] if validation is None else validation, create_inverse_triples=False
        )
        evaluation: dict[str, Any] = dict(use_tqdm=False)
        if "stopper" not in options:
            evaluation["batch_size"] = 1  # of one triple, for which no size need be found, nor told
        with _undisturbed():
            # the pipeline wants something to evaluate
            result = pipeline(
                training=factory,
                validation=held,
                testing=held.clone_and_exchange_triples(held.mapped_triples[:1]),
                training_kwargs=training_kwargs,
                random_seed=seed,
                device=device,
                **{"evaluation_kwargs": evaluation, "evaluator_kwargs": {}, **options},
            )
        stopper = result.stopper
        best = getattr(stopper, "best_epoch", None)
        return result.model.eval(), best


class Scorer:
    """A trained model, with the entities and relations that it knows.

    What it does not know it has nothing to say about: the score is 0. The exception are candidates without a triple, of
    a model that knows entities by their triples only: once there is :attr:`content`, such a candidate has the mean of
    the scores of the entities whose content is nearest to its own, as :func:`~pykeen_mmkg.nn.preprocessing.stand_ins`
    weighs them.
    """

    #: gives the content of all entities, shape ``(N, d)``, and which of them have any, shape ``(N,)``
    content: Callable[[], tuple[FloatTensor, BoolTensor]] | None = None
    #: the candidates without a triple, shape (m,), and the weights of the entities in their place, shape (m, N), sparse
    _estimated: tuple[LongTensor, torch.Tensor] | None = None

    def __init__(self, name: str, model: Model, training: CoreTriplesFactory) -> None:
        """Initialize the scorer.

        :param name: its name
        :param model: the model
        :param training: the triples that it was trained on
        """
        self.name, self.model = name, model
        self.parts: tuple[str, ...] = tuple(getattr(model, "parts", ()))
        self.entities = _known_entities(model, training)
        #: whether it reads descriptions of relations, so that it answers for unseen ones
        self.described = hasattr(model, "described")
        seen = occurring(training.mapped_triples[:, 1], training.real_num_relations)
        self.relations = torch.ones_like(seen) if self.parts or self.described else seen

    @property
    def columns(self) -> list[str]:
        """The names of its scores."""
        return [f"{self.name}.{part}" for part in self.parts] or [self.name]

    def grow(self) -> None:
        """Take note of entities that the model has got since; what it knows by their triples only, it does not know."""
        own = _known_by_model(self.model)
        if own is None:
            # what has no representations reads texts
            new = torch.full((self.model.num_entities - len(self.entities),), not isinstance(self.model, ERModel))
            own = torch.cat([self.entities, new.to(self.entities)])
        self.entities, self._estimated = own, None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_estimated": None}

    def _estimates(self, device: torch.device) -> tuple[LongTensor, torch.Tensor]:
        if self._estimated is None or self._estimated[0].device != device:
            assert self.content is not None
            vectors, mask = self.content()
            known = self.entities.to(mask.device)
            found = stand_ins(vectors.new_zeros(len(mask), 1), known, vectors.float(), mask, temperature=NEARNESS)
            row = torch.arange(len(found.ids), device=mask.device).repeat_interleave(found.others.shape[1])
            self._estimated = (
                found.ids,
                torch.sparse_coo_tensor(
                    torch.stack([row, found.others.flatten()]),
                    found.weights.flatten(),
                    (len(found.ids), len(mask)),
                    check_invariants=False,
                ).coalesce(),
            )
        return self._estimated

    def knows(self, relations: LongTensor) -> BoolTensor:
        """Return which relations it knows; those that were added later are known by their description only."""
        inside = relations < len(self.relations)
        known = self.relations.to(relations.device)[relations.clamp(max=len(self.relations) - 1)]
        return torch.where(inside, known, torch.full_like(known, self.described))

    def scores(
        self, entities: LongTensor, relations: LongTensor, target: Target, ids: LongTensor | None = None
    ) -> FloatTensor:
        """Score candidates by each column.

        :param entities: shape: ``(b,)``; the known entities
        :param relations: shape: ``(b,)``; the relations
        :param target: the predicted side
        :param ids: shape: ``(n,)``; the candidates, by default all entities
        :returns: shape: ``(K, b, n)``
        """
        if self.parts:
            inside = self.knows(relations)
            known = torch.where(inside, relations, 0)
            return self.model.score_parts(entities, known, target, ids) * inside[:, None]  # type: ignore[operator]
        return self._plain(entities, relations, target, ids)[None]

    def weighted(
        self, entities: LongTensor, relations: LongTensor, target: Target, weights: FloatTensor, ids: LongTensor | None
    ) -> FloatTensor:
        """Return the weighted sum of the columns; `weights` has the shape ``(b, K)``."""
        if self.parts:
            inside = self.knows(relations)
            weights = weights * inside[:, None]
            known = torch.where(inside, relations, 0)
            return self.model.score_weighted(entities, known, target, weights, ids)  # type: ignore[operator]
        return weights * self._plain(entities, relations, target, ids)

    def _plain(
        self, entities: LongTensor, relations: LongTensor, target: Target, ids: LongTensor | None
    ) -> FloatTensor:
        inside = self.knows(relations)
        safe = torch.where(inside, relations, 0)
        if target == LABEL_TAIL:
            scores = self.model.predict_t(torch.stack([entities, safe], dim=-1))
        else:
            scores = self.model.predict_h(torch.stack([safe, entities], dim=-1))
        known = self.entities.to(scores.device)
        # a level that all candidates share means nothing; without it, "nothing to say" is the average
        average = (scores * known).sum(dim=-1, keepdim=True) / known.sum().clamp(min=1)
        scores = (scores - average).masked_fill(~((known[entities] & inside)[:, None] & known), 0.0)
        if self.content is not None:
            candidates, weights = self._estimates(scores.device)
            if len(candidates):
                with torch.no_grad():
                    scores[:, candidates] = torch.sparse.mm(weights, scores.T).T
        return scores if ids is None else scores[:, ids]


def lend_content(scorers: Sequence[Scorer]) -> None:
    """Let the scorers that know entities by their triples only see the content of the first one that has any.

    :param scorers: the scorers of late fusion
    """
    content = next((own for scorer in scorers if (own := getattr(scorer.model, "content", None)) is not None), None)
    for scorer in scorers:
        if isinstance(scorer.model, ERModel) and not scorer.described and _known_by_model(scorer.model) is None:
            scorer.content = content


def _known_by_model(model: Model) -> BoolTensor | None:
    """Return which entities a model has something to say about, if it knows more of them than their triples."""
    known = getattr(model, "known_entities", None)
    if known is not None:
        return known
    masks = [module.mask.any(dim=-1) for module in model.modules() if isinstance(module, MultimodalRepresentation)]
    return masks[0] if masks and isinstance(model, ERModel) else None


def _known_entities(model: Model, training: CoreTriplesFactory) -> BoolTensor:
    """Return which entities a model has something to say about."""
    if (known := _known_by_model(model)) is not None:
        return known
    if not isinstance(model, ERModel):
        return torch.ones(training.num_entities, dtype=torch.bool)
    return seen_entities(training)
