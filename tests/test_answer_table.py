"""Answers as they are shown: pictures and texts in place, nothing that a browser would load or run."""

import base64
import pickle
import re

import pandas
from click.testing import CliRunner
from PIL import Image
from pykeen.models import DistMult
from pykeen.triples import TriplesFactory

from pykeen_mmkg.answer_table import Answers, Item, answers_page, items_table
from pykeen_mmkg.cli import main
from pykeen_mmkg.datasets.folder import MultimodalDataset
from pykeen_mmkg.predict import Predictor, predict

EVIL = "<script>alert('x')</script>"


def test_everything_is_escaped(tmp_path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "x.png")
    item = Item(EVIL, EVIL, (tmp_path / "x.png", tmp_path / "gone.png"))
    columns = {"rank": [1, 2], "label": [EVIL, "b"], "name": ["", ""], "score": [0.25, None], "known": [True, False]}
    frame = pandas.DataFrame({**columns, EVIL: [EVIL, 1]})
    answers = Answers.of(frame, lambda label: item)
    page = answers_page([({"head": item, "relation": item, "tail": None}, answers)], EVIL)
    assert "<script" not in page and page.count("&lt;script&gt;") > 10
    assert page.count('src="data:image/jpeg;base64,') == 4 and "cannot be decoded" in page
    assert not re.search(r"(src|href)=.(http|/|file)", page)
    assert page.count('<tr class="known">') == 1 and "0.25" in page and "nan" not in page.lower()


def test_notebook(folder) -> None:
    """A notebook gets names, texts and pictures; all else is a data frame without the graph behind it."""
    dataset = MultimodalDataset(path=folder)
    model = DistMult(triples_factory=dataset.training, random_seed=0)
    df = predict(model, dataset.training, head="e1", relation="r0", k=24)
    html = df._repr_html_()
    assert len(df) > 15
    for label in df["label"]:
        assert label in html
    assert "it is number 12" in html
    source = re.search(r"thing 12.*?</tr>", html, flags=re.DOTALL)
    assert source
    row = html[: source.start()].rpartition("<tr")[2]
    encoded = re.findall(r'base64,([^"]*)"', row)
    assert len(encoded) == 1 and base64.b64decode(encoded[0]).startswith(b"\xff\xd8")
    for plain in (df.head(2), df[["label", "score"]], pickle.loads(pickle.dumps(df)), df.copy()):
        assert type(plain) is pandas.DataFrame
        assert "base64" not in plain._repr_html_()
    pandas.testing.assert_frame_equal(pickle.loads(pickle.dumps(df)), pandas.DataFrame(df))
    with pandas.option_context("display.max_rows", 3):
        short = df._repr_html_()
    assert short.count("<tr") == 4 and f"first 3 of {len(df)} answers" in short
    relations = predict(model, dataset.training, head="e1", tail="e2")
    assert "comes 1 after" in relations._repr_html_()


def test_what_is_gone(folder, tmp_path) -> None:
    """Tables and pictures that a folder no longer has are passed over; plain factories have labels."""
    dataset = MultimodalDataset(path=folder)
    labels = list(dataset.entity_to_id)
    full = items_table(dataset.training, "entity", [*labels, "new"])
    assert full.labels[-1] == "new" and sum(map(len, full.images)) == 24
    metadata = {"multimodal": {**dataset.training.metadata["multimodal"], "images": str(tmp_path / "gone"),
                               "entities": str(tmp_path / "gone.tsv")}}  # fmt: skip
    parts = dataset.training.mapped_triples, dataset.entity_to_id, dataset.relation_to_id
    moved = TriplesFactory(*parts, metadata=metadata)
    assert not any(items_table(moved, "entity", labels).images)
    plain = TriplesFactory(*parts)
    predictor = Predictor(DistMult(triples_factory=plain, random_seed=0), plain, described_by=dataset.training)
    assert len(predictor.item("entity", "e6").images) == 3
    assert Predictor(predictor.model, plain).item("entity", "e6") == Item("e6", "", ())
    shown = predictor.shown({"tail": "e6", "relation": "r1"})
    assert [item and item.name for item in shown.values()] == [None, "successor 1", "thing 6"]


def test_command(folder, tmp_path) -> None:
    """`predict --html` writes the page of all queries, with the pictures of the dataset."""
    config = tmp_path / "c.json"
    config.write_text('{"model_kwargs": {"embedding_dim": 4, "modalities": ["structural"]}, '
                      '"training_kwargs": {"use_tqdm": false}}')  # fmt: skip
    (tmp_path / "q.tsv").write_text("e1\tr0\t?\n?\tr1\tthing 6\ne1\t?\te2\n")

    def run(*arguments: object) -> None:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.output

    options = ["--model", "vlkge", "--dataset", folder, "--epochs", 1, "--config", config]
    run("train", *options, "--output", tmp_path / "run")
    run("predict", tmp_path / "run", "--dataset", folder, "--queries", tmp_path / "q.tsv", "--mark-known", "-k", 24,
        "--html", tmp_path / "page.html")  # fmt: skip
    page = (tmp_path / "page.html").read_text()
    assert page.count("<section>") == 3 and page.count("<h2>") == 3
    assert "? &ndash; successor 1 &ndash; thing 6" in page
    assert "base64" in page and '<tr class="known">' in page and "Predictions of run" in page
    run("predict", tmp_path / "run", "--head", "e1", "--relation", "r0", "--html", tmp_path / "alone.html")
    assert "base64" not in (tmp_path / "alone.html").read_text()
