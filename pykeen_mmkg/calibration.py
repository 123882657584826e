"""Scores as probabilities: fitted on triples that training has not seen, against corruptions of them.

Platt's method (1999) fits a logistic function, isotonic regression (Zadrozny and Elkan, 2002,
https://doi.org/10.1145/775047.775151) any function that does not fall. Tabacof and Costabello (2020,
https://openreview.net/forum?id=S1g8K1BFwS) calibrate knowledge graph embeddings by both.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy
import torch
from pykeen.typing import LABEL_HEAD, LABEL_TAIL, FloatTensor, MappedTriples
from sklearn.isotonic import IsotonicRegression

from .errors import DataError
from .indexing import TargetIndex, query_columns
from .options import strict
from .predict import Predictor

__all__ = ["Calibration", "calibrate", "fit_isotonic", "fit_platt"]

#: how scores become probabilities
Method = Literal["platt", "isotonic"]

SIDES = (LABEL_TAIL, LABEL_HEAD)


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Two functions from scores to probabilities, for tails and for heads.

    The probability of an answer is that of its being true if it is drawn from a mixture of true answers and of
    uniformly drawn entities that are not known to be answers, ``ratio`` of the latter to one of the former. It says
    nothing of a mixture with another ratio: among all entities true answers are far rarer, and what is not known may be
    true.

    :param method: ``platt`` or ``isotonic``
    :param ratio: how many negatives there are to one positive
    :param sides: by ``tail`` and ``head``: the ``slope`` and the ``intercept`` of the logistic function, or the
        ``scores`` and the ``probabilities`` at the corners of a piecewise linear function
    :param count: how many triples it is fitted on
    """

    method: str
    ratio: float
    sides: Mapping[str, Mapping[str, Any]]
    count: int

    def __call__(self, scores: FloatTensor, target: str) -> FloatTensor:
        """Return the probabilities of answers.

        :param scores: their scores, of any shape
        :param target: the side that was asked for, ``tail`` or ``head``
        :returns: the probabilities, of the same shape
        :raises DataError: if relations are asked for
        """
        if target not in self.sides:
            raise DataError("Probabilities are for heads and tails: relations were not calibrated.")
        side = self.sides[target]
        if self.method == "platt":
            return torch.sigmoid(side["slope"] * scores.double() + side["intercept"]).to(scores.dtype)
        values = numpy.interp(scores.double().cpu().numpy(), side["scores"], side["probabilities"])
        return torch.as_tensor(values, dtype=scores.dtype, device=scores.device)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, document: Any) -> "Calibration":
        """Read what :meth:`to_dict` gave.

        :param document: the JSON object
        :returns: the calibration
        :raises DataError: if it is none
        """
        names = {"platt": ("slope", "intercept"), "isotonic": ("scores", "probabilities")}
        try:
            method, sides = document["method"], document["sides"]
            for side in SIDES:
                values = [numpy.atleast_1d(numpy.asarray(sides[side][name], dtype=float)) for name in names[method]]
                one, other = values
                if one.shape != other.shape or not len(one) or not numpy.isfinite(values).all():
                    raise ValueError(f"the numbers of {side}")
                rises = (numpy.diff(one) >= 0).all() and (numpy.diff(other) >= 0).all()
                if method == "isotonic" and not (rises and other[0] >= 0 and other[-1] <= 1):
                    raise ValueError(f"the corners of {side}")
            return cls(method, float(document["ratio"]), sides, int(document["count"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"This is no calibration ({type(error).__name__}: {error}): calibrate again.") from error


def fit_platt(positive: FloatTensor, negative: FloatTensor, weight: float = 1.0) -> dict[str, float]:
    r"""Fit a logistic function by maximum likelihood, with Platt's targets.

    It minimizes the weighted cross-entropy of :math:`\sigma(a s + b)`, where the target of the :math:`N_+` positives is
    :math:`(N_+ + 1) / (N_+ + 2)` and that of the negatives, of total weight :math:`N_-`, :math:`1 / (N_- + 2)`. The
    slope is never below zero: scores that are worse than chance tell nothing.

    :param positive: shape: ``(p,)``; the scores of true triples
    :param negative: shape: ``(n,)``; the scores of corruptions
    :param weight: what a corruption counts
    :returns: ``slope`` and ``intercept``
    """
    scores = torch.cat([positive, negative]).double().cpu()
    count = len(positive), weight * len(negative)
    target = torch.cat(
        [
            torch.full((len(positive),), (count[0] + 1) / (count[0] + 2), dtype=torch.float64),
            torch.full((len(negative),), 1 / (count[1] + 2), dtype=torch.float64),
        ]
    )
    weights = torch.ones_like(target)
    weights[len(positive) :] = weight
    mean, scale = scores.mean(), scores.std(correction=0).clamp(min=1e-12)
    x = torch.stack([(scores - mean) / scale, torch.ones_like(scores)], dim=-1)

    def newton(columns: torch.Tensor) -> torch.Tensor:
        theta = torch.zeros(columns.shape[1], dtype=torch.float64)
        for _ in range(100):
            p = torch.sigmoid(columns @ theta)
            gradient = columns.T @ (weights * (p - target))
            hessian = (columns * (weights * p * (1 - p))[:, None]).T @ columns
            hessian.diagonal().add_(1e-9)
            step = torch.linalg.solve(hessian, gradient)
            # far from the optimum a whole step may be too long
            step = step * min(1.0, 2.0 / max(float(step.abs().max()), 1e-30))
            theta = theta - step
            if float(step.abs().max()) < 1e-12:
                break
        return theta

    slope, intercept = newton(x).tolist()
    if slope < 0:
        slope, intercept = 0.0, newton(x[:, 1:]).item()
    return {"slope": slope / float(scale), "intercept": intercept - slope * float(mean / scale)}


def fit_isotonic(positive: FloatTensor, negative: FloatTensor, weight: float = 1.0) -> dict[str, list[float]]:
    """Fit the function that never falls and has the least weighted squares.

    :param positive: shape: ``(p,)``; the scores of true triples
    :param negative: shape: ``(n,)``; the scores of corruptions
    :param weight: what a corruption counts
    :returns: ``scores`` and ``probabilities`` of the corners; between them it is linear, beyond them constant
    """
    scores = torch.cat([positive, negative]).double().cpu().numpy()
    labels = numpy.repeat([1.0, 0.0], [len(positive), len(negative)])
    weights = numpy.repeat([1.0, weight], [len(positive), len(negative)])
    fitted = IsotonicRegression(out_of_bounds="clip").fit(scores, labels, sample_weight=weights)
    return {"scores": fitted.X_thresholds_.tolist(), "probabilities": fitted.y_thresholds_.tolist()}


@strict(ratio=(1e-3, 1e6), num_negatives=1, batch_size=1)
@torch.inference_mode()
def calibrate(
    predictor: Predictor,
    triples: MappedTriples,
    method: str = "platt",
    *,
    ratio: float = 1.0,
    num_negatives: int = 20,
    batch_size: int = 256,
    seed: int = 0,
) -> Calibration:
    """Fit probabilities to the scores of a model.

    Each triple is asked from both sides. Its answer is a positive; negatives are drawn uniformly from the entities that
    can be answers and are not known to be: those of training, of `triples`, and whatever else the predictor knows are
    left out.

    :param predictor: the predictor, which knows further true triples if it is told
    :param triples: shape: ``(n, 3)``; triples that training has not seen, such as those of validation
    :param method: ``platt`` or ``isotonic``; the latter wants some hundred triples
    :param ratio: how many negatives there are to one positive in the mixture that the probabilities are of
    :param num_negatives: how many are drawn for each query; together they count as `ratio`
    :param batch_size: how many queries are scored at a time
    :param seed: the seed of the negatives
    :returns: the calibration
    :raises DataError: if the method is unknown, or there is no triple to fit on
    """
    if method not in get_args(Method):
        raise DataError(f"method={method!r} must be one of {get_args(Method)}.")
    if not len(triples):
        raise DataError("There is no triple to calibrate on: give validation triples.")
    triples = triples.cpu()
    generator = torch.Generator().manual_seed(seed)
    sides: dict[str, Any] = {}
    for target in SIDES:
        given, predicted = query_columns(target)
        index = TargetIndex.from_triples(triples, target)
        found: list[tuple[FloatTensor, FloatTensor]] = []
        for batch in triples.split(batch_size):
            entities, relations, answers = batch[:, given], batch[:, 1], batch[:, predicted]
            scores, known = (x.cpu() for x in predictor.score(target, batch[:, [given, 1]].to(predictor.model.device)))
            known = known.clone()
            known[index.rows(entities, relations)] = True
            free = (~known & scores.isfinite()).double()
            some = free.sum(dim=-1).nonzero()[:, 0]
            drawn = torch.multinomial(free[some], num_negatives, replacement=True, generator=generator)
            own = scores.gather(1, answers[:, None])[:, 0]
            found.append((own[own.isfinite()], scores[some].gather(1, drawn).flatten()))
        positive, negative = (torch.cat(part) for part in zip(*found, strict=True))
        if not len(positive) or not len(negative):
            raise DataError(f"No {target} can be true, or none is not known to be: there is nothing to calibrate on.")
        weight = ratio * len(positive) / len(negative)
        sides[target] = (fit_platt if method == "platt" else fit_isotonic)(positive, negative, weight)
    return Calibration(method, float(ratio), sides, len(triples))
