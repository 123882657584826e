"""The application under load: cached queries a second, and what it makes of malformed requests.

    python benchmarks/bench_serving.py --assert

A server is started as ``pykeen-mmkg serve`` starts it, in a process of its own, and asked by several clients at a time.
Without ``--run``, a small model of the demo dataset is trained first: what is cached does not depend on the model.
"""

import argparse
import contextlib
import http.client
import json
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from urllib.parse import urlencode

from common import ROOT, prepare
from tabulate import tabulate

#: cached queries a second that are wanted
TARGET = 200.0

#: the seconds that a server may take to start
START = 180

#: what a browser or a program may send by mistake, or with intent: method, path, headers, body
MALFORMED: list[tuple[str, str, dict[str, str], bytes]] = [
    ("GET", "/predict", {}, b""),
    ("GET", "/predict?head=nobody&relation=hypernym", {}, b""),
    ("GET", "/predict?head=dog&relation=hypernym&k=1000000000", {}, b""),
    ("GET", "/predict?head=%00%ff&relation=%ed%a0%80", {}, b""),
    ("GET", "/predict?" + "x" * 20_000, {}, b""),
    ("GET", "/similar?text=a&entity=b", {}, b""),
    ("GET", "/images/0/..%2f..%2f..%2fetc%2fpasswd", {}, b""),
    ("GET", "/../../etc/passwd", {}, b""),
    ("GET", "/images/99999999999999999999999/0", {}, b""),
    ("BREW", "/", {}, b""),
    ("DELETE", "/predict", {}, b""),
    ("POST", "/similar", {"content-type": "multipart/form-data; boundary=x"}, b"--x\r\nnonsense"),
    ("POST", "/similar", {"content-type": "multipart/form-data"}, b"\x00\xff" * 1000),
    ("POST", "/similar", {"content-type": "application/json"}, b'{"text": "\\ud800"}'),
    ("POST", "/similar", {"content-length": "99999999999"}, b""),
    ("POST", "/similar", {}, b"x" * (9 << 20)),
]

#: an upload, as it is sent, to be damaged
UPLOAD = (
    b"POST /similar?k=3 HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=b\r\n"
    b"content-length: 60\r\n\r\n--b\r\ncontent-disposition: form-data; name=imag\r\n\r\nx\r\n--b--"
)


def free_port() -> int:
    """Return a port that nobody uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def train(folder: pathlib.Path) -> pathlib.Path:
    """Train a small model of the demo dataset; return the folder of the run."""
    config = folder / "config.json"
    options = {"training_kwargs": {"use_tqdm": False, "batch_size": 512}, "model_kwargs": {"embedding_dim": 32}}
    config.write_text(json.dumps(options))
    command = ["train", "--dataset", "wordnetemoji", "--model", "vlkge", "--epochs", "1"]
    subprocess.run(
        [sys.executable, "-m", "pykeen_mmkg", *command, "--config", str(config), "--output", str(folder / "run")],
        check=True,
        capture_output=True,
    )
    return folder / "run"


def ask(port: int, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> int:
    """Send a request, on a connection of its own, and return the status of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        headers = {"content-length": str(len(body))} | (headers or {})
        for name, value in headers.items():
            connection.putheader(name, value)
        # what is refused early is not sent to its end
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.endheaders(body)
        return connection.getresponse().status
    finally:
        connection.close()


