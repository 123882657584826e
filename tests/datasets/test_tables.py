"""Tables of modalities: columns, texts, images, alignment, and the errors of bad tables."""

import logging
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykeen_mmkg.datasets.tables import ModalityTable, load_table
from pykeen_mmkg.errors import DataError, ImageError

line_text = st.text(st.characters(exclude_categories=["Cc", "Cs"])).map(str.strip)


@pytest.fixture
def table_path(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "entities.tsv"
    path.write_text('entity\tlabel\tdescription\nb\tBee\tan insect\na\t\tfirst "letter\nc\tSea\nd\n')
    return path


def test_columns(table_path: pathlib.Path):
    table = ModalityTable.load(table_path)
    assert table.labels == ("b", "a", "c", "d")
    assert table.names == ("Bee", "", "Sea", "")
    assert table.descriptions == ("an insect", 'first "letter', "", "")
    assert table.images == ((), (), (), ())
    assert table.texts() == {"b": "Bee: an insect", "a": 'first "letter', "c": "Sea", "d": None}
    assert table.texts(["description"]) == {"b": "an insect", "a": 'first "letter', "c": None, "d": None}
    assert table.texts(["label", "name"], separator=" ") == {"b": "b Bee", "a": "a", "c": "c Sea", "d": "d"}
    with pytest.raises(DataError, match="title"):
        table.texts(["title"])


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        ("label\tdescription", "x\ttext", ("x", "", "text")),
        ("label\tname\tdescription", "x\tX\ttext", ("x", "X", "text")),
        ("id\tlabel", "x\tX", ("x", "X", "")),
        ("Description\tEntity", "text\tx", ("x", "", "text")),
        ("description\tname\tlabel\tentity", "text\tX\tignored\tx", ("x", "X", "text")),
    ],
)
def test_header_forms(tmp_path: pathlib.Path, header: str, row: str, expected: tuple[str, str, str]):
    path = tmp_path / "entities.tsv"
    path.write_text(f"{header}\n{row}\n")
    table = ModalityTable.load(path)
    assert (table.labels[0], table.names[0], table.descriptions[0]) == expected


def test_unused_column_is_named(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture):
    path = tmp_path / "entities.tsv"
    path.write_text("entity\tname\tdescripton\na\tA\ttypo\n")
    with caplog.at_level(logging.WARNING):
        ModalityTable.load(path)
    assert "descripton" in caplog.text


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        ("", "entity", "is empty"),
        ("a\tA\ttext\n", "entity", "lacks the column 'entity'"),
        ("relation\tdescription\na\tb\n", "entity", "lacks the column 'entity'"),
        ("entity\tdescription\na\tb\n", "relation", "lacks the column 'relation'"),
        ("entity\na\n", "entity", "lacks a column 'name', 'description' or 'images'"),
        ("entity\tname\tname\na\tA\tB\n", "entity", "'name' twice"),
        ("entity\tname\na\tA\nb\tB\na\tC\n", "entity", "line 4: the entity 'a' has a row already, line 2"),
        ("entity\tname\na\tA\tsurplus\n", "entity", "line 2: 3 columns, but the header has 2"),
        ("entity\tname\n\tA\n", "entity", "line 2: the entity has no label"),
        ("entity\timages\na\tgone.png\n", "entity", "line 2: entity 'a': the image 'gone.png' does not exist"),
    ],
)
def test_bad_tables(tmp_path: pathlib.Path, content: str, kind: str, message: str):
    path = tmp_path / "table.tsv"
    path.write_text(content)
    with pytest.raises((DataError, ImageError), match=message) as info:
        ModalityTable.load(path, kind=kind)  # type: ignore[arg-type]
    assert str(path) in str(info.value)


def test_missing_table(tmp_path: pathlib.Path):
    with pytest.raises(DataError, match="relation table .*gone.tsv does not exist"):
        ModalityTable.load(tmp_path / "gone.tsv", kind="relation")


