"""Tests for the model of evidence."""

import io
import pathlib

import numpy
import pytest
import torch
from pykeen.pipeline import pipeline
from pykeen.triples import TriplesFactory

from pykeen_mmkg.errors import DataError, FeatureError
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.models.evidence import Evidence
from pykeen_mmkg.nn.evidence.scorer import PARTS, EvidenceScorer
from pykeen_mmkg.nn.preprocessing import center, preprocess, stand_ins

N = 12


@pytest.fixture
def factory() -> TriplesFactory:
    generator = torch.Generator().manual_seed(0)
    columns = [torch.randint(top, (60,), generator=generator).tolist() for top in (N, 3, N)]
    triples = [(f"e{h:02}", f"r{r}", f"e{t:02}") for h, r, t in zip(*columns, strict=True)]
    triples += [(f"e{i:02}", "r0", f"e{(i + 1) % N:02}") for i in range(N)]
    return TriplesFactory.from_labeled_triples(numpy.array(triples))


@pytest.fixture
def sources(tmp_path: pathlib.Path) -> dict:
    """Write a table, and features: the text of the last four is hidden, two of them have a picture."""
    labels = [f"e{i:02}" for i in range(N)]
    rows = "".join(f"{label}\tname {i % 5}\tof kind {i % 3} and {i}\n" for i, label in enumerate(labels))
    (tmp_path / "entities.tsv").write_text("entity\tlabel\tdescription\n" + rows)
    features = {}
    ids = torch.arange(N)
    for key, dim, mask in (("textual", 6, ids < N - 4), ("visual", 5, (ids % 2 == 0) | (ids == N - 1))):
        vectors = torch.randn(N, dim, generator=torch.Generator().manual_seed(dim)) * mask[:, None]
        features[key] = str(tmp_path / f"{key}.safetensors")
        FeatureStore.from_tensors(labels, vectors, mask=mask, modality=key).save(features[key])
    return dict(sources=dict(entities=str(tmp_path / "entities.tsv"), features=features))


def test_texts(factory: TriplesFactory, sources: dict) -> None:
    """A text comes from its own vector or the picture's, and so do its words."""
    model = Evidence(triples_factory=factory, parts=PARTS, **sources)
    labels = sorted(factory.entity_to_id)
    text, visual = (
        FeatureStore.load(sources["sources"]["features"][key]).lookup(labels) for key in ("textual", "visual")
    )
    vectors, mask = preprocess(*text, *visual)
    assert mask.sum() == N - 2 + 1
    lines = [f"name {i % 5}" if i < N - 4 else "" for i in range(N)]
    descriptions = [f"of kind {i % 3} and {i}" if i < N - 4 else "" for i in range(N)]
    others = stand_ins(vectors, text[1], center(*visual), visual[1])
    assert others.ids.tolist() == (~text[1] & visual[1]).nonzero()[:, 0].tolist() and others.others.numel()
    scorer = EvidenceScorer(factory.mapped_triples, N, 3, vectors, mask, lines, descriptions, others, parts=PARTS)
    heads, relations = torch.arange(N), torch.arange(N) % 3
    for target, shift in (("tail", 0), ("head", 3)):
        expected = scorer.features(scorer.queries(heads, relations + shift))
        torch.testing.assert_close(model.score_parts(heads, relations, target), expected)


def test_scores(factory: TriplesFactory, sources: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone, the model adds its parts up; tails, heads and triples agree, and so do candidates and small batches."""
    model = Evidence(triples_factory=factory, **sources)
    batch = factory.mapped_triples[:20]
    tails = model.score_parts(batch[:, 0], batch[:, 1], "tail").sum(0)
    heads = model.score_parts(batch[:, 2], batch[:, 1], "head").sum(0)
    torch.testing.assert_close(model.score_t(batch[:, :2]).detach(), tails)
    torch.testing.assert_close(model.score_h(batch[:, 1:]).detach(), heads)
    torch.testing.assert_close(model.score_hrt(batch).detach(), tails.gather(1, batch[:, 2:]))
    ids = torch.tensor([7, 2])
    torch.testing.assert_close(model.score_t(batch[:, :2], tails=ids).detach(), tails[:, ids])
    torch.testing.assert_close(model.score_parts(batch[:, 0], batch[:, 1], "tail", ids=ids).sum(0), tails[:, ids])
    weights = torch.rand(20, len(model.parts), generator=torch.Generator().manual_seed(0))
    expected = torch.einsum("kbn,bk->bn", model.score_parts(batch[:, 0], batch[:, 1], "tail"), weights)
    monkeypatch.setattr(Evidence, "chunk_size", 3 * N)
    torch.testing.assert_close(model.score_weighted(batch[:, 0], batch[:, 1], "tail", weights), expected)


def test_shuffled_texts(factory: TriplesFactory, sources: dict) -> None:
    """The control deals out the vectors anew: what reads them changes, and nothing else."""
    plain, control = (Evidence(triples_factory=factory, shuffle=s, **sources) for s in (None, {"textual": 1}))
    heads = relations = torch.zeros(1, dtype=torch.long)
    one, other = (m.score_parts(heads, relations, "tail") for m in (plain, control))
    # not those whose words are estimated by the likeness of vectors
    own = torch.arange(N) < N - 4
    changed = [
        part for part, x, y in zip(plain.parts, one, other, strict=True) if not torch.equal(x[:, own], y[:, own])
    ]
    assert set(changed) <= {"path", "copy", "profile_max", "profile_mean"} and "profile_mean" in changed


def test_without_texts(factory: TriplesFactory) -> None:
    """A graph without texts has links and paths, and no inverse triples of PyKEEN."""
    assert Evidence(triples_factory=factory).parts == ("link", "path", "loop")
    ids = dict(entity_to_id=factory.entity_to_id, relation_to_id=factory.relation_to_id)
    doubled = TriplesFactory(factory.mapped_triples, **ids, create_inverse_triples=True)
    with pytest.raises(DataError, match="create_inverse_triples"):
        Evidence(triples_factory=doubled)


def test_pipeline(factory: TriplesFactory, sources: dict) -> None:
    """The model goes through PyKEEN's pipeline by name, and can be saved."""
    result = pipeline(
        training=factory, testing=factory, model="evidence", model_kwargs=sources, training_kwargs=dict(num_epochs=0)
    )
    buffer = io.BytesIO()
    torch.save(result.model, buffer)
    buffer.seek(0)
    loaded = torch.load(buffer, weights_only=False)
    batch = factory.mapped_triples[:5]
    torch.testing.assert_close(loaded.score_hrt(batch), result.model.score_hrt(batch))


def test_pictures_only_stand_in(factory: TriplesFactory, sources: dict) -> None:
    """Where every entity has a text, or nothing is to be estimated, pictures need no features."""
    given = sources["sources"]
    given = {**given, "features": {**given["features"], "visual": "nowhere.safetensors"}}
    with pytest.raises(FeatureError, match="nowhere"):
        Evidence(triples_factory=factory, sources=given)
    assert "copy" in Evidence(triples_factory=factory, sources=given, impute=None).parts