def raw(port: int, data: bytes) -> int:
    """Send bytes, and return the status of the answer; 400 where the connection is closed without one."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(100)
    return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else 400


def rate(port: int, paths: list[str], clients: int, seconds: float) -> tuple[float, int]:
    """Ask the same questions over and over; return answers a second, and how many were no answers."""
    counts, failures = [0] * clients, [0] * clients
    end = time.perf_counter() + seconds

    def run(client: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while time.perf_counter() < end:
            connection.request("GET", paths[counts[client] % len(paths)])
            response = connection.getresponse()
            response.read()
            counts[client] += 1
            failures[client] += response.status != 200
        connection.close()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - start), sum(failures)


def fuzz(port: int, count: int) -> list[tuple[str, int]]:
    """Send malformed requests; return those that were answered by anything but a status of 4xx."""
    wrong, rng = [], random.Random(0)
    statuses = [(f"{method} {path[:60]}", ask(port, method, path, headers, body))
                for method, path, headers, body in MALFORMED]  # fmt: skip
    for _ in range(count):
        data = bytearray(UPLOAD)
        for _ in range(rng.randint(1, 8)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        statuses.append(
            (repr(bytes(data)), raw(port, bytes(data[: rng.choice([len(data), rng.randrange(len(data))])])))
        )
        names = ["head", "relation", "tail", "k", "known", "explain", "entity", "text", "modality"]
        query = {name: "".join(chr(rng.randrange(1, 0xD800)) for _ in range(rng.randint(1, 9)))
                 for name in rng.sample(names, rng.randint(1, 4))}  # fmt: skip
        path = f"/{rng.choice(['predict', 'similar', 'complete', 'images'])}?{urlencode(query)}"
        statuses.append((path, ask(port, "GET", path)))
    for what, status in statuses:
        if not 400 <= status < 500:
            wrong.append((what, status))
    print(f"{len(statuses)} malformed requests, of which {len(wrong)} were not refused with a status of 4xx")
    return wrong


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=pathlib.Path, help="a saved run of the demo dataset")
    parser.add_argument("--clients", type=int, default=4, help="connections at a time")
    parser.add_argument("--queries", type=int, default=100, help="different queries")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long cached queries are asked")
    parser.add_argument("--malformed", type=int, default=300, help="how many requests are made up")
    parser.add_argument("--assert", dest="check", action="store_true", help="fail if a target is missed")
    args = parser.parse_args()
    prepare()
    with tempfile.TemporaryDirectory() as made:
        run, port = args.run or train(pathlib.Path(made)), free_port()
        options = ["--dataset", "wordnetemoji", "--port", str(port), "--rate", "0"]
        server = subprocess.Popen(
            [sys.executable, "-m", "pykeen_mmkg", "serve", str(run), *options],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            # a line for each request that is none
            stderr=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + START
            while True:
                try:
                    if ask(port, "GET", "/health") == 200:
                        break
                except OSError:
                    if server.poll() is not None or time.monotonic() > deadline:
                        raise SystemExit("the server did not start") from None
                    time.sleep(0.2)
            names = json.loads((run / "labels.json").read_text())
            paths = [f"/predict?{urlencode({'head': head, 'relation': 'hypernym', 'explain': 'true'})}"
                     for head in names["entities"][: args.queries]]  # fmt: skip
            start = time.perf_counter()
            first = [ask(port, "GET", path) for path in paths]
            fresh = len(paths) / (time.perf_counter() - start)
            cached, failures = rate(port, paths, args.clients, args.seconds)
            wrong = fuzz(port, args.malformed)
            alive = ask(port, "GET", "/health") == 200 and server.poll() is None
        finally:
            server.terminate()
            server.wait()
    failures += sum(status != 200 for status in first)
    missed = cached < TARGET
    rows = [
        ("a query for the first time", f"{fresh:,.0f}", "", ""),
        ("a cached query", f"{cached:,.0f}", f"{TARGET:,.0f}", "missed" if missed else "met"),
    ]
    print(f"\nAnswers a second (wall clock, {args.clients} clients on the same machine)\n")
    print(tabulate(rows, headers=["", "per second", "target", ""], tablefmt="github", disable_numparse=True))
    for what, status in wrong:
        print(f"{status}: {what}")
    print(f"\nqueries without an answer: {failures}; the server is {'up' if alive else 'down'}")
    if args.check and (missed or failures or wrong or not alive):
        sys.exit(1)


if __name__ == "__main__":
    main()
