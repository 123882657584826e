"""Peak memory of an evaluation of VL-KGE on as many entities as NELL-ZS has, above the model and its features.

python benchmarks/bench_memory.py --assert

The vectors are drawn at random, since memory does not depend on them.
"""

import argparse
import pathlib
import sys

import torch
from pykeen.triples import CoreTriplesFactory, TriplesFactory

from pykeen_mmkg.evaluation.protocols import StandardEvaluator
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.models.vlkge import VLKGE

#: the target, in GB above the model with its features
LIMIT = 1.5


def memory(field: str) -> float:
    """Return ``VmRSS``, the resident memory now, or ``VmHWM``, its peak since the last reset, in GB (Linux)."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1e6
    raise OSError(f"no {field} in /proc/self/status")


def build(num_entities: int, dim: int, num_triples: int, interaction: str) -> tuple[VLKGE, CoreTriplesFactory]:
    """Build a model with two modalities of random vectors."""
    generator = torch.Generator().manual_seed(0)
    columns = [torch.randint(high, (num_triples,), generator=generator) for high in (num_entities, 9, num_entities)]
    labels = [f"e{i}" for i in range(num_entities)]
    factory = TriplesFactory(
        torch.stack(columns, dim=-1),
        entity_to_id={label: i for i, label in enumerate(labels)},
        relation_to_id={f"r{i}": i for i in range(9)},
    )
    features = {
        name: FeatureStore.from_tensors(labels, torch.randn(num_entities, dim, generator=generator), modality=name)
        for name in ("visual", "textual")
    }
    return VLKGE(
        triples_factory=factory, embedding_dim=dim, sources={"features": features}, interaction=interaction
    ), factory


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entities", type=int, default=65_567)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--triples", type=int, default=200_000, help="known triples, which filter")
    parser.add_argument("--queries", type=int, default=512, help="triples to rank, both sides")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--interaction", default="vldistmult")
    parser.add_argument("--assert", dest="check", action="store_true", help="exit with 1 if the target is missed")
    arguments = parser.parse_args()
    model, factory = build(arguments.entities, arguments.dim, arguments.triples, arguments.interaction)
    before = memory("VmRSS")
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # reset the peak
    StandardEvaluator().evaluate(
        model,
        factory.mapped_triples[: arguments.queries],
        additional_filter_triples=factory.mapped_triples,
        batch_size=arguments.batch_size,
        use_tqdm=False,
    )
    above = memory("VmHWM") - before
    print(f"before: {before:.2f} GB; peak of the evaluation above it: {above:.2f} GB (target {LIMIT} GB)")
    if arguments.check and above > LIMIT:
        sys.exit(1)


if __name__ == "__main__":
    main()
