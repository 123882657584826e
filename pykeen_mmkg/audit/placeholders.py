"""Placeholder rows of a feature table: identical, or random in place of data.

Items without an image are often given a random vector, which then passes as a feature. Vectors that an encoder made are
not spread evenly over all directions: they share a mean, and much of their variance lies in few principal directions. A
random vector knows nothing of these directions. That can be tested.

*Rows that are plainly random* (normal, uniform, of any length). Take rows without their own mean and scaled to unit
length. Split them at random into halves, and let V be the k leading principal directions of one half (about the
origin), those with nine tenths of the energy, d/2 at most. For a row x of the other half, if its direction is uniform
on the sphere in m dimensions, then ``|V'x|^2 / |x|^2`` follows the Beta(k/2, (m - k)/2) distribution, whatever V is,
since V was made without x. The p-value of a row is the upper tail: it is uniform on (0, 1) for a random row, and
practically 0 for one that shares directions with others. A random number with a mean, such as uniform on (0, 1), only
has another row mean, which was taken away.

*Rows drawn to look right* (from the mean and deviation of each column of real features). The same test on what is left,
after subtracting the mean and dividing by the deviation of each column of the other half. Real rows can fail it, as an
odd item may share little but the mean: hence a higher threshold, on the whole table only.

The number of random rows is estimated as #{p > 1/2} / (1/2), after Storey (2002): random rows have p-values evenly
spread. The tests are a screen, not a proof: noise that follows the covariance of real features passes, and so do
shuffled rows; a table that is whitened or is a list of one-hot codes is reported as random although its maker may have
meant it so.

Measured on 447 image and 6,555 text vectors of a real encoder (256 dimensions): none found in the real ones. With 5 %
and 30 % of the rows replaced by normal ones the estimates were .08 and .30 (images), .04 and .29 (texts), and of 2,449
replaced rows all but 3 were singled out, beside two real ones.
"""

from dataclasses import dataclass

import numpy
import torch
from scipy import stats
from torch.nn import functional

from ..indexing import alike

__all__ = ["Placeholders", "find_placeholders"]

#: below this number of rows (or of dimensions) nothing is said about randomness
MIN_ROWS = 50
MIN_DIM = 16
#: the principal directions that hold this share of the energy count as structure
ENERGY = 0.9
#: a row with a greater p-value counts as random-looking
ROW_LEVEL = 1e-3
#: shares of rows from which on a table is reported; real features reached 0 and .01
MIN_SHARE = 0.01
MIN_MATCHED_SHARE = 0.1


@dataclass(frozen=True)
class Placeholders:
    """The placeholders that a feature table may hold in place of data.

    :param num_rows: the number of rows that were looked at
    :param identical: groups of rows that are equal to the last bit, the largest first
    :param random: rows whose direction has nothing in common with the others
    :param random_share: the estimated share of such rows
    :param matched_share: the estimated share of rows that have the columns' means and deviations, and nothing else, in
        common
    :param tested: whether there were enough rows and dimensions to look for random ones
    """

    num_rows: int
    identical: tuple[tuple[int, ...], ...]
    random: tuple[int, ...]
    random_share: float
    matched_share: float
    tested: bool

    @property
    def has_random(self) -> bool:
        """Whether some rows look random."""
        return len(self.random) > 0 and self.random_share >= MIN_SHARE

    @property
    def has_matched(self) -> bool:
        """Whether rows look as if drawn from the columns' means and deviations."""
        return self.matched_share >= MIN_MATCHED_SHARE


