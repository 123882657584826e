"""Scale: what each step of the work costs on graphs of growing size, with a bound beside each figure.

    python benchmarks/bench_scale.py                 # all rows, under 15 minutes on two cores
    python benchmarks/bench_scale.py --only step     # some of them

Each row runs in a process of its own, so that its peak of memory is its own and a crash is a missed row. Times are
processor seconds, which other programs on the machine do not add to; ratios are of two runs in one process. The exit
status is 1 if a bound is missed.

To add a row, write a function that yields :class:`Figure` and register it::

    @row("loading", minutes=2)
    def loading() -> Iterator[Figure]:
        yield Figure("ours to pandas, 1 M triples", seconds(ours) / seconds(pandas), "x", at_most=1.5)

The name is what ``--only`` takes, ``minutes`` is about what it needs. What a row measures is imported in its function.
A figure without a bound is printed for information.
"""

import argparse
import gc
import importlib.util
import json
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Figure:
    """A measured figure and its bound."""

    name: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def bound(self) -> str:
        """The bound as a text, empty if there is none."""
        if self.at_most is not None:
            return f"<= {self.at_most:,g}"
        return "" if self.at_least is None else f">= {self.at_least:,g}"

    @property
    def missed(self) -> bool:
        """Whether there is a bound that does not hold."""
        above = self.at_most is not None and not self.value <= self.at_most
        return above or (self.at_least is not None and not self.value >= self.at_least)


@dataclass(frozen=True)
class Row:
    """A registered measurement."""

    run: Callable[[], Iterator[Figure]]
    minutes: float


ROWS: dict[str, Row] = {}


def row(name: str, minutes: float) -> Callable[[Callable[[], Iterator[Figure]]], Callable[[], Iterator[Figure]]]:
    """Register a function that yields figures under a name, with about the minutes that it takes."""

    def register(function: Callable[[], Iterator[Figure]]) -> Callable[[], Iterator[Figure]]:
        ROWS[name] = Row(function, minutes)
        return function

    return register


def seconds(function: Callable[[], object], repeats: int = 3) -> float:
    """Return the median processor time of some runs; what the first one sets up is left out by calling it before."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return statistics.median(times)


def memory(field: str) -> float:
    """Return a field of ``/proc/self/status`` in GB: VmHWM, the peak; RssAnon, what cannot be dropped (Linux)."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1e6
    raise OSError(f"no {field} in /proc/self/status")


def reset_peak() -> float:
    """Set VmHWM to the memory in use, and return that, in GB."""
    gc.collect()
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def random_graph(num_entities: int, num_triples: int) -> Any:
    """Return a factory of random triples of 20 relations."""
    import torch
    from pykeen.triples import TriplesFactory

    generator = torch.Generator().manual_seed(0)
    columns = [torch.randint(high, (num_triples,), generator=generator) for high in (num_entities, 20, num_entities)]
    return TriplesFactory(
        torch.stack(columns, dim=-1),
        entity_to_id={f"e{i}": i for i in range(num_entities)},
        relation_to_id={f"r{i}": i for i in range(20)},
    )


def trained(model: Any, factory: Any, epochs: int, optimizer: str = "Adagrad") -> Callable[[], None]:
    """Return a function that trains one epoch more; the first epochs, which set things up, are done here."""
    import torch
    from pykeen.training import SLCWATrainingLoop

    loop = SLCWATrainingLoop(
        model=model,
        triples_factory=factory,
        optimizer=getattr(torch.optim, optimizer)(model.get_grad_params(), lr=0.1),
        negative_sampler_kwargs={"num_negs_per_pos": 100},
    )
    return epochs_of(loop, factory, 512, epochs)


def epochs_of(loop: Any, factory: Any, batch_size: int, epochs: int) -> Callable[[], None]:
    """Return a function that trains one epoch more by a loop; the first ones are done here."""
    done = 0
    # what each epoch of PyKEEN's spends on looking for garbage has a row of its own
    gc.collect()
    gc.freeze()

    def epoch() -> None:
        nonlocal done
        done += 1
        loop.train(factory, num_epochs=done, batch_size=batch_size, use_tqdm=False, continue_training=done > 1)

    for _ in range(epochs):
        epoch()
    return epoch


