"""Calibration: the fits against formulas by hand, what the negatives are, and what comes out of a predictor."""

import json

import numpy
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pykeen.datasets import Nations
from pykeen.models import DistMult

from pykeen_mmkg import calibration
from pykeen_mmkg.calibration import Calibration, calibrate, fit_isotonic, fit_platt
from pykeen_mmkg.errors import DataError, MultimodalError
from pykeen_mmkg.predict import Predictor

NATIONS = Nations()


def sigmoid(x: float) -> float:
    return 1 / (1 + numpy.exp(-x))


def test_platt_by_hand() -> None:
    """With one score for all positives and another for all negatives, both targets are met."""
    fitted = fit_platt(torch.full((3,), 2.0), torch.full((8,), -1.0), weight=0.25)
    a, b = fitted["slope"], fitted["intercept"]
    assert sigmoid(2 * a + b) == pytest.approx((3 + 1) / (3 + 2), abs=1e-6)
    assert sigmoid(-a + b) == pytest.approx(1 / (8 * 0.25 + 2), abs=1e-6)


@pytest.mark.parametrize("weight", [1.0, 0.1, 30.0])
def test_platt_is_the_optimum(weight: float) -> None:
    """No other slope and intercept have less weighted cross-entropy, also at awkward scales."""
    generator = torch.Generator().manual_seed(0)
    positive = 1000 + 3 * torch.randn(40, generator=generator, dtype=torch.float64)
    negative = 996 + 3 * torch.randn(100, generator=generator, dtype=torch.float64)
    count = len(positive), weight * len(negative)
    scores = torch.cat([positive, negative]).numpy()
    target = numpy.repeat([(count[0] + 1) / (count[0] + 2), 1 / (count[1] + 2)], [40, 100])
    weights = numpy.repeat([1.0, weight], [40, 100])

    def loss(theta: numpy.ndarray) -> float:
        z = theta[0] * (scores - 998) + theta[1]
        return float((weights * (numpy.logaddexp(0, z) - target * z)).sum())

    best = scipy.optimize.minimize(loss, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10})
    fitted = fit_platt(positive, negative, weight)
    assert fitted["slope"] == pytest.approx(best.x[0], rel=1e-4)
    assert fitted["slope"] * 998 + fitted["intercept"] == pytest.approx(best.x[1], abs=1e-3)


def test_platt_never_falls() -> None:
    """Scores that are worse than chance get the share of positives, by the targets, whatever they are."""
    fitted = fit_platt(torch.tensor([0.0, 1.0]), torch.tensor([2.0, 3.0, 4.0]))
    assert fitted["slope"] == 0
    assert sigmoid(fitted["intercept"]) == pytest.approx((2 * 3 / 4 + 3 * 1 / 5) / 5, abs=1e-6)


def test_isotonic_by_hand() -> None:
    """A positive below a negative is pooled with it, by weight; between the corners it is linear."""
    fitted = fit_isotonic(torch.tensor([2.0, 4.0]), torch.tensor([1.0, 3.0]), weight=3.0)
    both = {"tail": fitted, "head": fitted}
    function = Calibration("isotonic", 3.0, both, 2)
    values = function(torch.tensor([0.0, 1.0, 2.0, 2.5, 3.0, 3.5, 4.0, 9.0]), "tail").tolist()
    assert values == pytest.approx([0, 0, 1 / 4, 1 / 4, 1 / 4, 5 / 8, 1, 1])


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.floats(-50, 50), min_size=1, max_size=20),
    st.lists(st.floats(-50, 50), min_size=1, max_size=20),
    st.sampled_from(["platt", "isotonic"]),
    st.floats(0.01, 100),
)
def test_never_falls_and_comes_back(positive, negative, method: str, weight: float) -> None:
    """Better scores have no lower probabilities, all are in [0, 1], and JSON keeps them."""
    fit = fit_platt if method == "platt" else fit_isotonic
    fitted = fit(torch.tensor(positive), torch.tensor(negative), weight)
    function = Calibration(method, 1.0, {"tail": fitted, "head": fitted}, len(positive))
    x = torch.linspace(-60, 60, 50, dtype=torch.float64)
    values = function(x, "head")
    assert values.diff().min() >= -1e-12 and values.min() >= 0 and values.max() <= 1
    again = Calibration.from_dict(json.loads(json.dumps(function.to_dict())))
    assert again(x, "head").equal(values)


