"""Sampled negatives that are known to be true, found at the speed of a sorted search."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from docdata import parse_docdata
from pykeen.sampling.filtering import Filterer
from pykeen.typing import BoolTensor, LongTensor, MappedTriples

from ..datasets import load_dataset
from ..errors import DataError
from ..indexing import find_sorted
from ..options import strict

__all__ = ["KnownTriplesFilterer"]

logger = logging.getLogger(__name__)


@parse_docdata
class KnownTriplesFilterer(Filterer):
    """Leave out negatives that are known triples: exact, and a sorted search in place of Python sets.

    By default the known triples are those of training, as with PyKEEN's own filterers.

    With ``swapped`` and ``splits`` it does what the code of VL-KGE does: there, negatives for ``(h, r, ?)`` leave out
    every ``x`` with ``(h, r, x)`` or ``(x, r, h)`` in *any* split. This tells training which triples will be asked for,
    since a true triple of the test set is never pushed down while its likes are, so it is there to reproduce and to
    measure, not to report.

    ---
    name: Known Triples
    citation:
        author: Efthymiou
        year: 2026
        link: https://arxiv.org/abs/2603.02435
        github: thefth/vl-kge
    """

    #: shape (n,), sorted codes of the known triples
    codes: LongTensor

    #: shape (3,), how many heads, relations and tails the codes are made for
    sizes: LongTensor

    @strict()
    def __init__(
        self,
        mapped_triples: MappedTriples,
        swapped: bool = False,
        splits: Sequence[str] = (),
        dataset: Any = None,
        dataset_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Initialize the filterer.

        :param mapped_triples: shape: ``(n, 3)``, the training triples; PyKEEN's samplers give them
        :param swapped: whether ``(t, r, h)`` is taken for known, too, for each known ``(h, r, t)``
        :param splits: further splits of the dataset (``validation``, ``testing``) whose triples are known; a warning
            is logged, since training then depends on them
        :param dataset: where these splits come from: what the pipeline takes as ``dataset``
        :param dataset_kwargs: keyword arguments of the dataset
        :raises DataError: if there is no such dataset, or no such split in it
        """
        super().__init__()
        known = [mapped_triples]
        if splits:
            if dataset is None:
                raise DataError(f"The triples of {list(splits)} are to be known: give the `dataset` they are from.")
            factories = load_dataset(dataset, dataset_kwargs).factory_dict
            missing = [split for split in splits if split not in factories]
            if missing:
                raise DataError(f"The dataset has no split {missing[0]!r}; it has {sorted(factories)}.")
            known += [factories[split].mapped_triples for split in splits]
            logger.warning("Negatives leave out triples of %s: training sees these splits.", ", ".join(splits))
        triples = torch.cat(known)
        if swapped:
            triples = torch.cat([triples, triples.flip(dims=(-1,))])
        # an empty set of triples gets the sizes (0, 0, 0), within which no triple lies
        sizes = torch.cat([triples, triples.new_full((1, 3), -1)]).amax(dim=0) + 1
        self.register_buffer("sizes", sizes)
        self.register_buffer("codes", self._encode(triples).unique())

    def _encode(self, triples: LongTensor) -> LongTensor:
        h, r, t = triples.unbind(dim=-1)
        return (h * self.sizes[1] + r) * self.sizes[2] + t

    def contains(self, batch: MappedTriples) -> BoolTensor:  # noqa: D102
        # ids beyond those of the known triples would borrow the code of another triple
        return (find_sorted(self.codes, self._encode(batch)) >= 0) & (batch < self.sizes).all(dim=-1)
