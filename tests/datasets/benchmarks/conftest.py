"""A machine without network and benchmarks, and a file server on the loopback address that stands in for GitHub."""

import dataclasses
import functools
import http.server
import os
import pathlib
import threading
from collections.abc import Callable, Iterator

import pytest

from pykeen_mmkg.datasets.benchmarks import BENCHMARKS, Benchmark, base, fetching

ROOT = pathlib.Path(__file__).resolve().parents[3]
#: nobody listens there: port 9 (discard) is reserved
NOBODY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> pathlib.Path:
    """A machine without any benchmark, network or proxy; returns PyKEEN's data home."""
    for name in ("PYKEEN_MMKG_DATA", *(f"{kind}_proxy" for kind in ("http", "https", "all", "no"))):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv(fetching.SOURCES_VARIABLE, NOBODY)
    monkeypatch.setattr(fetching, "PAUSE", 0.0)
    monkeypatch.setattr(base, "PYKEEN_HOME", tmp_path / "home")
    return tmp_path / "home"


@dataclasses.dataclass
class Server:
    """What the file server gives, and what it was asked for."""

    #: path of the address -> content
    files: dict[str, bytes] = dataclasses.field(default_factory=dict)
    #: (path, its number among all requests) -> (status, announced length or None for the true one, content)
    answer: Callable[[str, int], tuple[int, int | None, bytes]] | None = None
    requests: list[str] = dataclasses.field(default_factory=list)
    url: str = ""

    def respond(self, path: str) -> tuple[int, int | None, bytes]:
        """Return status, announced length, and content."""
        self.requests.append(path)
        if self.answer is not None:
            return self.answer(path, len(self.requests))
        content = self.files.get(path)
        return (404, None, b"no such file") if content is None else (200, None, content)


def serve(server: Server) -> Iterator[Server]:
    """Run a file server for as long as the iterator is not exhausted."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, announced, content = server.respond(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content) if announced is None else announced))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Be silent."""

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.url = f"http://127.0.0.1:{listening.server_port}"
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A file server in the place of GitHub."""
    for running in serve(Server()):
        monkeypatch.setenv(fetching.SOURCES_VARIABLE, running.url)
        yield running


@pytest.fixture(scope="session")
def published() -> pathlib.Path:
    """The published files, as ``<owner>+<name>/<path>``; absent on most machines."""
    path = pathlib.Path(os.environ.get("PYKEEN_MMKG_TEST_SOURCES", ROOT.parent / "shared" / "sources"))
    if not path.is_dir():
        pytest.skip(f"no published files at {path}")
    return path


@pytest.fixture(scope="session")
def made(published: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Benchmark]:
    """Make a benchmark as a machine with the network alone does, once per session: fetch, check, convert, load."""
    home = tmp_path_factory.mktemp("made")

    @functools.cache
    def make(cls: type[Benchmark], **kwargs: object) -> Benchmark:
        dataset = cls(**kwargs)
        sources = [fetching.published_sources()[key] for key in dataset.files.values()]
        files = {source: published / source.repository.replace("/", "+") / source.path for source in sources}
        if absent := [path for path in files.values() if not path.is_file()]:
            pytest.skip(f"no published file {absent[0]}")
        content = {f"/{s.repository}/{s.commit}/{s.path}": path.read_bytes() for s, path in files.items()}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(base, "PYKEEN_HOME", home)
            for running in serve(Server(files=content)):
                patch.setenv(fetching.SOURCES_VARIABLE, running.url)
                _ = dataset.training
                assert sorted(running.requests) == sorted(content) or cls in MADE_TOGETHER
        return dataset

    return make


#: benchmarks that share files with another one, which may have been fetched already
MADE_TOGETHER = {cls for cls in BENCHMARKS if cls.__name__.startswith(("FB15k", "WN18RR", "DB15k", "MKG"))}
