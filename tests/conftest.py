"""Fixtures that several test modules share."""

import http.server
import os
import pathlib
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator

import numpy
import pytest
import torch
from PIL import Image
from pykeen.datasets import Nations
from pykeen.triples import TriplesFactory

from pykeen_mmkg.datasets.labels import labels_in_order
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.models.zero_shot.zsgan import ZSGAN

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder of real benchmark data beside the checkout; absent on most machines."""
    path = ROOT.parent / "shared"
    if not path.joinpath("data").is_dir():
        pytest.skip(f"no benchmark data at {path}")
    return path


@pytest.fixture(scope="session")
def dual_encoder() -> pathlib.Path:
    """The folder of the real dual encoder, built by scripts/build_encoder.py."""
    path = pathlib.Path(os.environ.get("PYKEEN_MMKG_TEST_ENCODER", ROOT / ".encoder"))
    if not path.joinpath("config.json").is_file():
        pytest.skip(f"no encoder at {path}: build it with `python scripts/build_encoder.py {path}`")
    return path


@pytest.fixture(scope="session")
def pykeen_command() -> Callable[..., str]:
    """``pykeen ...`` as a user types it, in the root of the checkout; returns what it prints, and fails if it does."""

    def run(*arguments: str, **environment: str) -> str:
        process = subprocess.run(
            [sys.executable, "-m", "pykeen", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env={**os.environ, **environment},
        )
        assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-4000:]
        return process.stdout

    return run


ROWS = [("x:city:a", "in", "x:land:b"), ("x:city:c", "in", "x:land:d"), ("x:city:a", "near", "x:city:c")]


@pytest.fixture()
def typed() -> TriplesFactory:
    """Cities, lands, and a river that takes no part."""
    ids = {label: i for i, label in enumerate(["x:city:a", "x:land:b", "x:city:c", "x:land:d", "x:river:e"])}
    return TriplesFactory.from_labeled_triples(numpy.array(ROWS, dtype=str), entity_to_id=ids)


@pytest.fixture(scope="session")
def make_zsgan() -> Callable[..., ZSGAN]:
    """Return a function that makes a small model on Nations; its arguments are those of its pair learner."""

    def make(**options: object) -> ZSGAN:
        factory = Nations().training
        labels = labels_in_order(factory.relation_to_id)
        vectors = torch.randn(len(labels), 6, generator=torch.Generator().manual_seed(0))
        store = FeatureStore.from_tensors(labels, vectors, modality="textual")
        return ZSGAN(
            triples_factory=factory,
            sources={"features": {"relation_textual": store}},
            embedding_dim=5,
            random_seed=0,
            pair_kwargs={"dim": 4, **options},
        )

    return make


ENTITIES, RELATIONS, UNSEEN = 24, 3, 2


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A small multimodal dataset: 24 entities, 2 of them unseen in training; half have an image, 2 no text."""
    path = tmp_path_factory.mktemp("multimodal")
    triples = [(f"e{i}", f"r{k}", f"e{(i + 3 * k + 1) % ENTITIES}") for i in range(ENTITIES) for k in range(RELATIONS)]
    unseen = {f"e{i}" for i in range(ENTITIES - UNSEEN, ENTITIES)}
    training = [t for t in triples if not unseen & {t[0], t[2]}]
    held_out = [t for t in triples if unseen & {t[0], t[2]}]
    for name, rows in (("train", training[4:]), ("valid", training[:2]), ("test", [*training[2:4], *held_out])):
        path.joinpath(f"{name}.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    path.joinpath("entities.tsv").write_text(
        "entity\tlabel\tdescription\n"
        + "".join(
            f"e{i}\t{f'thing {i}' if i >= 2 else ''}\t{f'it is number {i}' if i >= 5 else ''}\n"
            for i in range(ENTITIES)
        )
    )
    path.joinpath("relations.tsv").write_text(
        "relation\tlabel\tdescription\n" + "".join(f"r{k}\tsuccessor {k}\tcomes {k} after\n" for k in range(RELATIONS))
    )
    images = path / "images"
    images.mkdir()
    for i in range(0, ENTITIES, 2):
        for k in range(1 + i % 4):
            Image.new("RGB", (20, 20), (10 * i, 255 - 10 * i, 60 * k)).save(images / f"e{i}_{k}.png")
    return path


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Feature files for the dataset of `folder`: made-up vectors, of different dimensions, for tests of mechanics."""
    path = tmp_path_factory.mktemp("stores")
    generator = torch.Generator().manual_seed(0)
    result = {}
    for name, count, dim, prefix, has in (
        ("visual", ENTITIES, 6, "e", lambda i: i % 2 == 0),
        ("textual", ENTITIES, 10, "e", lambda i: i >= 2),
        ("relation_textual", RELATIONS, 10, "r", lambda i: True),
    ):
        mask = torch.as_tensor([has(i) for i in range(count)])
        vectors = torch.randn(count, dim, generator=generator) * mask.unsqueeze(-1)
        store = FeatureStore.from_tensors([f"{prefix}{i}" for i in range(count)], vectors, mask=mask, modality=name)
        store.save(path / f"{name}.safetensors")
        result[name] = str(path / f"{name}.safetensors")
    return result


#: status, headers, parts of the content: a part may be a number of seconds to wait
Answer = tuple[int, dict[str, str], list[bytes | float]]


class Server:
    """What a web server gives, and what it was asked for."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer | Callable[[int], Answer]] = {}
        self.asked: list[str] = []
        self.url = ""

    def give(self, path: str, content: bytes, status: int = 200, **headers: str) -> str:
        self.answers[path] = (status, {"Content-Length": str(len(content)), **headers}, [content])
        return self.url + path


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A web server on the loopback address."""
    monkeypatch.setenv("no_proxy", "*")
    running = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urllib.parse.unquote(self.path)
            running.asked.append(path)
            answer = running.answers.get(path, (404, {}, [b"gone"]))
            status, headers, parts = answer(running.asked.count(path)) if callable(answer) else answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                for part in parts:
                    if isinstance(part, bytes):
                        self.wfile.write(part)
                    else:
                        time.sleep(part)
            except OSError:
                pass  # the client has enough

        def log_message(self, *_: object) -> None: ...

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    running.url = f"http://127.0.0.1:{listening.server_port}"
    yield running
    listening.shutdown()
    listening.server_close()
    thread.join()
