"""Training scores from the unique entities and relations of a batch."""

import torch
from pykeen.nn.representation import Representation
from pykeen.regularizers import Regularizer
from pykeen.typing import FloatTensor, InductiveMode, LongTensor
from pykeen.utils import get_batchnorm_modules
from torch import nn

from .._compat import inductive_entities
from ..nn.cached import needed_rows
from ..nn.indexed import score_indexed, supports_indexed
from ..nn.residual import ResidualRegularizer

__all__ = ["IndexedScoringMixin"]
#: what draws anew for each row
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


def _once_per_row(representation: Representation) -> bool:
    """Return whether computing a repeated row once means the same as computing it each time.

    It does not while training with a regularizer, which weighs rows by how often they occur; with a batch
    normalization, whose statistics do; or with a dropout that draws anew for each occurrence.
    """
    if not representation.training:
        return True
    if get_batchnorm_modules(representation):
        return False
    if representation.dropout is not None and representation.dropout.p > 0:
        return False
    modules = list(representation.modules())
    # the regression of a complex representation weighs each row once by its definition
    if any(isinstance(module, Regularizer) and not isinstance(module, ResidualRegularizer) for module in modules):
        return False
    # inside of a representation that is computed once per row anyway, dropout is drawn once per row by PyKEEN, too
    return representation.unique or not any(isinstance(m, DROPOUTS) and m.p > 0 for m in modules)


class IndexedScoringMixin:
    """Mixin for an :class:`~pykeen.models.ERModel` that scores sampled triples fast, for the loops as they are.

    To be placed before the model class. Each entity and relation of a batch is computed once, and the scores come from
    :func:`~pykeen_mmkg.nn.indexed.score_indexed`. Where this would mean something else (several representations, an
    interaction without a fast way, a regularizer, ...), the model's own way is taken.
    """

    #: a batch with fewer triples is scored by the model's own way. It is less than what :func:`score_indexed` asks for,
    #: since each lookup of representations costs a gradient of the size of all of them
    indexed_scoring_min_triples: int = 128

    def _representations_for_indexed_scoring(
        self, mode: InductiveMode | None
    ) -> tuple[Representation, Representation] | None:
        """Return the only entity and the only relation representation; None if the fast way does not apply."""
        entities = inductive_entities(self, mode)
        relations = self.relation_representations  # type: ignore[attr-defined]
        if len(entities) != 1 or len(relations) != 1 or not supports_indexed(self.interaction):  # type: ignore[attr-defined]
            return None
        if len(entities[0].shape) != 1 or len(relations[0].shape) != 1:
            return None
        return (entities[0], relations[0]) if _once_per_row(entities[0]) and _once_per_row(relations[0]) else None

    def score_hrt(self, hrt_batch: LongTensor, *, mode: InductiveMode | None = None) -> FloatTensor:
        """Score triples.

        :param hrt_batch: shape: (batch_size, 3), dtype: long; the indices of (head, relation, tail) triples.
        :param mode: The pass mode, cf. :meth:`pykeen.models.ERModel.score_hrt`.
        :returns: shape: (batch_size, 1), dtype: float; the score for each triple.
        """
        representations = None
        if hrt_batch.shape[0] >= self.indexed_scoring_min_triples:
            representations = self._representations_for_indexed_scoring(mode=mode)
        if representations is None:
            return super().score_hrt(hrt_batch, mode=mode)  # type: ignore[misc]
        entity, relation = representations
        entities, ht = needed_rows(hrt_batch[:, [0, 2]], entity.max_id)
        relations, r = needed_rows(hrt_batch[:, 1], relation.max_id)
        local = torch.stack([ht[:, 0], r, ht[:, 1]], dim=-1)
        scores = score_indexed(self.interaction, entity(entities), relation(relations), local)  # type: ignore[attr-defined]
        return scores.unsqueeze(dim=-1)
