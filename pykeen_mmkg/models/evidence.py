"""What the training graph and the texts say about an answer, as a model without weights."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from docdata import parse_docdata
from pykeen.triples import CoreTriplesFactory, TriplesFactory
from pykeen.typing import LABEL_HEAD, LABEL_TAIL, BoolTensor, FloatTensor, LongTensor, MappedTriples, Target

from ..baselines.rules import Baseline
from ..errors import DataError
from ..modalities import TEXTUAL, VISUAL, EncoderHint, ModalitySources, labels_of
from ..nn.evidence.queries import Queries
from ..nn.evidence.reasons import Reason
from ..nn.evidence.scorer import EvidenceScorer
from ..nn.feature import _shuffled
from ..nn.preprocessing import Imputation, center, preprocess, stand_ins
from ..options import check_keys, strict
from .new_entities import NewEntitiesMixin

__all__ = ["Evidence"]


@parse_docdata
class Evidence(NewEntitiesMixin, Baseline):
    r"""Scores an answer by counts over the training triples, and by texts that are alike.

    Its parts are rules of one and two links, whether an entity can be its own answer, the answers of entities with
    similar texts, the likeness to known answers, common words, and if asked for the prior of an answer, see
    :mod:`pykeen_mmkg.nn.evidence`. Alone it adds them up; in
    :class:`~pykeen_mmkg.models.late_fusion.LateFusion` each part has a weight per relation.

    An entity that has only an image gets an estimate of its text vector and of its words.

    ---
    name: Evidence
    citation:
        author: Meilicke
        year: 2019
        link: https://www.ijcai.org/proceedings/2019/435
        github: https://web.informatik.uni-mannheim.de/AnyBURL
    """

    #: about how many scores are held at a time
    chunk_size: int = 4_000_000

    @strict(neighbours=0, copy_neighbours=0, temperature=0, max_rules=0, min_confidence=(0, 1), max_known=0)
    def __init__(
        self,
        *,
        triples_factory: CoreTriplesFactory,
        parts: Sequence[str] | None = None,
        prior: bool = False,
        neighbours: int = 10,
        copy_neighbours: int = 64,
        temperature: float = 0.05,
        max_rules: int = 25,
        min_confidence: float = 0.01,
        max_known: int = 16,
        impute: Imputation | None = "kernel",
        shuffle: Mapping[str, int] | None = None,
        encoder: EncoderHint = None,
        sources: Mapping[str, Any] | None = None,
        **kwargs,
    ) -> None:
        """Initialize the model.

        :param triples_factory: the training triples; sources that its metadata names need not be given again
        :param parts: some of :data:`~pykeen_mmkg.nn.evidence.scorer.PARTS`; by default all for which there are texts,
            but for the prior
        :param prior: whether the prior is one of the parts that are there by default
        :param neighbours: how many nearest texts are a link "~" of path rules
        :param copy_neighbours: how many nearest texts are copied from
        :param temperature: the width of the kernel of copying
        :param max_rules: how many path rules of the greatest confidence are kept for each relation and direction
        :param min_confidence: path rules of less confidence are left out
        :param max_known: with how many known answers a candidate is compared
        :param impute: how the text vector of an entity with only an image is estimated, ``kernel``, ``ridge`` or None,
            see :func:`~pykeen_mmkg.nn.preprocessing.impute`
        :param shuffle: modality -> seed: the vectors of this modality are dealt out anew, as a control
        :param encoder: the encoder of texts and images that have no features yet
        :param sources: where text, images and features come from, see
            :class:`~pykeen_mmkg.modalities.ModalitySources` for the keys; without a table of the entities
            there is no evidence from words
        :param kwargs: keyword arguments of :class:`pykeen.models.Model`
        :raises DataError: if the triples factory has inverse triples
        :raises MultimodalError: if a part is unknown, or lacks the texts that it reads
        """
        if triples_factory.create_inverse_triples:
            raise DataError("Evidence reads links in both directions already: use create_inverse_triples=False.")
        super().__init__(triples_factory=triples_factory, **kwargs)
        check_keys("shuffle", shuffle or (), (TEXTUAL, VISUAL))
        self._triples = triples_factory.mapped_triples
        self._text_kwargs: dict[str, Any] = dict(impute=impute, shuffle=shuffle or {})
        self._scorer_kwargs: dict[str, Any] = dict(
            parts=parts,
            prior=prior,
            neighbours=neighbours,
            copy_neighbours=copy_neighbours,
            temperature=temperature,
            max_known=max_known,
            max_rules=max_rules,
            min_confidence=min_confidence,
        )
        self.sources: ModalitySources | None = None
        if parts is None or set(parts) - {"link", "loop", "prior"}:
            self.sources = ModalitySources.from_factory(triples_factory, sources=sources, encoder=encoder)
        self.entity_labels = []
        if self._has_texts or isinstance(triples_factory, TriplesFactory):
            self.entity_labels = labels_of(triples_factory, "entity")
        self.read_again()

    @property
    def _has_texts(self) -> bool:
        given = self.sources
        return given is not None and (
            given.entities is not None or any(given.provides("entity", name) for name in (TEXTUAL, VISUAL))
        )

    def read_again(self, labels: Sequence[str] | None = None, triples: MappedTriples | None = None) -> None:
        """Read the evidence off the graph and the texts, which may have got more.

        :param labels: the labels of all entities, by default those before
        :param triples: shape: ``(n, 3)``; the training triples, by default those before
        """
        if labels is not None:
            self.entity_labels, self.num_entities = list(labels), len(labels)
        if triples is not None:
            self._triples = triples
        texts: dict[str, Any] = {}
        if self._has_texts and self.sources is not None:
            texts = _texts(self.sources, self.entity_labels, **self._text_kwargs)
        self.scorer = EvidenceScorer(
            self._triples,
            num_entities=self.num_entities,
            num_relations=self.num_relations,
            **texts,
            **self._scorer_kwargs,
        )

    @property
    def reads_words(self) -> bool:
        """Return whether the words of texts count, and not only their vectors."""
        return any(part.startswith("words:") for part in self.parts)

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the parts, in the order of their scores."""
        return self.scorer.parts

    def _queries(
        self, entities: LongTensor, relations: LongTensor, target: Target, ids: LongTensor | None
    ) -> Iterator[tuple[slice, Queries]]:
        """Cut the queries so that a bounded number of candidates is scored at a time."""
        relations = relations.cpu() + (self.num_relations if target == LABEL_HEAD else 0)
        entities, ids = entities.cpu(), None if ids is None else ids.cpu()
        step = max(1, self.chunk_size // max(1, self.num_entities if ids is None else len(ids)))
        for start in range(0, max(1, len(entities)), step):
            rows = slice(start, start + step)
            yield rows, self.scorer.queries(entities[rows], relations[rows], ids=ids)

    def score_parts(
        self, entities: LongTensor, relations: LongTensor, target: Target, ids: LongTensor | None = None
    ) -> FloatTensor:
        """Score answers by each part.

        :param entities: shape: ``(b,)``; the known entities
        :param relations: shape: ``(b,)``
        :param target: the predicted side, ``head`` or ``tail``
        :param ids: shape: ``(n,)``; the candidates, by default all entities
        :returns: shape: ``(K, b, n)``; 0 where a part has nothing to say
        """
        parts = [self.scorer.features(queries) for _, queries in self._queries(entities, relations, target, ids)]
        return torch.cat(parts, dim=1).to(self.idle.device)

    def score_weighted(
        self,
        entities: LongTensor,
        relations: LongTensor,
        target: Target,
        weights: FloatTensor,
        ids: LongTensor | None = None,
    ) -> FloatTensor:
        """Score answers by the weighted sum of the parts; see :meth:`score_parts` for the other arguments.

        :param weights: shape: ``(b, K)``
        :returns: shape: ``(b, n)``
        """
        weights = weights.detach().cpu()
        batches = self._queries(entities, relations, target, ids)
        parts = [self.scorer.weighted(queries, weights[rows]) for rows, queries in batches]
        return torch.cat(parts).to(self.idle.device)

    def reasons(self, entity: int, relation: int, answer: int, target: Target, best: int = 3) -> list[Reason]:
        """Return the training triples and the words that speak for an answer.

        :param entity: the known entity
        :param relation: the relation
        :param answer: the answer
        :param target: the predicted side
        :param best: how many of each part, the strongest
        :returns: the reasons, part by part; the triples are turned the way that training has them, and one that leads
            to a similar text keeps the relation ``2 R``
        """
        directed = relation + (self.num_relations if target == LABEL_HEAD else 0)
        result: list[Reason] = []
        for reason in self.scorer.reasons(entity, directed, answer):
            if sum(other.part == reason.part for other in result) < best:
                triples = tuple(
                    (t, r - self.num_relations, h) if self.num_relations <= r < 2 * self.num_relations else (h, r, t)
                    for h, r, t in reason.triples
                )
                result.append(reason._replace(triples=triples))
        return result

    def score_hrt(self, hrt_batch: LongTensor, **kwargs) -> FloatTensor:  # noqa: D102
        pairs, row = hrt_batch[:, :2].unique(dim=0, return_inverse=True)
        ids, column = hrt_batch[:, 2].unique(return_inverse=True)
        weights = torch.ones(len(pairs), len(self.parts))
        scores = self.score_weighted(pairs[:, 0], pairs[:, 1], LABEL_TAIL, weights, ids=ids)
        return scores[row, column][:, None] + 0 * self.idle

    def _scores(self, entities: LongTensor, relations: LongTensor, target: Target) -> FloatTensor:
        return self.score_weighted(entities, relations, target, torch.ones(len(entities), len(self.parts)))


def _texts(
    sources: ModalitySources, labels: Sequence[str], impute: Imputation | None, shuffle: Mapping[str, int]
) -> dict[str, Any]:
    """Return what :class:`.EvidenceScorer` is to know of the entities' texts.

    An entity whose text has no vector counts as one without a name, too: its text is not to be known.
    """
    found: dict[str, tuple[FloatTensor, BoolTensor]] = {}
    for modality in (TEXTUAL, VISUAL):
        # pictures only stand in for texts: they are not encoded in vain, but if they are, for entities added later
        lacking = modality == TEXTUAL
        if impute is not None and TEXTUAL in found and modality == VISUAL:
            lacking = not found[TEXTUAL][1].all() or sources.stored("entity", VISUAL)
        if lacking and sources.provides("entity", modality):
            vectors, mask = sources.gather("entity", modality, labels).lookup(labels)
            if modality in shuffle:
                rows = _shuffled(torch.where(mask, torch.arange(len(mask)), -1), shuffle[modality])
                vectors = vectors[rows]
            found[modality] = vectors.float() * mask[:, None], mask
    result: dict[str, Any] = {}
    known = torch.ones(len(labels), dtype=torch.bool)
    if TEXTUAL in found:
        known = found[TEXTUAL][1]
        result["vectors"], result["mask"] = preprocess(
            *found[TEXTUAL], *found.get(VISUAL, (None, None)), imputation=impute
        )
        if VISUAL in found and impute == "kernel":
            result["stand_ins"] = stand_ins(result["vectors"], known, center(*found[VISUAL]), found[VISUAL][1])
    if sources.entities is not None:
        table = sources.table("entity", labels)
        for key, texts in (("names", table.names), ("descriptions", table.descriptions)):
            result[key] = [text if has else "" for text, has in zip(texts, known.tolist(), strict=True)]
    return result