def test_negatives_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores that tell who is known: the positives are the answers, no negative is known or the query's own entity."""
    model = DistMult(triples_factory=NATIONS.training, random_seed=0)
    predictor = Predictor(model, NATIONS.training, [NATIONS.testing])
    held = NATIONS.validation.mapped_triples
    everything = torch.cat([split.mapped_triples for split in NATIONS.factory_dict.values()])
    true = {tuple(row) for row in everything.tolist()}
    ask = predictor.score

    def score(target: str, queries: torch.Tensor):
        _, known = ask(target, queries)
        marks = torch.zeros(len(queries), 14)
        for i, (entity, relation) in enumerate(queries.tolist()):
            for other in range(14):
                triple = (entity, relation, other) if target == "tail" else (other, relation, entity)
                marks[i, other] = 1.0 if triple in true else -1.0
            if predictor.irreflexive[relation]:
                marks[i, entity] = -torch.inf
        return marks, known

    seen = []
    monkeypatch.setattr(predictor, "score", score)
    monkeypatch.setattr(calibration, "fit_platt", lambda *args: seen.append(args) or {"slope": 1.0, "intercept": 0.0})
    made = calibrate(predictor, held, ratio=5.0, num_negatives=7)
    assert made.count == len(held) and made.ratio == 5.0
    for positive, negative, weight in seen:
        assert (positive == 1).all() and len(positive) == len(held)
        assert (negative == -1).all() and weight * len(negative) == pytest.approx(5 * len(positive))


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_predictor(method: str) -> None:
    """Answers have a column, in the order of the scores; the same seed gives the same; relations have none."""
    model = DistMult(triples_factory=NATIONS.training, random_seed=0)
    plain = Predictor(model, NATIONS.training)
    made = calibrate(plain, NATIONS.validation.mapped_triples, method)
    assert made == calibrate(plain, NATIONS.validation.mapped_triples, method)
    predictor = Predictor(model, NATIONS.training, calibration=made)
    (answers,) = predictor.predict([{"head": "uk", "relation": "embassy"}], k=None)
    expected = made(torch.tensor(answers["score"].to_numpy()), "tail")
    assert answers["probability"].tolist() == pytest.approx(expected.tolist(), abs=1e-6)
    assert answers["probability"].is_monotonic_decreasing
    with pytest.raises(DataError, match="relations"):
        next(predictor.predict([{"head": "uk", "tail": "usa"}]))


def test_errors() -> None:
    predictor = Predictor(DistMult(triples_factory=NATIONS.training), NATIONS.training)
    held = NATIONS.validation.mapped_triples
    for args, options, error, match in (
        ((held, "magic"), {}, DataError, "magic"),
        ((held[:0],), {}, DataError, "no triple"),
        ((held,), {"ratio": 0.0}, MultimodalError, "ratio"),
        ((held,), {"num_negatives": 0}, MultimodalError, "num_negatives"),
    ):
        with pytest.raises(error, match=match):
            calibrate(predictor, *args, **options)
    side = {"scores": [0.0, 1.0], "probabilities": [0.5, 0.4]}
    for document in (
        None,
        {},
        {"method": "magic", "sides": {}, "ratio": 1, "count": 1},
        {"method": "isotonic", "sides": {"tail": side, "head": side}, "ratio": 1, "count": 1},
        {"method": "platt", "sides": {"tail": {"slope": "x", "intercept": 0}}, "ratio": 1, "count": 1},
    ):
        with pytest.raises(DataError, match="no calibration"):
            Calibration.from_dict(document)
