"""Layouts of folders: accepted with this summary, or refused with this sentence."""

import gzip
import io
import pathlib
from collections.abc import Callable, Iterator

import pandas as pd
import pytest
from PIL import Image

from pykeen_mmkg.datasets import MultimodalDataset
from pykeen_mmkg.image_formats import can_decode

from .harness import Case, Listed, Refused, Right, cases, settle

ROWS = [(f"e{i}", f"r{k}", f"e{(i + k + 1) % 12}") for i in range(12) for k in range(2)]
TRAIN, VALID, TEST = ROWS[:16], ROWS[16:20], ROWS[20:]
SIZES = {"training": 16, "validation": 4, "testing": 4}
TEXTS = "entity\tname\tdescription\n" + "".join(f"e{i}\tthing {i}\tthe thing\n" for i in range(12))

Content = str | bytes | list[tuple[str, str, str]]


def _rows(rows: list[tuple[str, str, str]], separator: str = "\t", header: str = "") -> str:
    return header + "".join(separator.join(row) + "\n" for row in rows)


def _parquet(rows: list[tuple[str, str, str]]) -> bytes:
    buffer = io.BytesIO()
    pd.DataFrame(rows, columns=["head", "relation", "tail"]).to_parquet(buffer)
    return buffer.getvalue()


def _image() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "PNG")
    return buffer.getvalue()


def _write(files: dict[str, Content], **kwargs: object) -> Callable[[pathlib.Path], Callable[[], MultimodalDataset]]:
    def make(folder: pathlib.Path) -> Callable[[], MultimodalDataset]:
        for name, content in files.items():
            path = folder / "graph" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            content = _rows(content) if isinstance(content, list) else content
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return lambda: MultimodalDataset(folder / "graph", **kwargs)  # type: ignore[arg-type]

    return make


def _sizes(**expected: int) -> Callable[[MultimodalDataset], None]:
    def check(dataset: MultimodalDataset) -> None:
        assert {name: factory.num_triples for name, factory in dataset.factories.items()} == expected
        assert dataset.training.num_entities == 12
        assert dataset.training.num_relations == 2

    return check


AS_IT_IS = Right(_sizes(**SIZES))


def _images(count: int) -> Callable[[MultimodalDataset], None]:
    def check(dataset: MultimodalDataset) -> None:
        assert sum(map(bool, dataset.entity_table.images)) == count

    return check


def _accepted() -> Iterator[Case]:
    for valid in ("valid", "validation", "dev", "val"):
        yield Case(valid, _write({"train.tsv": TRAIN, f"{valid}.tsv": VALID, "test.tsv": TEST}), AS_IT_IS)
    for suffix, separator in ((".tsv", "\t"), (".txt", "\t"), (".csv", ","), (".csv", ";"), (".csv", "\t")):
        for header in ("", "head,relation,tail\n", "Subject,Predicate,Object\n", "head_entity,rel,tail_entity\n"):
            for packed in (False, True):
                files = {
                    f"{name}{suffix}{'.gz' * packed}": _rows(rows, separator, header.replace(",", separator))
                    for name, rows in (("train", TRAIN), ("valid", VALID), ("test", TEST))
                }
                contents = {name: gzip.compress(text.encode()) if packed else text for name, text in files.items()}
                name = f"{suffix}{'.gz' * packed}, {separator!r}, {header.strip() or 'no header'}"
                yield Case(name, _write({**contents}), AS_IT_IS)
    three = {"train.csv": TRAIN, "valid.csv": VALID, "test.csv": TEST}
    quoted = {name: _rows(rows, '","').replace("\n", '"\n"') for name, rows in three.items()}
    yield Case("quoted csv", _write({name: f'"{text[:-1]}' for name, text in quoted.items()}), AS_IT_IS)
    indexed = {
        name: ",head,relation,tail\n" + "".join(f"{i},{','.join(row)}\n" for i, row in enumerate(rows))
        for name, rows in three.items()
    }
    yield Case("the index of pandas", _write({**indexed}), Listed("train.csv", "''", check=AS_IT_IS.check))
    weighted = {"train.tsv": _rows([(*row, "0.5") for row in TRAIN], header="h\tr\tt\tweight\n"), "test.tsv": TEST}
    yield Case("a further column", _write({**weighted}), Listed("train.tsv", "'weight'"))
    spaces = {"train.tsv": [(h, f" {r} ", t) for h, r, t in TRAIN], "valid.tsv": VALID, "test.tsv": TEST}
    yield Case("spaces around labels", _write(spaces), Listed("train.tsv", "' r0 '", "line 1", check=AS_IT_IS.check))
    windows = {"train.tsv": ("\ufeff" + _rows(TRAIN).replace("\n", "\r\n")), "valid.tsv": VALID, "test.tsv": TEST}
    yield Case("byte order mark, CRLF", _write({**windows}), AS_IT_IS)
    blank = {"train.tsv": _rows(TRAIN) + "\n \n", "valid.tsv": VALID, "test.tsv": TEST}
    yield Case("blank lines at the end", _write({**blank}), AS_IT_IS)
    reverse = {"train.csv": _rows([row[::-1] for row in TRAIN], ",", "tail,relation,head\n"), "test.csv": TEST}
    reverse["test.csv"] = _rows(TEST, ",")
    yield Case("columns in another order", _write({**reverse}), Right(_sizes(training=16, testing=4)))
    yield Case("no validation", _write({"train.tsv": TRAIN, "test.tsv": TEST}), Right(_sizes(training=16, testing=4)))


