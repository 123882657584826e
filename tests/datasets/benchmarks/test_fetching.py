"""Fetching: whatever the network does, a file is kept whole and checked, or not at all."""

import csv
import hashlib
import pathlib
import re
import subprocess

import pytest

from pykeen_mmkg.datasets.benchmarks import BENCHMARKS, fetching
from pykeen_mmkg.datasets.benchmarks.fetching import Source, fetch, published_sources
from pykeen_mmkg.errors import DataError, DatasetNotFoundError

from .conftest import Server, serve

CONTENT = b"a\tb\tc\n" * 400_000  # more than one chunk
SOURCE = Source("owner/name", "c0ffee", "a folder/x+y.tsv", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
ADDRESS = "/owner/name/c0ffee/a%20folder/x%2By.tsv"


def kept(root: pathlib.Path) -> list[pathlib.Path]:
    """All files below a folder, temporary ones included."""
    return [path for path in root.rglob("*") if path.is_file()]


def test_fetched_once_and_kept(server: Server, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    server.files[ADDRESS] = CONTENT
    path = fetch(SOURCE, tmp_path / "kept")
    assert path == tmp_path / "kept" / "owner+name" / "c0ffee" / "a folder" / "x+y.tsv"
    assert path.read_bytes() == CONTENT
    assert kept(tmp_path) == [path]
    monkeypatch.setenv(fetching.SOURCES_VARIABLE, "http://127.0.0.1:9")  # offline
    assert fetch(SOURCE, tmp_path / "kept") == path
    assert server.requests == [ADDRESS]


def test_damaged_copy_is_fetched_anew(server: Server, tmp_path: pathlib.Path):
    server.files[ADDRESS] = CONTENT
    path = fetch(SOURCE, tmp_path)
    path.write_bytes(CONTENT[:-1] + b"x")
    assert fetch(SOURCE, tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CONTENT[:-1] + b"x", f"has the checksum .*, not {SOURCE.checksum}"),
        (CONTENT + b"x", f"gives more than the {len(CONTENT)} bytes"),
        (CONTENT[:-1], f"has {len(CONTENT) - 1} bytes, not {len(CONTENT)}"),
        (b"", "has 0 bytes"),
    ],
)
def test_wrong_bytes(server: Server, tmp_path: pathlib.Path, content: bytes, message: str):
    """A file that is not the published one is final: nothing is kept, nothing is asked for again."""
    server.files[ADDRESS] = content
    with pytest.raises(DataError, match=message) as info:
        fetch(SOURCE, tmp_path)
    assert server.url in str(info.value)
    assert not kept(tmp_path)
    assert len(server.requests) == 1


def test_wrong_bytes_leave_a_damaged_copy_alone(server: Server, tmp_path: pathlib.Path):
    path = SOURCE.location(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"edited by the user")
    server.files[ADDRESS] = b"else"
    with pytest.raises(DataError):
        fetch(SOURCE, tmp_path)
    assert path.read_bytes() == b"edited by the user"


@pytest.mark.parametrize("fault", ["closed", "busy", "many"])
def test_transient_faults(server: Server, tmp_path: pathlib.Path, fault: str):
    """A connection that ends early, and a server that is busy, are tried again, from the start."""
    faults = {
        "closed": (200, len(CONTENT), CONTENT[: len(CONTENT) // 2]),
        "busy": (503, None, b"later"),
        "many": (429, None, b"too many"),
    }
    server.answer = lambda _, number: faults[fault] if number < 3 else (200, None, CONTENT)
    assert fetch(SOURCE, tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == 3
    assert len(kept(tmp_path)) == 1


def test_transient_fault_that_stays(server: Server, tmp_path: pathlib.Path):
    server.answer = lambda *_: (200, len(CONTENT), CONTENT[:10])
    with pytest.raises(DatasetNotFoundError, match=f"10 of {len(CONTENT)} bytes") as info:
        fetch(SOURCE, tmp_path)
    assert str(SOURCE.location(tmp_path)) in str(info.value)
    assert fetching.SOURCES_VARIABLE in str(info.value)
    assert not kept(tmp_path)
    assert len(server.requests) == fetching.ATTEMPTS


def test_absent(server: Server, tmp_path: pathlib.Path):
    """A file that is gone is not asked for again."""
    with pytest.raises(DatasetNotFoundError, match="answers 404 Not Found") as info:
        fetch(SOURCE, tmp_path)
    assert SOURCE.checksum in str(info.value)
    assert server.requests == [ADDRESS]
    assert not kept(tmp_path)


def test_offline(tmp_path: pathlib.Path):
    with pytest.raises(DatasetNotFoundError, match="refused"):
        fetch(SOURCE, tmp_path)
    assert not kept(tmp_path)


def test_interrupted(server: Server, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """After Ctrl-C in the midst of a file nothing is left over, and the next call fetches the whole."""
    server.files[ADDRESS] = CONTENT
    with monkeypatch.context() as patch:
        patch.setattr(Source, "check", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fetch(SOURCE, tmp_path)
    assert not kept(tmp_path)
    assert fetch(SOURCE, tmp_path).read_bytes() == CONTENT


def test_proxy(server: Server, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """The proxy of the environment is asked for the whole address, and no_proxy is heeded."""
    for proxy in serve(Server(files={f"http://raw.invalid{ADDRESS}": CONTENT})):
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv(fetching.SOURCES_VARIABLE, "http://raw.invalid")
        assert fetch(SOURCE, tmp_path).read_bytes() == CONTENT
        assert proxy.requests == [f"http://raw.invalid{ADDRESS}"]
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setenv(fetching.SOURCES_VARIABLE, server.url)
        server.files[ADDRESS] = CONTENT
        fetch(SOURCE, tmp_path / "again")
        assert server.requests == [ADDRESS]
        assert len(proxy.requests) == 1


def test_checksum_of_git(tmp_path: pathlib.Path):
    """The id that Git gives a content, of a file whose size nobody tells."""
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    command = ["git", "hash-object", str(path)]
    oid = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert Source("o/n", "c", "p", None, f"git:{oid}").check(path) is None
    path.write_bytes(CONTENT[1:])
    assert "checksum" in (Source("o/n", "c", "p", None, f"git:{oid}").check(path) or "")


def test_addresses(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(fetching.SOURCES_VARIABLE)
    assert SOURCE.url == f"https://raw.githubusercontent.com{ADDRESS}"
    large = Source("o/n", "c", "p", 1, "lfs:00")
    assert large.url == "https://media.githubusercontent.com/media/o/n/c/p"


def test_table_of_sources():
    """Each row is pinned; every row is of some benchmark, and every benchmark finds its rows."""
    sources = published_sources()
    path = pathlib.Path(fetching.__file__).with_name("sources.tsv")
    with path.open(encoding="utf-8") as file:
        assert len(list(csv.reader(file))) == len(sources) + 1
    for source in sources.values():
        assert re.fullmatch("[0-9a-f]{40}", source.commit)
        assert re.fullmatch("((lfs:)?[0-9a-f]{64}|git:[0-9a-f]{40})", source.checksum)
        assert source.size is None or source.size > 0
        assert source.size is not None or source.checksum.startswith("git:")
    versions = {"WN18RRInductive": 4, "FB15k237Inductive": 4, "WikiArtMKG": 2}
    used = {
        key
        for cls in BENCHMARKS
        for kwargs in ([{"version": f"v{i + 1}"} for i in range(versions.get(cls.__name__, 0))] or [{}])
        for key in cls(**kwargs).files.values()
    }
    assert used == set(sources)