def find_placeholders(vectors: torch.Tensor, seed: int = 0) -> Placeholders:
    """Look for identical and for random-looking rows.

    :param vectors: shape: ``(n, d)``; the rows of items that have the modality
    :param seed: of the split into halves
    """
    vectors = vectors.detach().cpu().float()
    n, d = vectors.shape
    identical = _identical(vectors.contiguous().numpy())
    # one of each group of identical rows, so that repetition does not pass for structure
    keep = vectors.any(dim=1)
    keep[[row for group in identical for row in group[1:]]] = False
    rows = keep.nonzero().view(-1)
    if len(rows) < MIN_ROWS or d < MIN_DIM:
        return Placeholders(n, identical, (), 0.0, 0.0, tested=False)
    x = vectors[rows]
    x = functional.normalize(x - x.mean(dim=1, keepdim=True), dim=1)
    p_values = _p_values(x, seed, centre=False)
    random = p_values > ROW_LEVEL
    share = _null_share(p_values)
    matched = 0.0
    if int((~random).sum()) >= MIN_ROWS:
        matched = _null_share(_p_values(x[~random], seed, centre=True))
    # single rows beyond the estimate are chance or oddities, not placeholders
    return Placeholders(n, identical, tuple(rows[random].tolist()), share, matched, tested=True)


def _identical(array: numpy.ndarray) -> tuple[tuple[int, ...], ...]:
    """Return the groups of rows that are equal to the last bit, the largest first.

    Equal rows have equal fingerprints, which are sorted in place of the rows. Different rows with the same one would be
    chance in 2^64: they are told apart by a look at their group.

    :param array: shape: ``(n, d)``, of single precision
    """
    bits = array.view(numpy.int32)
    _, group, count = numpy.unique(_fingerprints(bits), return_inverse=True, return_counts=True)
    rows = (count[group] > 1).nonzero()[0]
    rows = rows[group[rows].argsort(kind="stable")]
    starts = numpy.flatnonzero(numpy.diff(group[rows], prepend=-1))
    firsts = rows[starts].repeat(numpy.diff(numpy.append(starts, len(rows))))
    groups: list[list[int]]
    if all((bits[rows[i : i + 4096]] == bits[firsts[i : i + 4096]]).all() for i in range(0, len(rows), 4096)):
        groups = [part.tolist() for part in numpy.split(rows, starts[1:]) if len(part)]
    else:
        groups = alike(sorted(rows.tolist()), lambda row: array[row].tobytes())
    return tuple(map(tuple, sorted(groups, key=lambda part: (-len(part), part[0]))))


def _fingerprints(bits: numpy.ndarray) -> numpy.ndarray:
    """Return a number of 64 bits for each row; shape: ``(n,)``."""
    factors = numpy.random.default_rng(0).integers(-(2**63), 2**63 - 1, size=bits.shape[1]) | 1
    # sums wrap around
    return numpy.concatenate([part @ factors for part in numpy.array_split(bits, len(bits) // 4096 + 1)])


def _p_values(x: torch.Tensor, seed: int, centre: bool) -> torch.Tensor:
    """Return the p-value of each row, see the module's text; shape: ``(n,)``."""
    n, d = x.shape
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    result = torch.empty(n, dtype=torch.double)
    halves = order[: n // 2], order[n // 2 :]
    for own, other in (halves, halves[::-1]):
        reference, rows = x[other], x[own]
        if centre:
            mean, deviation = reference.mean(dim=0), reference.std(dim=0).clamp(min=1e-12)
            reference, rows = (reference - mean) / deviation, (rows - mean) / deviation
        energy, directions = torch.linalg.eigh((reference.T @ reference).double())
        energy, directions = energy.flip(0), directions.flip(1)
        k = int((energy.cumsum(0) < ENERGY * energy.sum()).sum()) + 1
        k = max(1, min(k, d // 2, len(other) // 2))
        share = (rows.double() @ directions[:, :k]).square().sum(dim=1) / rows.double().square().sum(dim=1)
        # the rows without their own mean live in one dimension less
        free = d if centre else d - 1
        result[own] = torch.from_numpy(stats.beta.sf(share.numpy(), k / 2, (free - k) / 2))
    return result


def _null_share(p_values: torch.Tensor) -> float:
    return min(1.0, float((p_values > 0.5).double().mean()) / 0.5)