@row("step", minutes=4)
def step() -> Iterator[Figure]:
    """Time a training step: 512 positives, 100 negatives each, Adagrad, d = 128."""
    import torch
    from pykeen.models import ERModel

    from pykeen_mmkg.features import FeatureStore
    from pykeen_mmkg.models.vlkge import VLKGE

    ours: dict[int, float] = {}
    for size, steps in ((10_000, 16), (100_000, 8), (1_000_000, 4)):
        factory = random_graph(size, 512 * steps)
        stock = ERModel(
            triples_factory=factory,
            interaction="distmult",
            entity_representations_kwargs={"shape": 128},
            relation_representations_kwargs={"shape": 128},
            loss="softplus",
            random_seed=0,
        )
        store = FeatureStore.from_tensors(factory.entity_id_to_label.values(), torch.randn(size, 128))
        model = VLKGE(triples_factory=factory, embedding_dim=128, sources={"features": {"textual": store}})
        theirs = seconds(trained(stock, factory, 1)) / steps
        ours[size] = seconds(trained(model, factory, 1)) / steps
        yield Figure(f"step, {size:,} entities: PyKEEN's DistMult", theirs * 1e3, "ms")
        yield Figure(f"step, {size:,} entities: VL-KGE with features", ours[size] * 1e3, "ms")
        yield Figure(
            f"step, {size:,} entities: PyKEEN to VL-KGE",
            theirs / ours[size],
            "x",
            at_least=6.0 if size == 1_000_000 else 1.0,
        )
        del stock, model, store, factory
    slope = math.log(ours[1_000_000] / ours[10_000]) / math.log(100)
    yield Figure("step: exponent from 10 k to 1 M entities", slope, "", at_most=0.5)


@row("epoch-memory", minutes=2)
def epoch_memory() -> Iterator[Figure]:
    """Train on 5 M entities with features in a file of float16: what the features cost beside their file."""
    import torch

    from pykeen_mmkg.features import FeatureStore
    from pykeen_mmkg.models.vlkge import VLKGE

    size, dim = 5_000_000, 128
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "textual.safetensors")
        labels = [f"e{i}" for i in range(size)]
        vectors = torch.randn(1000, dim).half().repeat(size // 1000, 1)
        present = torch.ones(size, dtype=torch.bool)
        FeatureStore(tuple(labels), vectors, present, present.long(), "textual").save(path)
        del vectors
        factory = random_graph(size, 512 * 8)
        before = reset_peak()
        model = VLKGE(
            triples_factory=factory,
            embedding_dim=dim,
            modalities=["textual"],
            sources={"features": {"textual": str(path)}},
            representation_kwargs={"feature_kwargs": {"projection": True}},
        )
        yield Figure("memory of the model: 5 M x 128 features of float16 (1.28 GB)", memory("VmHWM") - before, "GB")
        start, own = reset_peak(), memory("RssAnon")
        trained(model, factory, 2)
        yield Figure("memory of an epoch over them, above the model", memory("VmHWM") - start, "GB", at_most=2.0)
        yield Figure("... of it without the mapped file", memory("RssAnon") - own, "GB", at_most=0.5)


@row("store", minutes=1)
def store() -> Iterator[Figure]:
    """Write and read a store of 3 M labels, and take its digest."""
    import torch

    from pykeen_mmkg.features import FeatureStore

    size, dim = 3_000_000, 64
    labels = tuple(f"http://www.wikidata.org/Q{i:09d}" for i in range(size))
    present = torch.ones(size, dtype=torch.bool)
    made = FeatureStore(labels, torch.ones(size, dim).half(), present, present.long(), "textual")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "textual.safetensors")
        before = reset_peak()
        yield Figure("store, 3 M labels of 34 characters: writing", seconds(lambda: made.save(path), 1), "s")
        content = size * (dim * 2 + len(labels[0]) + 8 + 1 + 8)
        yield Figure("store: size to its content", path.stat().st_size / content, "x", at_most=1.01)
        yield Figure("store: memory for writing", memory("VmHWM") - before, "GB", at_most=1.0)
        start = time.process_time()
        loaded = FeatureStore.load(path)
        yield Figure("store: reading", time.process_time() - start, "s", at_most=10.0)
        before = reset_peak()
        start = time.process_time()
        digest = loaded.digest
        yield Figure("store: digest", time.process_time() - start, "s")
        # the file is mapped, and counts once it has been read
        growth = memory("VmHWM") - before - path.stat().st_size / 1e9
        yield Figure("store: memory for the digest, beside the mapped file", growth, "GB", at_most=0.2)
        assert digest == made.digest and loaded.labels == labels


