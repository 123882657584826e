"""Images in tar archives are those of the unpacked folder."""

import hashlib
import io
import pathlib
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pykeen_mmkg.audit import audit
from pykeen_mmkg.datasets import MultimodalDataset
from pykeen_mmkg.datasets.image_folder import describe_unmatched, find_images
from pykeen_mmkg.datasets.writing import write_dataset
from pykeen_mmkg.encoders import encode_images, make_encoder
from pykeen_mmkg.encoders.images import load_image, read_image
from pykeen_mmkg.errors import ImageError
from pykeen_mmkg.image_archives import find_member, image_digest, image_size, members, read_member
from pykeen_mmkg.study.contents import data_contents


def picture(colour: str) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(data, "PNG")
    return data.getvalue()


def pack(archive: pathlib.Path, files: dict[str, bytes], mode: str = "w") -> pathlib.Path:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, mode) as content:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            content.addfile(member, io.BytesIO(data))
    return archive


@given(st.dictionaries(st.from_regex(r"[a-z]{1,3}(/[a-z]{1,3}){0,2}\.png", fullmatch=True), st.binary(max_size=1500)))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_every_member_is_read_as_tarfile_reads_it(tmp_path: pathlib.Path, files: dict[str, bytes]) -> None:
    archive = pack(tmp_path / "a.tar", files)
    with tarfile.open(archive) as content:
        assert set(members(archive)) == {member.name for member in content.getmembers()} == set(files)
    for name, data in files.items():
        path = archive / name
        assert find_member(path) == (archive, name)
        assert read_member(archive, name) == read_image(path) == data
        assert read_member(archive, name, limit=10) == data[:10]
        assert image_size(path) == len(data)
        assert image_digest(path) == hashlib.sha256(data).hexdigest()


def test_what_is_no_member(tmp_path: pathlib.Path) -> None:
    archive = pack(tmp_path / "a.tar", {"./x.png": b"x"})
    assert members(archive) == {"x.png": (512, 1)}
    assert find_member(archive / "y.png") is None and find_member(tmp_path / "x.png") is None
    assert image_size(archive / "y.png") is None and image_size(archive) == archive.stat().st_size
    assert image_digest(archive) == hashlib.sha256(archive.read_bytes()).hexdigest()
    with pytest.raises(ImageError, match="has no file 'y.png'"):
        read_member(archive, "y.png")
    with pytest.raises(ImageError, match=r"a\.tar/y\.png does not exist"):
        read_image(archive / "y.png")


def test_the_last_of_a_name_counts_and_changes_are_noticed(tmp_path: pathlib.Path) -> None:
    archive = pack(tmp_path / "a.tar", {"x.png": b"old"})
    assert read_image(archive / "x.png") == b"old"
    pack(archive, {"x.png": b"newer"}, mode="a")
    assert read_image(archive / "x.png") == b"newer"


@pytest.mark.parametrize("kind", ["compressed", "cut", "no archive", "leads out", "absolute"])
def test_an_archive_that_cannot_be_read(tmp_path: pathlib.Path, kind: str) -> None:
    """The message names the archive, when the folder is read and when the picture is."""
    name = {"leads out": "../x.png", "absolute": "/x.png"}.get(kind, "x.png")
    archive = pack(tmp_path / "images" / "a.tar", {name: b"x" * 3000}, mode="w:gz" if kind == "compressed" else "w")
    if kind == "cut":
        archive.write_bytes(archive.read_bytes()[:2000])
    if kind == "no archive":
        archive.write_bytes(b"no archive" * 100)
    for attempt in (lambda: find_images(tmp_path / "images", ["x"]), lambda: read_image(archive / "x.png")):
        with pytest.raises(ImageError, match=r"a\.tar cannot be read"):
            attempt()


