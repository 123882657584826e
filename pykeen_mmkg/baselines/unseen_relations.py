"""Baselines for unseen relations: scorers that read no relation, or no more than its words.

Each is a model of PyKEEN by name, as those of :mod:`pykeen_mmkg.baselines.rules`;
:func:`~pykeen_mmkg.evaluation.relation_baselines.relation_baselines` ranks with all of them in one call. They read
training triples only.
"""

from collections.abc import Mapping
from typing import Any

import numpy
import torch
from docdata import parse_docdata
from pykeen.triples import CoreTriplesFactory
from pykeen.typing import LABEL_TAIL, FloatTensor, LongTensor, Target
from scipy import sparse

from ..errors import DataError
from ..indexing import degrees, occurring
from ..modalities import ModalitySources, labels_of
from ..options import strict
from .rules import Baseline

__all__ = ["AdamicAdar", "BlindMixture", "DescriptionFrequency"]


class _AdamicAdarScores:
    """Adamic-Adar scores of all entities, with a bonus for those that a seen relation links already."""

    def __init__(self, triples: LongTensor, num_entities: int, bonus: float) -> None:
        head, tail = triples[:, 0].numpy(), triples[:, 2].numpy()
        ones = numpy.ones(2 * len(triples), dtype=numpy.float32)
        links = sparse.csr_matrix(
            (ones, (numpy.r_[head, tail], numpy.r_[tail, head])), shape=(num_entities, num_entities)
        )
        links.sum_duplicates()
        links.data[:] = 1.0
        degree = numpy.maximum(numpy.asarray(links.sum(axis=1)).ravel(), 2.0)
        self.links = links
        self.damped = (sparse.diags(1 / numpy.log(degree)) @ links).tocsr()
        self.bonus = bonus

    def __call__(self, entities: LongTensor) -> numpy.ndarray:
        rows = self.links[entities.numpy()]
        return (rows @ self.damped + self.bonus * rows).toarray()


class _WordScores:
    """How often an entity takes a side of relations whose descriptions share words with the query's."""

    def __init__(self, triples_factory: CoreTriplesFactory, sources: ModalitySources) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        labels = labels_of(triples_factory, "relation")[:: 2 if triples_factory.create_inverse_triples else 1]
        table = sources.table("relation", labels)
        texts = table.texts(separator=" ")
        if lacking := [label for label, text in texts.items() if not text]:
            raise DataError(
                f"The relation {lacking[0]!r} has no description to compare words with. Add one to the relations table."
            )
        try:
            vectors = TfidfVectorizer().fit_transform(texts.values())
        except ValueError as error:
            raise DataError(f"The descriptions of the relations have no word to compare: {error}") from error
        triples = triples_factory.mapped_triples
        seen = occurring(triples[:, 1], len(labels)).numpy()
        similarity = (vectors @ vectors.T).tocsr() @ sparse.diags(seen.astype(numpy.float32))
        self.tables = {}
        for side, column in (("head", 0), ("tail", 2)):
            ones = numpy.ones(len(triples), dtype=numpy.float32)
            frequency = sparse.csr_matrix(
                (ones, (triples[:, 1].numpy(), triples[:, column].numpy())),
                shape=(len(labels), triples_factory.num_entities),
            )
            frequency.sum_duplicates()
            self.tables[side] = (similarity @ frequency.log1p()).tocsr()

    def __call__(self, relations: LongTensor, target: Target) -> numpy.ndarray:
        return self.tables["tail" if target == LABEL_TAIL else "head"][relations.numpy()].toarray()


@parse_docdata
class AdamicAdar(Baseline):
    r"""Answer with the nearest entities, whatever the relation.

    .. math::

        s(h, t) = \beta\,[h, t\ \text{linked}] + \sum_{x \in N(h) \cap N(t)} \frac{1}{\log\deg x}

    Links are those of the training triples, of any relation and direction. Ties are broken by the degree of t.

    ---
    name: Adamic-Adar with link bonus
    citation:
        author: Adamic
        year: 2003
        link: https://doi.org/10.1016/S0378-8733(03)00009-1
    """

    @strict()
    def __init__(self, triples_factory: CoreTriplesFactory, bonus: float = 1000.0, **kwargs) -> None:
        """Initialize the baseline.

        :param triples_factory: the training triples
        :param bonus: the bonus of linked entities
        :param kwargs: unused
        """
        super().__init__(triples_factory, **kwargs)
        triples = triples_factory.mapped_triples
        self._near = _AdamicAdarScores(triples, self.num_entities, bonus)
        self._degree = degrees(triples, self.num_entities).double()

    def _scores(self, entities: LongTensor, relations: LongTensor, target: Target) -> FloatTensor:
        return torch.from_numpy(self._near(entities)).double() + 1e-6 * self._degree


@parse_docdata
class DescriptionFrequency(Baseline):
    r"""Answer with the entities that are frequent with relations of similar words.

    .. math::

        s(r, t) = \sum_{r'\ \text{seen}} \cos(\mathrm{tfidf}(r), \mathrm{tfidf}(r')) \log(1 + n_{r'}(t))

    where :math:`n_{r'}(t)` counts the training triples of r' with the tail t.

    ---
    name: TF-IDF of descriptions
    citation:
        author: Salton
        year: 1988
        link: https://doi.org/10.1016/0306-4573(88)90021-0
    """

    @strict()
    def __init__(self, triples_factory: CoreTriplesFactory, sources: Mapping[str, Any] | None = None, **kwargs) -> None:
        """Initialize the baseline.

        :param triples_factory: the training triples
        :param sources: where descriptions come from, see :class:`~pykeen_mmkg.modalities.ModalitySources`
        :param kwargs: unused
        :raises DataError: if there is no table, or a relation has no description
        """
        super().__init__(triples_factory, **kwargs)
        self._words = _WordScores(triples_factory, ModalitySources.from_factory(triples_factory, sources))

    def _scores(self, entities: LongTensor, relations: LongTensor, target: Target) -> FloatTensor:
        return torch.from_numpy(self._words(relations, target)).double()


@parse_docdata
class BlindMixture(DescriptionFrequency):
    r"""Both: :math:`\log(1 + s_{AA}) + \log(1 + s_{words}) + \beta [h, t\ \text{linked}]`.

    ---
    name: Adamic-Adar and TF-IDF
    citation:
        author: Adamic
        year: 2003
        link: https://doi.org/10.1016/S0378-8733(03)00009-1
    """

    @strict()
    def __init__(
        self,
        triples_factory: CoreTriplesFactory,
        sources: Mapping[str, Any] | None = None,
        bonus: float = 3.0,
        **kwargs,
    ) -> None:
        """Initialize the baseline.

        :param triples_factory: the training triples
        :param sources: see :class:`DescriptionFrequency`
        :param bonus: the bonus of linked entities
        :param kwargs: unused
        """
        super().__init__(triples_factory, sources, **kwargs)
        self._near = _AdamicAdarScores(triples_factory.mapped_triples, self.num_entities, bonus=0.0)
        self.bonus = bonus

    def _scores(self, entities: LongTensor, relations: LongTensor, target: Target) -> FloatTensor:
        linked = self._near.links[entities.numpy()].toarray()
        scores = numpy.log1p(self._near(entities)) + self.bonus * linked + numpy.log1p(self._words(relations, target))
        return torch.from_numpy(scores).double()