@row("late-fusion", minutes=1)
def late_fusion() -> Iterator[Figure]:
    """Time scoring all tails by late fusion against its scorers alone, 20 k entities with texts."""
    import torch

    from pykeen_mmkg.features import FeatureStore
    from pykeen_mmkg.models.late_fusion import LateFusion

    size = 20_000
    factory = random_graph(size, 100_000)
    store = FeatureStore.from_tensors([f"e{i}" for i in range(size)], torch.randn(size, 256), modality="textual")
    few = {"training_kwargs": {"num_epochs": 1, "batch_size": 1024, "use_tqdm": False}}
    model = LateFusion(
        triples_factory=factory,
        scorers={"content": few, "structure": few, "evidence": {}},
        sources={"features": {"textual": store}},
        random_seed=0,
    )
    model.fit().eval()
    queries = factory.mapped_triples[:256, :2]

    def together() -> None:
        model.predict_t(queries)

    def apart() -> None:
        for scorer in model.scorers.values():
            scorer.predict_t(queries)

    together(), apart()
    ratio = seconds(together) / seconds(apart)
    yield Figure("late fusion: all tails of 256 queries to the sum of its scorers", ratio, "x", at_most=3.0)


@row("evidence", minutes=2)
def evidence() -> Iterator[Figure]:
    """Time evidence of links and paths on a million triples."""
    from pykeen_mmkg.models.evidence import Evidence

    factory = random_graph(50_000, 1_000_000)
    start = time.process_time()
    model = Evidence(triples_factory=factory, parts=["link", "path", "loop", "prior"]).eval()
    yield Figure("evidence: made of 1 M triples", time.process_time() - start, "s", at_most=120.0)
    queries = factory.mapped_triples[:256, :2]
    model.predict_t(queries)
    yield Figure(
        "evidence: a query on them", seconds(lambda: model.predict_t(queries)) / 256 * 1000, "ms", at_most=20.0
    )
    yield Figure("evidence: peak of memory", memory("VmHWM"), "GB", at_most=4.0)


@row("heads", minutes=0.5)
def heads() -> Iterator[Figure]:
    """Score all heads of queries by `relevidence`, beside all tails: the weights of relations depend on the head."""
    import torch

    from pykeen_mmkg.features import FeatureStore
    from pykeen_mmkg.models.zero_shot.relevidence import RelEvidence

    size, dim = 4_000, 128
    factory = random_graph(size, 40_000)
    features = {
        "textual": FeatureStore.from_tensors(list(factory.entity_to_id), torch.randn(size, dim), modality="textual"),
        "relation_textual": FeatureStore.from_tensors(list(factory.relation_to_id), torch.randn(20, dim)),
    }
    model = RelEvidence(triples_factory=factory, sources={"features": features}, random_seed=0).eval()
    batch = torch.tensor([[i, 3] for i in range(32)])
    with torch.inference_mode():
        for count in (1, 32):
            tails = seconds(lambda count=count: model.score_t(batch[:count]))
            ours = seconds(lambda count=count: model.score_h(batch[:count].flip(-1)))
            name = f"relevidence, all heads to all tails: {count} queries of a relation"
            yield Figure(name, ours / tails, "x", at_most=10.0)


@row("neighbours", minutes=1)
def neighbours() -> Iterator[Figure]:
    """Find the nearest texts of 50 k entities by an index, beside comparing all with all."""
    import torch
    from torch.nn import functional

    from pykeen_mmkg.vector_index import has_index, neighbours_by_index

    if not has_index():
        return
    size, dim, k, sample = 50_000, 128, 20, 500
    generator = torch.Generator().manual_seed(0)
    # texts come in groups, and the groups alike
    groups = torch.randn(200, dim, generator=generator)
    x = groups[torch.randint(200, (size,), generator=generator)] + torch.randn(size, dim, generator=generator)
    x = functional.normalize(x, dim=-1)
    start = time.process_time()
    found = torch.from_numpy(neighbours_by_index(x.numpy(), k)[0])
    yield Figure("nearest 20 of 50 k texts: by an index", time.process_time() - start, "s")
    start = time.process_time()
    cosines = x[:sample] @ x.T
    cosines[torch.arange(sample), torch.arange(sample)] = -1
    best = cosines.topk(k).indices
    exact = (time.process_time() - start) * size / sample
    yield Figure("... all with all, from a part of them", exact, "s")
    recall = (found[:sample, :, None] == best[:, None]).any(dim=1).float().mean()
    yield Figure("... share of the true neighbours found", float(recall), "", at_least=0.9)


