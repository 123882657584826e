"""PyKEEN's ``score_h``, ``score_r`` and ``score_t`` out of one method."""

from typing import Any

import torch
from pykeen.typing import LABEL_HEAD, LABEL_RELATION, LABEL_TAIL, FloatTensor, LongTensor, Target

__all__ = ["QueryScoringMixin"]

_COLUMNS: dict[Target, int] = {LABEL_HEAD: 0, LABEL_RELATION: 1, LABEL_TAIL: 2}


class QueryScoringMixin:
    """Mixin for a :class:`~pykeen.models.Model` that scores queries the same way whichever column they ask for.

    To be placed before the model class, which has a ``score_hrt``; :meth:`_score_queries` is to be overridden for what
    can be scored faster than triple by triple.
    """

    num_entities: int
    num_relations: int

    def _score_queries(self, batch: LongTensor, target: Target, ids: LongTensor | None, **kwargs: Any) -> FloatTensor:
        """Score choices for one column of triples; here as triples, one by one.

        :param batch: shape: ``(b, 2)``; the other two columns, in the order of head, relation and tail
        :param target: the column
        :param ids: shape: ``(k,)`` or ``(b, k)``; the choices, None for all
        :param kwargs: further arguments of PyKEEN's method, such as ``mode``
        :returns: shape: ``(b, k)``
        """
        if ids is None:
            number = self.num_relations if target == LABEL_RELATION else self.num_entities
            ids = torch.arange(number, device=batch.device)
        ids = ids.expand(len(batch), -1) if ids.ndim == 1 else ids
        columns = [column[:, None].expand_as(ids) for column in batch.unbind(dim=-1)]
        columns.insert(_COLUMNS[target], ids)
        triples = torch.stack(columns, dim=-1).view(-1, 3)
        return self.score_hrt(triples, mode=kwargs.get("mode")).view(ids.shape)  # type: ignore[attr-defined]

    def score_t(self, hr_batch: LongTensor, *, tails: LongTensor | None = None, **kwargs) -> FloatTensor:  # noqa: D102
        return self._score_queries(hr_batch, LABEL_TAIL, tails, **kwargs)

    def score_h(self, rt_batch: LongTensor, *, heads: LongTensor | None = None, **kwargs) -> FloatTensor:  # noqa: D102
        return self._score_queries(rt_batch, LABEL_HEAD, heads, **kwargs)

    def score_r(  # noqa: D102
        self, ht_batch: LongTensor, *, relations: LongTensor | None = None, **kwargs
    ) -> FloatTensor:
        return self._score_queries(ht_batch, LABEL_RELATION, relations, **kwargs)
