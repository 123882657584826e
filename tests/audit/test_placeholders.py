"""Placeholder rows among vectors with structure: what is planted is found, and nothing else."""

from collections import defaultdict

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pykeen_mmkg.audit import placeholders
from pykeen_mmkg.audit.placeholders import _identical, _p_values, find_placeholders


def _structured(n, d, generator):
    """Rows as an encoder gives them: a common mean and a falling spectrum."""
    spectrum = 0.7 ** torch.arange(d).clamp(max=30)
    basis = torch.linalg.qr(torch.randn(d, d, generator=generator)).Q
    return (torch.randn(n, d, generator=generator) * spectrum) @ basis + torch.randn(d, generator=generator) * 0.3


KINDS = {
    "normal": lambda n, x, g: torch.randn(n, x.shape[1], generator=g),
    "unit": lambda n, x, g: torch.nn.functional.normalize(torch.randn(n, x.shape[1], generator=g), dim=1),
    "uniform": lambda n, x, g: torch.rand(n, x.shape[1], generator=g),
    "xavier": lambda n, x, g: (torch.rand(n, x.shape[1], generator=g) - 0.5) * 0.1,
}


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("share", [0.05, 0.3, 1.0])
def test_planted_random_rows_are_found(kind, share):
    generator = torch.Generator().manual_seed(1)
    x = _structured(600, 64, generator)
    rows = torch.randperm(600, generator=generator)[: int(600 * share)]
    x[rows] = KINDS[kind](len(rows), x, generator)
    result = find_placeholders(x)
    planted = set(rows.tolist())
    assert result.has_random
    assert result.random_share == pytest.approx(share, abs=0.1)
    assert len(planted & set(result.random)) >= 0.98 * len(planted)
    assert len(set(result.random) - planted) <= 6


def test_nothing_is_found_among_structured_rows():
    result = find_placeholders(_structured(600, 64, torch.Generator().manual_seed(2)))
    assert result.tested and not result.identical
    assert not result.has_random and not result.has_matched


def test_rows_drawn_from_column_moments_are_found():
    generator = torch.Generator().manual_seed(3)
    x = _structured(600, 64, generator)
    rows = torch.randperm(600, generator=generator)[:240]
    x[rows] = x.mean(0) + x.std(0) * torch.randn(240, 64, generator=generator)
    result = find_placeholders(x)
    assert result.has_matched
    assert result.matched_share == pytest.approx(0.4, abs=0.15)


def test_p_values_of_random_rows_are_uniform():
    x = torch.randn(4_000, 32, generator=torch.Generator().manual_seed(4))
    x = torch.nn.functional.normalize(x - x.mean(dim=1, keepdim=True), dim=1)
    values = _p_values(x, seed=0, centre=False).sort().values
    # the Kolmogorov distance of 4,000 uniform numbers exceeds 1.95 / sqrt(4000) once in a thousand times
    assert (values - torch.linspace(0, 1, 4_000)).abs().max() < 1.95 / 4_000**0.5


def test_identical_rows_are_grouped_and_too_few_rows_not_judged():
    x = torch.randn(10, 32, generator=torch.Generator().manual_seed(5))
    x[[1, 4, 7]] = x[0].clone()
    x[5] = x[2]
    result = find_placeholders(x)
    assert result.identical == ((0, 1, 4, 7), (2, 5))
    assert not result.tested and not result.has_random


@given(st.lists(st.tuples(*[st.sampled_from([0.0, -0.0, 1.0, float("nan")])] * 2), max_size=12), st.booleans())
@settings(deadline=None)
def test_groups_of_identical_rows_equal_the_loop(rows, colliding):
    array = numpy.array(rows, dtype=numpy.float32).reshape(-1, 2)
    places = defaultdict(list)
    for row in range(len(array)):
        places[array[row].tobytes()].append(row)
    expected = sorted((g for g in places.values() if len(g) > 1), key=lambda g: (-len(g), g[0]))
    with pytest.MonkeyPatch.context() as patch:
        if colliding:
            patch.setattr(placeholders, "_fingerprints", lambda bits: numpy.zeros(len(bits), dtype=numpy.int64))
        assert _identical(array) == tuple(map(tuple, expected))


def test_repeated_random_rows_do_not_pass_for_structure():
    generator = torch.Generator().manual_seed(6)
    x = torch.randn(200, 64, generator=generator).repeat(2, 1)
    result = find_placeholders(x)
    assert len(result.identical) == 200
    assert result.random_share > 0.9


def test_features_of_a_real_encoder_pass(shared, dual_encoder, tmp_path):
    from pykeen_mmkg.encoders import encode_texts

    rows = (shared / "data" / "wn9-img" / "entities.tsv").read_text("utf-8").splitlines()[1:301]
    texts = {row.split("\t")[0]: row.split("\t")[2] for row in rows}
    store = encode_texts(texts, dual_encoder, directory=tmp_path, progress=False)
    result = find_placeholders(store.vectors[store.mask])
    assert result.tested and not result.has_random and not result.has_matched