@row("lcwa", minutes=1)
def lcwa() -> Iterator[Figure]:
    """Train against all of 100 k entities, as a multiple of the three matrix products that this takes."""
    import torch
    from pykeen.training import LCWATrainingLoop

    from pykeen_mmkg.models.vlkge import VLKGE

    size, batch, steps, dim = 100_000, 256, 6, 128
    factory = random_graph(size, batch * steps)
    model = VLKGE(
        triples_factory=factory,
        embedding_dim=dim,
        modalities=["structural"],
        # the random triples leave entities out, which a graph does not
        representation_kwargs={"seen": None},
        random_seed=0,
    )
    loop = LCWATrainingLoop(
        model=model, triples_factory=factory, optimizer=torch.optim.Adagrad(model.get_grad_params(), lr=0.1, fused=True)
    )
    x, table, gradient = torch.randn(batch, dim), torch.randn(size, dim), torch.randn(batch, size)
    epoch = epochs_of(loop, factory, batch, 1)
    # both by turns, since the machine's speed changes while they run: the median of their ratios
    ratios = []
    for _ in range(5):
        products = seconds(lambda: (x @ table.T, gradient @ table, gradient.T @ x))
        ratios.append(seconds(epoch, 1) / steps / products)
    ratio = statistics.median(ratios)
    # beside the products: the loss of each score and its gradient, and PyKEEN's dense labels, a pass of memory each
    yield Figure("LCWA, 100 k entities: step to its matrix products, median of 5", ratio, "x", at_most=2.0)


@row("encoding", minutes=1)
def encoding() -> Iterator[Figure]:
    """Encode 300 k texts: the memory beside the table that comes out."""
    from collections.abc import Mapping, Sequence

    import torch

    from pykeen_mmkg.encoders import VisionLanguageEncoder, encode_texts

    class Instant(VisionLanguageEncoder):
        """Gives vectors that cost nothing."""

        name, fingerprint = "instant", "instant"

        def dim(self, modality: str) -> int:
            return 384

        def prepare_texts(self, texts: Sequence[str]) -> Mapping[str, Any]:
            return {"n": len(texts)}

        def embed_texts(self, inputs: Mapping[str, Any]) -> torch.Tensor:
            return torch.ones(inputs["n"], 384)

    texts = {f"e{i}": f"text {i}" for i in range(300_000)}
    with tempfile.TemporaryDirectory() as folder:
        before = reset_peak()
        anonymous = memory("RssAnon")
        made = encode_texts(texts, Instant(), directory=folder, batch_size=1024, progress=False)
        table = made.vectors.numel() * 4 / 1e9
        yield Figure(
            "encoding 300 k texts: memory kept to the table", (memory("RssAnon") - anonymous) / table, "x", 1.5
        )
        # the shards are mapped, and count as far as they have been read
        yield Figure("encoding 300 k texts: peak with the mapped shards", (memory("VmHWM") - before) / table, "x", 3.0)


@row("images", minutes=0.3)
def images() -> Iterator[Figure]:
    """Decode a photograph of 12 megapixels and scale it for an encoder, whole and reduced while it is decoded."""
    import io

    import numpy
    from PIL import Image

    from pykeen_mmkg.encoders.images import decode_image

    random = numpy.random.default_rng(0)
    smooth = Image.fromarray(random.integers(0, 255, (60, 80, 3), dtype=numpy.uint8)).resize((4000, 3000))
    grain = random.integers(-12, 12, (3000, 4000, 3))
    photograph = Image.fromarray((numpy.asarray(smooth) + grain).clip(0, 255).astype(numpy.uint8))
    file = io.BytesIO()
    photograph.save(file, "JPEG", quality=90)

    def prepared(reduce_to: int | None) -> object:
        return decode_image(file.getvalue(), reduce_to=reduce_to).resize((224, 224), Image.Resampling.BICUBIC)

    whole, reduced = seconds(lambda: prepared(None)), seconds(lambda: prepared(512))
    yield Figure("a photograph of 12 megapixels: decoded and scaled", whole * 1e3, "ms")
    yield Figure("... reduced while it is decoded: times as fast", whole / reduced, "x", at_least=3.0)


