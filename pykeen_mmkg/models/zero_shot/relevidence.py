"""Unseen relations from the evidence in the training graph: links, paths, profiles and texts."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from docdata import parse_docdata
from pykeen.losses import InfoNCELoss, Loss
from pykeen.triples import CoreTriplesFactory
from pykeen.typing import LABEL_HEAD, LABEL_TAIL, FloatTensor, InductiveMode, LongTensor, Target
from torch import nn

from ..._compat import AbstractModel
from ...errors import DataError, MultimodalError
from ...indexing import bounded_slices
from ...modalities import TEXTUAL, EncoderHint, ModalitySources, labels_of
from ...nn.evidence.words import WordOverlap
from ...nn.preprocessing import center
from ...nn.zero_shot.graph import EvidenceGraph, nearest_texts
from ...nn.zero_shot.pair_evidence import EVIDENCE, PairEvidence, score_grid, score_heads
from ...options import strict
from ...query_scoring import QueryScoringMixin
from ..loss import OwnLossMixin
from ..new_entities import NewEntitiesMixin
from .descriptions import DescribedRelationsMixin

__all__ = ["RelEvidence"]


@parse_docdata
class RelEvidence(OwnLossMixin, DescribedRelationsMixin, NewEntitiesMixin, QueryScoringMixin, AbstractModel):
    """Scores a triple by the evidence of the training graph, read in the light of the relation's description.

    See :class:`.PairEvidence` for the formula. A relation's own triples never count as evidence
    for it, neither in training nor afterwards, so that every relation is treated as an unseen one, and a relation can
    be added by its description alone (:meth:`add_relation`). There are no embeddings; what is trained is shared by all
    relations, and small.

    It learns to rank tails: train it with :class:`~pykeen_mmkg.training.episodic.EpisodicTrainingLoop` (some hundred
    batches suffice), whose triples share their negatives, or with PyKEEN's sLCWA loop and many negatives.

    ---
    name: RelEvidence
    citation:
        author: Zhu
        year: 2021
        link: https://arxiv.org/abs/2106.06935
        arxiv: 2106.06935
    """

    #: The default strategy for optimizing the model's hyper-parameters
    hpo_default: ClassVar[Mapping[str, Any]] = dict(
        num_weights=dict(type=int, low=4, high=16, q=4),
        rank=dict(type=int, low=8, high=48, q=8),
        dropout=dict(type=float, low=0.0, high=0.6, q=0.1),
    )
    #: The default loss function class: the cross entropy of the answer among its negatives
    loss_default: ClassVar[type[Loss]] = InfoNCELoss
    #: The default parameters for the default loss function class
    loss_default_kwargs: ClassVar[Mapping[str, Any]] = dict(margin=0.0, log_adversarial_temperature=0.0)

    #: how many links and scores are held at a time when nothing is trained
    chunk_size: int = 1_500_000

    turn: LongTensor

    @strict(similar_texts=0, num_weights=1, rank=1, hidden_dim=1, dropout=(0, 1), num_members=1)
    def __init__(
        self,
        *,
        triples_factory: CoreTriplesFactory,
        encoder: EncoderHint = None,
        sources: Mapping[str, Any] | None = None,
        unseen: Sequence[str] | None = None,
        evidence: Sequence[str] | None = None,
        similar_texts: int = 20,
        num_weights: int = 8,
        rank: int = 24,
        hidden_dim: int = 48,
        dropout: float = 0.3,
        use_head: bool = True,
        num_members: int = 2,
        prior: float = 0.3,
        **kwargs,
    ) -> None:
        """Initialize the model.

        :param triples_factory: the training triples; sources that its metadata names need not be given again
        :param encoder: the encoder of texts that have no features yet, see :func:`~pykeen_mmkg.encoders.make_encoder`
        :param sources: where texts and features come from, see :class:`~pykeen_mmkg.modalities.ModalitySources` for the
            keys; without a table of the entities there is no evidence from words
        :param unseen: labels of relations that must not have a training triple; one that has is an error
        :param evidence: which of ``profile``, ``links``, ``paths``, ``text`` and ``words`` to use; by default all
        :param similar_texts: to how many entities of the most similar text an entity is linked, 0 for none
        :param num_weights: the number of weights of a relation for each kind of evidence
        :param rank: the dimension to which text vectors are projected
        :param hidden_dim: the width of the hidden layers
        :param dropout: the dropout of hidden layers and projected texts
        :param use_head: whether the weights of relations depend on the head of the query
        :param num_members: the number of scorers, whose scores are averaged. They are trained in turn, a batch each, so
            that this many times as many batches are needed. What a few hundred relations teach about others depends on
            chance, and averages out
        :param prior: the weight of a relation-blind score, see :class:`.PairEvidence`
        :param kwargs: keyword arguments of :class:`pykeen.models.Model`
        :raises DataError: if a relation has no description, or unseen ones cannot be told apart
        """
        super().__init__(triples_factory=triples_factory, **kwargs)
        given = ModalitySources.from_factory(triples_factory, sources=sources, encoder=encoder)
        names = labels_of(triples_factory, "entity")
        described = self._described(triples_factory, given, unseen)
        texts, mask = given.gather("entity", TEXTUAL, names).lookup(names)
        if texts.shape[-1] != described.vectors.shape[-1]:
            raise DataError(
                f"The texts of entities have {texts.shape[-1]} dimensions, those of relations "
                f"{described.vectors.shape[-1]}: they must come from the same encoder."
            )
        self.sources, self.entity_labels = given, names
        self._remember_encoder(encoder, given.encoder_kwargs)
        self.described = described
        if num_members < 1:
            raise MultimodalError(f"num_members must be at least 1; got {num_members}.")
        self._triples, self._similar_texts = triples_factory.mapped_triples, similar_texts
        self._member_kwargs: dict[str, Any] = dict(
            evidence=tuple(EVIDENCE if evidence is None else evidence),
            num_weights=num_weights,
            rank=rank,
            hidden_dim=hidden_dim,
            dropout=dropout,
            use_head=use_head,
            prior=prior,
        )
        self.members = self._make_members(num_members)
        self.register_buffer("turn", torch.zeros((), dtype=torch.long))
        self.reset_parameters_()

    def _make_members(self, number: int) -> nn.ModuleList:
        """Make scorers that read the graph and the texts; statistics of texts are those of training."""
        names, given, evidence = self.entity_labels, self.sources, self._member_kwargs["evidence"]
        texts, mask = given.gather("entity", TEXTUAL, names).lookup(names)
        base = torch.as_tensor([name not in given.added for name in names])
        texts = center(texts.float(), mask, base)
        words = None
        if "words" in evidence and given.entities is not None:
            table = given.table("entity", names)
            words = WordOverlap(table.names, table.descriptions)
        similar = self._similar_texts if "paths" in evidence else 0
        relations = self.described.vectors.cpu()
        graph = EvidenceGraph(
            self._triples,
            num_entities=len(names),
            num_relations=len(relations),
            similar=nearest_texts(texts, mask, similar) if similar else None,
        )
        return nn.ModuleList(
            PairEvidence(graph, entities=texts, relations=relations, words=words, **self._member_kwargs)
            for _ in range(number)
        )

    def read_again(self, labels: Sequence[str]) -> None:
        """Read the graph and the texts with entities that have been added; all weights stay.

        :param labels: the labels of all entities
        """
        self.entity_labels = list(labels)
        with torch.random.fork_rng(devices=[]):
            members = self._make_members(len(self.members))
        members.load_state_dict(self.members.state_dict())
        self.members = members.to(self.turn.device).train(self.training)

    @property
    def reads_words(self) -> bool:
        """Return whether the words of texts count, and not only their vectors."""
        return "words" in self.scorer.evidence

    @property
    def scorer(self) -> PairEvidence:
        """The first member."""
        member = self.members[0]
        assert isinstance(member, PairEvidence)
        return member

    def post_parameter_update(self) -> None:  # noqa: D102
        super().post_parameter_update()
        if self.training:
            self.turn += 1

    def _get_entity_len(self, *, mode: InductiveMode | None) -> int:
        return self.num_entities

    def collect_regularization_term(self):  # noqa: D102
        return torch.zeros((), device=self.device)

    def _chunks(self, heads: LongTensor, query: LongTensor, tails: LongTensor) -> Iterator[slice]:
        """Cut the triples, sorted by query, so that a chunk has a bounded number of links."""
        graph = self.scorer.graph
        links = graph.offsets.diff()
        fresh = torch.ones_like(query)
        fresh[1:] = (query[1:] != query[:-1]).long()
        cost = links[tails] + 8 + fresh * (8 * graph.num_relations + links[heads])[query]
        return bounded_slices(cost, self.chunk_size)

    def _inside(self, relations: LongTensor) -> LongTensor:
        """Return relations as the graph knows them: one that was added has no triple in it, and becomes -1."""
        return torch.where(relations < self.scorer.graph.num_relations, relations, -1)

    def _active(self) -> list[PairEvidence]:
        """Return the members that score: all, or while training the one whose turn it is."""
        members = [member for member in self.members if isinstance(member, PairEvidence)]
        return [members[int(self.turn) % len(members)]] if self.training else members

    def _mean(self, *args: LongTensor | FloatTensor) -> FloatTensor:
        return torch.stack([member(*args) for member in self._active()]).mean(0)

    def _score(self, heads: LongTensor, relations: LongTensor, tails: LongTensor) -> FloatTensor:
        """Score triples given by columns of the same shape ``(m,)``."""
        if not len(tails):
            return self.scorer.entities.new_zeros(0)
        pairs, query = torch.stack([heads, relations], dim=-1).unique(dim=0, return_inverse=True)
        inside = self._inside(pairs[:, 1])
        if self.training or torch.is_grad_enabled():
            return self._mean(pairs[:, 0], inside, self.described(pairs[:, 1]), query, tails)
        order = query.argsort(stable=True)
        query, tails = query[order], tails[order]
        result = self.scorer.entities.new_empty(len(tails))
        for part in self._chunks(pairs[:, 0], query, tails):
            own, local = query[part].unique_consecutive(return_inverse=True)
            scores = self._mean(pairs[own, 0], inside[own], self.described(pairs[own, 1]), local, tails[part])
            result[order[part]] = scores
        return result

    def _score_tails(self, heads: LongTensor, relations: LongTensor, tails: LongTensor) -> FloatTensor:
        """Score the same tails for all queries."""
        if not len(heads) or not len(tails):
            return self.scorer.entities.new_zeros(len(heads), len(tails))
        pairs, inverse = torch.stack([relations, heads], dim=-1).unique(dim=0, return_inverse=True)
        relation, head = pairs.unbind(-1)
        # what is trained is kept for the gradients whatever the cuts, and the statistics are to be of whole batches
        limit = sys.maxsize if torch.is_grad_enabled() else self.chunk_size
        inside, texts = self._inside(relation), self.described(relation)
        return score_grid(self._active(), head, inside, texts, tails, limit)[inverse]

    def _score_heads(self, heads: LongTensor, relations: LongTensor, tails: LongTensor) -> FloatTensor:
        """Score the same heads for all queries; those of a relation together, which have their weights in common."""
        result = self.scorer.entities.new_empty(len(tails), len(heads))
        for relation in relations.unique():
            rows = (relations == relation).nonzero().view(-1)
            unique, inverse = tails[rows].unique(return_inverse=True)
            text, inside = self.described(relation[None])[0], int(self._inside(relation))
            result[rows] = score_heads(self._active(), heads, inside, text, unique, self.chunk_size)[inverse]
        return result

    def _score_queries(self, batch: LongTensor, target: Target, ids: LongTensor | None, **kwargs: Any) -> FloatTensor:
        learning = self.training or torch.is_grad_enabled()
        if (ids is not None and ids.ndim > 1) or (target != LABEL_TAIL and (target != LABEL_HEAD or learning)):
            return super()._score_queries(batch, target, ids, **kwargs)
        if ids is None:
            ids = torch.arange(self.num_entities, device=self.device)
        if target == LABEL_HEAD:
            return self._score_heads(ids, batch[:, 0], batch[:, 1])
        return self._score_tails(batch[:, 0], batch[:, 1], ids)

    def score_hrt(self, hrt_batch: LongTensor, *, mode: InductiveMode | None = None) -> FloatTensor:  # noqa: D102
        heads, relations, tails = hrt_batch.unbind(-1)
        return self._score(heads, relations, tails)[:, None]

    def get_grad_params(self) -> Iterable[nn.Parameter]:  # noqa: D102
        return (p for p in self.members.parameters() if p.requires_grad)