def test_not_utf8(tmp_path: pathlib.Path):
    path = tmp_path / "entities.tsv"
    path.write_bytes("entity\tname\na\tJosé\n".encode("latin-1"))
    with pytest.raises(DataError, match="line 2: not UTF-8"):
        ModalityTable.load(path)


def touch(folder: pathlib.Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_no_image_fits(tmp_path: pathlib.Path, table_path: pathlib.Path, caplog: pytest.LogCaptureFixture):
    touch(tmp_path / "images", "n_a.jpg")
    with caplog.at_level(logging.WARNING):
        ModalityTable.load(table_path).with_images(tmp_path / "images")
    assert "1 of 1 image files belong to no entity, e.g. 'n_a.jpg'; none fits" in caplog.text


def test_missing_image_folder(table_path: pathlib.Path):
    with pytest.raises(ImageError, match="nowhere does not exist"):
        ModalityTable.load(table_path).with_images("nowhere")


def test_image_column_and_folder(tmp_path: pathlib.Path):
    touch(tmp_path, "pictures/one.png", "two.png", "images/a_0.jpg")
    path = tmp_path / "entities.tsv"
    path.write_text("entity\timages\na\tpictures/one.png | two.png\nb\t\n")
    table = ModalityTable.load(path).with_images(tmp_path / "images")
    expected = ("pictures/one.png", "two.png", "images/a_0.jpg")
    assert table.images == (tuple(tmp_path / name for name in expected), ())
    assert table.image_dict()["b"] == ()


def test_align(table_path: pathlib.Path):
    table = ModalityTable.load(table_path)
    aligned = table.align(["c", "a"])
    assert aligned.labels == ("c", "a")
    assert aligned.names == ("Sea", "")
    assert aligned.descriptions == ("", 'first "letter')
    with pytest.raises(DataError, match=r"no row for the entity 'x' and 1 more") as info:
        table.align(["a", "x", "y"])
    assert str(table_path) in str(info.value)
    allowed = table.align(["a", "x"], missing="allow")
    assert allowed.texts() == {"a": 'first "letter', "x": None}


@given(rows=st.dictionaries(line_text.filter(bool), st.tuples(line_text, line_text)), data=st.data())
def test_align_is_a_lookup(rows: dict[str, tuple[str, str]], data: st.DataObject):
    table = ModalityTable(
        tuple(rows), tuple(n for n, _ in rows.values()), tuple(d for _, d in rows.values()), ((),) * len(rows)
    )
    wanted = data.draw(st.permutations(list(rows)))
    aligned = table.align(wanted)
    assert [(n, d) for n, d in zip(aligned.names, aligned.descriptions, strict=True)] == [rows[w] for w in wanted]


@given(rows=st.dictionaries(line_text.filter(bool), st.tuples(line_text, line_text)))
def test_save_and_load(tmp_path_factory: pytest.TempPathFactory, rows: dict[str, tuple[str, str]]):
    folder = tmp_path_factory.mktemp("table")
    touch(folder, "pics/x.png")
    images = tuple((folder / "pics" / "x.png",) if i == 0 else () for i in range(len(rows)))
    table = ModalityTable(tuple(rows), tuple(n for n, _ in rows.values()), tuple(d for _, d in rows.values()), images)
    table.save(folder / "sub" / "entities.tsv")
    loaded = ModalityTable.load(folder / "sub" / "entities.tsv")
    assert (loaded.labels, loaded.names, loaded.descriptions) == (table.labels, table.names, table.descriptions)
    assert [[p.samefile(folder / "pics" / "x.png") for p in paths] for paths in loaded.images] == [
        [True] * len(paths) for paths in images
    ]
    assert loaded.digest == table.digest
    assert {path.name for path in (folder / "sub").iterdir()} <= {"entities.tsv", "linked_images"}


def test_save_refuses_what_cannot_be_read(tmp_path: pathlib.Path):
    table = ModalityTable(("a",), ("A",), ("two\nlines",), ((),))
    with pytest.raises(DataError, match="'a': a field holds a tab or a line break"):
        table.save(tmp_path / "entities.tsv")
    assert not list(tmp_path.iterdir())


def test_digest_notices_any_change(tmp_path: pathlib.Path):
    touch(tmp_path, "x.png")
    table = ModalityTable(("a", "b"), ("A", ""), ("", "text"), ((tmp_path / "x.png",), ()))
    digests = {table.digest}
    (tmp_path / "x.png").write_bytes(b"1")
    for other in (
        ModalityTable(("a", "b"), ("A", ""), ("", "text"), ((tmp_path / "x.png",), ())),
        ModalityTable(("a", "b"), ("", "A"), ("", "text"), ((tmp_path / "x.png",), ())),
        ModalityTable(("a", "c"), ("A", ""), ("", "text"), ((tmp_path / "x.png",), ())),
        ModalityTable(("a", "b"), ("A", ""), ("text", ""), ((tmp_path / "x.png",), ())),
        ModalityTable(("a", "b"), ("A", ""), ("", "text"), ((), (tmp_path / "x.png",))),
    ):
        digests.add(other.digest)
    assert len(digests) == 6


def test_a_table_checks_itself():
    with pytest.raises(DataError, match="2 labels, but 1 names"):
        ModalityTable(("a", "b"), ("A",), ("", ""), ((), ()))
    with pytest.raises(DataError, match="'a' comes twice"):
        ModalityTable(("a", "a"), ("", ""), ("", ""), ((), ()))


def test_table_of_the_labels_of_a_graph(tmp_path: pathlib.Path, table_path: pathlib.Path):
    images = tmp_path / "images"
    touch(images, "a_0.jpg")
    entities = load_table(["b", "a"], "entity", table_path, images)
    assert entities.labels == ("b", "a")
    assert [len(paths) for paths in entities.images] == [0, 1]
    assert load_table(["b", "a"], "entity", ModalityTable.load(table_path), images) == entities
    with pytest.raises(DataError, match="no row for the entity 'z'"):
        load_table(["z"], "entity", table_path)
    assert load_table(["z"], "entity", table_path, missing_rows="allow").texts() == {"z": None}
    # images without a table
    assert [len(paths) for paths in load_table(["a", "b"], "entity", None, images).images] == [1, 0]
    assert load_table(["r"], "relation").texts() == {"r": None}


def test_an_image_of_a_row_that_the_graph_lacks(tmp_path: pathlib.Path):
    """``a_1.jpg`` is of the entity ``a_1``, not a further one of ``a``, though only the table knows ``a_1``."""
    path, images = tmp_path / "entities.tsv", tmp_path / "images"
    path.write_text("entity\tname\na\tAnn\na_1\tAnna\n")
    touch(images, "a.jpg", "a_1.jpg", "z_2.jpg")
    table = load_table(["a", "z"], "entity", path, images, missing_rows="allow")
    assert [[image.name for image in paths] for paths in table.images] == [["a.jpg"], ["z_2.jpg"]]


@pytest.mark.parametrize("path", ["../secret.png", "x/../../secret.png", "{folder}/secret.png"])
def test_images_outside_of_the_folder(path: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """Whoever passes a folder on does not choose what is read elsewhere, unless that is allowed."""
    touch(tmp_path, "secret.png")
    touch(tmp_path, "graph/x/y.png")
    table = tmp_path / "graph" / "entities.tsv"
    table.write_text(f"entity\timages\na\t{path.format(folder=tmp_path)}\n")
    with pytest.raises(ImageError, match="entities.tsv, line 2.*secret.png.*outside.*PYKEEN_MMKG_IMAGES"):
        ModalityTable.load(table)
    monkeypatch.setenv("PYKEEN_MMKG_IMAGES", str(tmp_path))
    assert ModalityTable.load(table).images[0][0].samefile(tmp_path / "secret.png")