def written_graph(folder: pathlib.Path, num_triples: int) -> None:
    """Write a graph as files: triples with inverses and mirror images among them, and a text for each entity."""
    import numpy

    generator = numpy.random.default_rng(0)
    num_entities, part = num_triples // 5, num_triples // 20
    columns = [(high * generator.random(num_triples) ** 2).astype(int) for high in (num_entities, 50, num_entities)]
    heads, relations, tails = columns
    heads[:part], tails[:part], relations[:part] = tails[-part:], heads[-part:], (relations[-part:] + 1) % 50
    triples = numpy.unique(numpy.stack(columns, axis=1), axis=0)
    lot = generator.random(len(triples))
    for name, low, high in (("train", 0, 0.96), ("valid", 0.96, 0.98), ("test", 0.98, 1)):
        rows = triples[(lot >= low) & (lot < high)].tolist()
        (folder / f"{name}.tsv").write_text("".join(f"Q{h}\tP{r}\tQ{t}\n" for h, r, t in rows))
    texts = generator.integers(0, 500, (num_entities, 12)).tolist()
    lines = (f"Q{i}\tthing {i}\t{' '.join(f'word{word}' for word in text)}\n" for i, text in enumerate(texts))
    (folder / "entities.tsv").write_text("entity\tname\tdescription\n" + "".join(lines))


@row("files", minutes=1.5)
def files() -> Iterator[Figure]:
    """Load a graph from files, and audit it.

    Beside it, pandas reads the same files and does nothing with them, and PyKEEN reads the training triples alone. The
    goal is 1.5 times the fastest of pandas, polars and Arrow, which is out of reach: PyKEEN's factories have a Python
    string and two dictionary entries for each entity, our tables have a string for each text, ids follow the order of
    the labels, and Arrow makes none of them. The time is spread over these steps, none of which has a sixth of it.
    """
    import pandas
    from pykeen.triples import TriplesFactory

    from pykeen_mmkg.audit import audit
    from pykeen_mmkg.datasets import MultimodalDataset

    def load(folder: pathlib.Path) -> MultimodalDataset:
        dataset = MultimodalDataset(folder)
        dataset.training  # noqa: B018
        return dataset

    def read(folder: pathlib.Path, **kwargs: Any) -> None:
        for path in folder.glob("*.tsv"):
            pandas.read_csv(path, sep="\t", header=0 if path.stem == "entities" else None, **kwargs)

    def objects(dataset: MultimodalDataset, columns: list[str]) -> None:
        """Make what a loaded dataset consists of, out of what is read and mapped already."""
        labels, *_ = [column.split("\t") for column in columns]
        entity_to_id = {label: number for number, label in enumerate(labels)}
        for factory in dataset.factories.values():
            TriplesFactory(factory.mapped_triples, entity_to_id, factory.relation_to_id)

    sizes, times = (250_000, 1_000_000), []
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            written_graph(folder, size)
            load(folder)
            times.append(seconds(lambda folder=folder: load(folder)))
            if size == sizes[0]:
                alone = seconds(lambda folder=folder: TriplesFactory.from_path(folder / "train.tsv"), 1)
                yield Figure("loading 250 k triples and 50 k texts, to PyKEEN: the triples", times[0] / alone, "x", 0.6)
            if size == sizes[-1]:
                yield Figure("1 M triples, 200 k texts: loading", times[-1], "s", at_most=4.0)
                reading = seconds(lambda folder=folder: read(folder, dtype=object))
                yield Figure("... to reading as objects of Python by pandas", times[-1] / reading, "x", at_most=3.0)
                if importlib.util.find_spec("pyarrow"):
                    reading = seconds(lambda folder=folder: read(folder, engine="pyarrow", dtype_backend="pyarrow"))
                    yield Figure("... to reading by Arrow, which makes no objects of Python", times[-1] / reading, "x")
                    dataset = load(folder)
                    table = dataset.entity_table
                    columns = ["\t".join(own) for own in (table.labels, table.names, table.descriptions)]
                    made = seconds(lambda dataset=dataset, columns=columns: objects(dataset, columns))
                    yield Figure(
                        "... of it what no reader can save: strings, a dictionary, factories", made / reading, "x"
                    )
                start = time.process_time()
                audit(load(folder), progress=False)
                yield Figure("... audit", time.process_time() - start - times[-1], "s", at_most=5.0)
    exponent = math.log(times[1] / times[0]) / math.log(sizes[1] / sizes[0])
    # the steps are linear; dictionaries of labels outgrow the processor's cache
    yield Figure("exponent of loading, 250 k to 1 M triples", exponent, "", at_most=1.35)