def _split_here() -> Iterator[Case]:
    for name in ("triples", "graph", "edges", "links", "facts", "data", "all", "train"):
        yield Case(
            f"one file {name}",
            _write({f"{name}.tsv": ROWS}),
            Listed("no test split", "random", "seed 0", check=_sizes(training=19, validation=2, testing=3)),
        )
    yield Case(
        "no test split",
        _write({"train.tsv": ROWS[:20], "dev.tsv": ROWS[20:]}),
        Listed("no test split", "90/0/10", check=_sizes(training=18, validation=4, testing=2)),
    )
    for kind in ("random", "leak-aware"):
        yield Case(f"split={kind}", _write({"triples.tsv": ROWS}, split=kind), Right(lambda dataset: None))
    for ratios in ([0.5, 0.25, 0.25], [0.9, 0, 0.1]):
        rule = {"kind": "random", "ratios": ratios, "seed": 3}
        yield Case(f"{ratios}", _write({"graph.tsv": ROWS}, split=rule), Right(lambda dataset: None))


def _with_images() -> Iterator[Case]:
    base: dict[str, Content] = {"train.tsv": TRAIN, "test.tsv": TEST, "entities.tsv": TEXTS}
    for name in (
        "e1.png",
        "e1/x.png",
        "e1/2020/may/x.png",
        "things/e1.png",
        "e1_3.PNG",
        "e1.jfif",
        *(name for name in ("e1.avif", "e1.jp2") if can_decode(name)),
    ):
        yield Case(f"images/{name}", _write({**base, f"images/{name}": _image()}), Right(_images(1)))
    for name in ("e99.png", "deep/er/e99.png"):
        sentence = ("1 of 2 image files belong to no entity", "'e99.png'", "1 with an image")
        made = _write({**base, "images/e1.png": _image(), f"images/{name}": _image()})
        yield Case(f"surplus images/{name}", made, Listed(*sentence, check=_images(1)))
    yield Case("no image fits", _write({**base, "images/x.png": _image()}), Listed("none fits", "image_name"))
    text = _write({**base, "images/e1.png": _image(), "images/urls.txt": "x"})
    yield Case("a text among images", text, Listed("no images by their suffix", "'urls.txt'"))
    column = base | {
        "entities.csv": "entity,image\ne1,http://example.org/1.png\ne2,pics/2.png\n",
        "pics/2.png": _image(),
    }
    del column["entities.tsv"]
    made = _write(column, missing_rows="allow")
    yield Case(
        "an image that is a URL", made, Listed("entities.csv", "1 images are URLs", "fetch-images", check=_images(1))
    )


def _ignored() -> Iterator[Case]:
    base: dict[str, Content] = {"train.tsv": TRAIN, "test.tsv": TEST}
    for name in ("entity_texts.tsv", "Entities.csv", "extra.parquet", "old.tsv.gz", "vectors.npy", "kg.ttl", "x.json"):
        yield Case(f"beside it {name}", _write({**base, name: "x"}), Listed("ignored", name))
    for name in ("README.md", "LICENSE.txt", "make.py", ".old.tsv", "readme.txt"):
        yield Case(f"beside it {name}", _write({**base, name: "x"}), Right(lambda dataset: None))


#: what is wrong with a rule that is a mapping
_CULPRITS = {"{'kind': 'x'}": ("split='x'",), "{'seeds': 1}": ("'seeds'",), "{'ratios': [1]}": ("ratios=[1]",)}
_CULPRITS["{'seed': 0.5}"] = ("seed=0.5",)


def _refused() -> Iterator[Case]:
    base: dict[str, Content] = {"train.tsv": TRAIN, "test.tsv": TEST}
    yield Case("empty folder", _write({"notes.md": ""}), Refused("graph", "lacks train.tsv"))
    yield Case("only a test split", _write({"test.tsv": TEST}), Refused("lacks train.tsv"))
    yield Case("two of one", _write({**base, "train.csv": "x"}), Refused("train.tsv", "train.csv", "keep one"))
    yield Case("two valid", _write({**base, "dev.tsv": VALID, "valid.tsv": VALID}), Refused("valid.tsv", "dev.tsv"))
    yield Case("two tables", _write({**base, "entities.tsv": TEXTS, "entities.csv": "x"}), Refused("entities.csv"))
    yield Case("called training", _write({**base, "test-training.tsv": TEST}), Refused("cannot be called 'training'"))
    yield Case("a row too few", _write({**base, "entities.tsv": TEXTS[:-22]}), Refused("e11", "entities.tsv"))
    for kind in ("unseen", "rand", "", 3, [], {"kind": "x"}, {"seeds": 1}, {"ratios": [1]}, {"seed": 0.5}):
        yield Case(
            f"split={kind!r}",
            _write({"triples.tsv": ROWS}, split=kind),
            Refused(*_CULPRITS.get(repr(kind), ("split", repr(kind)))),
        )
    yield Case("one triple", _write({"triples.tsv": ROWS[:1]}), Refused("ratios", "training"))
    yield Case("image folder", _write(base, images="gone"), Refused("gone", "does not exist"))


@cases([*_accepted(), *_split_here(), *_with_images(), *_ignored(), *_refused()])
def test_layout(case: Case, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    def load(make: Callable[[], MultimodalDataset]) -> MultimodalDataset:
        dataset = make()
        assert dataset.training.num_triples
        return dataset

    settle(case, load, tmp_path, caplog)


def test_parquet(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("pyarrow")
    files = {"train.parquet": _parquet(TRAIN), "valid.parquet": _parquet(VALID), "test.parquet": _parquet(TEST)}
    AS_IT_IS.check(_write({**files})(tmp_path)())
