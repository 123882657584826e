"""Which images of a folder belong to which label."""

import os
import pathlib
import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pykeen_mmkg.datasets.image_folder import describe_unmatched, find_images
from pykeen_mmkg.errors import DataError, ImageError
from pykeen_mmkg.image_formats import FORMATS, IMAGE_SUFFIXES


def touch(folder: pathlib.Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_image_folder(tmp_path: pathlib.Path):
    touch(tmp_path, "a.jpg", "a_10.png", "a_2.PNG", "a_1.jpg", "b/y.webp", "b/x.jpg", "b/notes.txt", "c.txt", "z_0.jpg")
    touch(tmp_path, quote("/m/01", safe="") + "_0.jpg", ".a_3.jpg")
    found, unmatched = find_images(tmp_path, ["a", "a_1", "b", "c", "/m/01"])
    names = {label: [path.name for path in paths] for label, paths in found.items()}
    assert names == {
        "a": ["a.jpg", "a_2.PNG", "a_10.png"],
        "a_1": ["a_1.jpg"],
        "b": ["x.jpg", "y.webp"],
        "/m/01": ["%2Fm%2F01_0.jpg"],
    }
    assert [path.name for path in unmatched] == ["notes.txt", "c.txt", "z_0.jpg"]
    assert list(describe_unmatched(unmatched, 7)) == [
        "1 of 8 image files belong to no entity, e.g. 'z_0.jpg'",
        "2 files in the image folder are no images by their suffix, e.g. 'notes.txt', 'c.txt'",
    ]


def test_label_that_looks_quoted_is_taken_as_it_is(tmp_path: pathlib.Path):
    touch(tmp_path, "50%25.jpg")
    assert set(find_images(tmp_path, ["50%25", "50%"])[0]) == {"50%25"}
    assert set(find_images(tmp_path, ["50%"])[0]) == {"50%"}


def test_image_name(tmp_path: pathlib.Path):
    touch(tmp_path, "n001_0.jpg", "n002.jpg", "003.jpg")
    found, unmatched = find_images(tmp_path, ["001", "002", "003"], image_name="n{label}")
    assert set(found) == {"001", "002"}
    assert len(unmatched) == 1


def test_a_rule_of_replacement(tmp_path: pathlib.Path):
    touch(tmp_path, "x-a-b_0.jpg")
    assert set(find_images(tmp_path, ["a:b"], {"name": "x-{label}", "replace": {":": "-"}})[0]) == {"a:b"}


@pytest.mark.parametrize(
    ("image_name", "message"),
    [
        ("n", "lacks {label}"),
        (3, "lacks {label}"),
        ({"nam": "{label}"}, "unknown key 'nam'"),
        ({"replace": {"/": 1}}, "must map texts"),
        ({"replace": {"": "x"}}, "must map texts"),
    ],
)
def test_bad_image_names(tmp_path: pathlib.Path, image_name: object, message: str):
    with pytest.raises(DataError, match=message):
        find_images(tmp_path, ["001"], image_name=image_name)  # type: ignore[arg-type]


def test_every_format_that_is_decoded_is_found():
    Image.init()
    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS}
    assert known <= IMAGE_SUFFIXES


@given(label=st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/"), min_size=1, max_size=40))
def test_a_file_called_as_the_label_is_found_in_any_form(tmp_path_factory: pytest.TempPathFactory, label: str):
    """NFC or NFD, quoted, or with underscores for spaces: of one label there is no doubt."""
    forms = {label, unicodedata.normalize("NFD", label), quote(label, safe=""), label.replace(" ", "_")}
    for form in forms:
        if form.startswith(".") or len(form.encode()) > 200:
            continue
        folder = tmp_path_factory.mktemp("images")
        touch(folder, f"{form}.jpg", f"{form}_2.jpg", f"{form}/any.jpg")
        found, unmatched = find_images(folder, [label])
        assert (set(found), len(found[label]), unmatched) == ({label}, 3, ())


def test_a_form_of_two_labels_is_of_none(tmp_path: pathlib.Path):
    touch(tmp_path, "New%20York.jpg", "New_York_1.jpg", "a b_1.jpg")
    found, unmatched = find_images(tmp_path, ["New York", "New_York", "a_b", "a.b"])
    assert {label: [path.name for path in paths] for label, paths in found.items()} == {
        "New York": ["New%20York.jpg"],
        "New_York": ["New_York_1.jpg"],
        "a_b": ["a b_1.jpg"],
    }
    assert unmatched == ()
    (tmp_path / "m.x.jpg").touch()
    assert len(find_images(tmp_path, ["/m/x", "m/x"])[1]) == 4


@pytest.mark.parametrize(
    "name", ["m.06xyz/1.jpg", "m/06xyz/1.jpg", "m/06xyz.jpg", "m_06xyz_1.jpg", "x/y/m.06xyz_3.png"]
)
def test_labels_with_slashes(tmp_path: pathlib.Path, name: str):
    touch(tmp_path, name)
    assert set(find_images(tmp_path, ["/m/06xyz", "/m/07"])[0]) == {"/m/06xyz"}


def test_links_in_a_circle_and_special_files(tmp_path: pathlib.Path):
    touch(tmp_path, "deep/a/x/1²2.jpg")
    (tmp_path / "deep" / "again").symlink_to(tmp_path)
    (tmp_path / "a_1.jpg").symlink_to("gone")
    os.mkfifo(tmp_path / "a_2.jpg")
    found, unmatched = find_images(tmp_path, ["a"])
    assert [path.name for path in found["a"]] == ["1²2.jpg"]
    assert list(describe_unmatched(unmatched, 1)) == [
        "2 files in the image folder are no regular files or broken links, e.g. 'a_1.jpg', 'a_2.jpg'"
    ]


def test_a_folder_that_is_none(tmp_path: pathlib.Path):
    (tmp_path / "file").touch()
    for name in ("file", "gone"):
        with pytest.raises(ImageError, match=f"{name} does not exist or is no folder"):
            find_images(tmp_path / name, ["a"])