@row("predict", minutes=0.5)
def predictions() -> Iterator[Figure]:
    """Answer queries about 40 k entities, beside the bare scores."""
    import torch
    from pykeen.models import DistMult

    from pykeen_mmkg.predict import Predictor, predict

    factory = random_graph(40_000, 100_000)
    model = DistMult(triples_factory=factory, embedding_dim=128, random_seed=0).eval()
    batch = factory.mapped_triples[:256, :2]
    asked = [{"head": f"e{head}", "relation": f"r{relation}"} for head, relation in batch.tolist()]

    def bare(size: int) -> None:
        with torch.inference_mode():
            model.score_t(batch[:size])

    def one() -> None:
        predict(model, factory, **asked[0])

    bare(1), one()
    ratio = seconds(one, 20) / seconds(lambda: bare(1), 20)
    yield Figure("predict(), one query: to bare scores", ratio, "x", at_most=3.0)
    predictor = Predictor(model, factory)
    ratio = seconds(lambda: list(predictor.predict(asked))) / seconds(lambda: bare(256))
    yield Figure("256 queries: to bare scores", ratio, "x", at_most=1.5)


@row("start-up", minutes=0.5)
def start_up() -> Iterator[Figure]:
    """Answer one query by the command line, and print its help: processor seconds of the whole process."""
    import resource

    from pykeen_mmkg.cli import main

    def spent(*arguments: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    with tempfile.TemporaryDirectory() as name:
        graph, config, trained = (pathlib.Path(name) / part for part in ("graph", "config.json", "run"))
        training = {"num_epochs": 1, "use_tqdm": False}
        config.write_text(
            json.dumps({"model_kwargs": {"modalities": ["structural"]}, "training_kwargs": training}), encoding="utf-8"
        )
        main.main(["new", str(graph)], standalone_mode=False)
        command = ("-m", "pykeen_mmkg")
        given = ("--dataset", str(graph), "--model", "vlkge", "--config", str(config), "--output", str(trained))
        spent(*command, "train", *given)
        head, relation, _ = (graph / "train.tsv").read_text(encoding="utf-8").split("\n")[0].split("\t")
        query = ("predict", str(trained), "--head", head, "--relation", relation)
        answered, imported, helped = (
            statistics.median(spent(*arguments) for _ in range(3))
            for arguments in ((*command, *query), ("-c", "import pykeen.models"), (*command, "--help"))
        )
        yield Figure("pykeen-mmkg predict, one query", answered, "s", at_most=4.0)
        yield Figure("... to importing PyKEEN's models, without which nothing is answered", answered / imported, "x")
        yield Figure("pykeen-mmkg --help", helped, "s", at_most=0.3)


def measured(name: str) -> list[Figure]:
    """Run a row in a process of its own."""
    with tempfile.NamedTemporaryFile(mode="r", suffix=".json") as file:
        call = [sys.executable, __file__, "--row", name, "--into", file.name]
        process = subprocess.run(call, cwd=ROOT)
        figures = [Figure(**json.loads(line)) for line in file.read().splitlines()]
    if process.returncode:
        figures.append(Figure(f"{name}: ended with status {process.returncode}", process.returncode, "", at_most=0))
    return figures


def run_row(name: str, into: pathlib.Path) -> None:
    """Run a row here, on one thread, and write each figure when it is known."""
    import logging
    import warnings

    import torch

    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    with into.open("a") as file:
        for figure in ROWS[name].run():
            file.write(json.dumps(asdict(figure)) + "\n")
            file.flush()


def main() -> None:
    """Measure, print a table, and exit with 1 if a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    about = ", ".join(f"{name} ({entry.minutes:g} min)" for name, entry in ROWS.items())
    parser.add_argument("--only", nargs="*", choices=ROWS, metavar="ROW", help=f"rows to measure, of {about}")
    parser.add_argument(
        "--markdown", type=pathlib.Path, metavar="FILE", help="write the table here, too, as in the docs"
    )
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    parser.add_argument("--into", type=pathlib.Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row:
        run_row(arguments.row, arguments.into)
        return
    start, missed = time.monotonic(), 0
    lines = ["| | figure | bound | |", "|:--|--:|--:|:--|"]
    print("\n".join(lines), flush=True)
    for name in arguments.only or ROWS:
        begin = time.monotonic()
        for figure in measured(name):
            verdict = "missed" if figure.missed else "met" if figure.bound else ""
            lines.append(f"| {figure.name} | {figure.value:,.3g} {figure.unit} | {figure.bound} | {verdict} |")
            print(lines[-1], flush=True)
            missed += figure.missed
        print(f"{name}: {(time.monotonic() - begin) / 60:.1f} minutes", file=sys.stderr)
    if arguments.markdown:
        arguments.markdown.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    print(f"\n{missed} missed; {(time.monotonic() - start) / 60:.1f} minutes")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