def test_an_archive_is_a_folder(tmp_path: pathlib.Path) -> None:
    """Members belong to labels by the rules of files in folders; the rest is told."""
    files = {
        "a_10.png": b"", "a_2.png": b"", "b/1.png": b"", "m/06/0.png": b"", "a.txt": b"a caption", "z.png": b"",
        ".b.png": b"",
    }  # fmt: skip
    pack(tmp_path / "archived" / "sub" / "shard-0.tar", files)
    pack(tmp_path / "archived" / "c.tar", {"any.png": b""})
    for name, data in {**files, "c/any.png": b""}.items():
        (tmp_path / "plain" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "plain" / name).write_bytes(data)

    def found(folder: str):
        images, unmatched = find_images(tmp_path / folder, ["a", "b", "c", "/m/06"])
        inside = {
            label: [path.relative_to(tmp_path / folder).as_posix() for path in paths] for label, paths in images.items()
        }
        return inside, sorted(path.name for path in unmatched), list(describe_unmatched(unmatched, 5))

    archived, *told = found("archived")
    shard = "sub/shard-0.tar"
    assert archived == {
        "a": [f"{shard}/a_2.png", f"{shard}/a_10.png"],
        "b": [f"{shard}/b/1.png"],
        "/m/06": [f"{shard}/m/06/0.png"],
        "c": ["c.tar/any.png"],
    }
    plain, *told_of_plain = found("plain")
    assert {label: len(paths) for label, paths in archived.items()} == {k: len(v) for k, v in plain.items()}
    assert told == told_of_plain and told[0] == ["a.txt", "z.png"] and "1 of 6 image files" in told[1][0]


def test_a_dataset_of_archives(tmp_path: pathlib.Path, dual_encoder: pathlib.Path) -> None:
    """The vectors, the digest and the audit are those of the pictures in a folder; the written dataset is whole."""
    pictures = {
        "a.png": picture("red"),
        "b_0.png": picture("blue"),
        "b_1.png": picture("green"),
        "c.png": picture("red"),
    }
    for name in ("packed", "plain"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "train.tsv").write_text("a\tr\tb\nb\tr\tc\n")
        (folder / "test.tsv").write_text("a\tr\tc\n")
        (folder / "entities.tsv").write_text("entity\tlabel\tdescription\na\tA\t\nb\tB\t\nc\tC\t\n")
    pack(tmp_path / "packed" / "images" / "0.tar", {name: pictures[name] for name in ("a.png", "b_1.png")})
    pack(tmp_path / "packed" / "images" / "1.tar", {name: pictures[name] for name in ("b_0.png", "c.png")})
    (tmp_path / "plain" / "images").mkdir()
    for name, data in pictures.items():
        (tmp_path / "plain" / "images" / name).write_bytes(data)
    packed, plain = (MultimodalDataset(path=tmp_path / name) for name in ("packed", "plain"))
    assert [len(paths) for paths in packed.entity_table.images] == [1, 2, 1]
    assert packed.entity_table.digest == plain.entity_table.digest
    assert load_image(packed.entity_table.images[0][0]).getpixel((0, 0)) == (255, 0, 0)

    model = make_encoder(dual_encoder)
    stores = [
        encode_images(
            dict(zip(dataset.entity_table.labels, dataset.entity_table.images, strict=True)),
            model,
            directory=tmp_path / f"cache-{number}",
            progress=False,
        )
        for number, dataset in enumerate((packed, plain))
    ]
    assert stores[0].counts.tolist() == [1, 2, 1]
    assert (stores[0].vectors == stores[1].vectors).all() and stores[0].vectors.abs().sum() > 0

    (finding,) = audit(packed, progress=False).select("duplicate-images")
    assert finding.details["examples"] == [["a", "c"]]
    assert data_contents(packed) == data_contents(plain)

    write_dataset(packed, tmp_path / "written")
    (tmp_path / "packed").rename(tmp_path / "gone")
    written = MultimodalDataset(path=tmp_path / "written")
    assert [[read_image(path) for path in paths] for paths in written.entity_table.images] == [
        [pictures["a.png"]], [pictures["b_0.png"], pictures["b_1.png"]], [pictures["c.png"]]
    ]  # fmt: skip
