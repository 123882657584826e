"""Late fusion on a benchmark: all scorers together, each alone, pairs, and one part removed, from one training.

    python benchmarks/late_fusion.py examples/results/latefusion_db15k.json --seed 0 --split validation test

The configuration is one of ``pykeen experiments run``; its scorers are trained once, and the weights of each row are
fitted for its columns alone, by the same held-out training triples. Ranks are filtered by all splits, realistic, of
both sides, among all entities. Of validation triples, those are ranked that are not in training. Each split gives a
line of JSON lines.
"""

import argparse
import json
import pathlib
import resource
import time

import pandas
import torch
from pykeen.datasets import get_dataset
from pykeen.typing import MappedTriples

from pykeen_mmkg.indexing import TargetIndex, query_columns
from pykeen_mmkg.models.late_fusion import SIDES, LateFusion


def rows_of(columns: list[str]) -> dict[str, list[str]]:
    """Return the columns of each row of the table."""
    prior = [column for column in columns if column.endswith(".prior")]
    rest = [column for column in columns if column not in prior]
    groups: dict[str, list[str]] = {}
    for column in rest:
        groups.setdefault(column.partition(".")[0], []).append(column)
    rows = {"all, no prior": rest}
    if prior:
        rows["all, with prior"] = rest + prior
    names = list(groups)
    if len(names) > 1:
        rows |= {name: groups[name] for name in names}
        rows |= {f"without {name}": [c for c in rest if c not in groups[name]] for name in names if len(names) > 2}
    for part in groups.get("evidence", []):
        if ":" not in part:
            rows[f"without {part}"] = [column for column in rest if column != part]
    rows["without words"] = [column for column in rest if ":" not in column]
    return rows


def contained(triples: MappedTriples, others: MappedTriples) -> torch.Tensor:
    """Return which triples are among others, shape: ``(n,)``."""
    both, inverse = torch.cat([triples, others]).unique(dim=0, return_inverse=True)
    present = torch.zeros(len(both), dtype=torch.bool)
    present[inverse[len(triples) :]] = True
    return present[inverse[: len(triples)]]


@torch.inference_mode()
def ranks(
    model: LateFusion, weights: dict[str, torch.Tensor], triples: MappedTriples, known: MappedTriples, batch_size: int
) -> dict[str, torch.Tensor]:
    """Rank the answers on both sides by each set of weights, of shape ``(2R, K)``."""
    found: dict[str, list[torch.Tensor]] = {name: [] for name in weights}
    for side, target in enumerate(SIDES):
        given, predicted = query_columns(target)
        index = TargetIndex.from_triples(known, target)
        for batch in triples[triples[:, 1].argsort(stable=True)].split(batch_size):
            entities, relations, answers = batch[:, given], batch[:, 1], batch[:, predicted]
            scores = torch.cat([scorer.scores(entities, relations, target) for scorer in model._scorers])
            out = torch.zeros(len(batch), model.num_entities, dtype=torch.bool)
            out[index.rows(entities, relations)] = True
            out[torch.arange(len(batch)), answers] = False
            for name, table in weights.items():
                weight = table[relations + side * model.num_relations]
                total = torch.zeros_like(scores[0])
                for k in table.any(dim=0).nonzero()[:, 0].tolist():
                    total.addcmul_(scores[k], weight[:, k, None])
                own = total.gather(1, answers[:, None])
                total.masked_fill_(out, -torch.inf)
                better, equal = (total > own).sum(dim=-1), (total == own).sum(dim=-1)
                found[name].append(better + (equal + 1) / 2)
    return {name: torch.cat(parts) for name, parts in found.items()}


def main() -> None:
    """Train, rank, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=["testing", "validation"], nargs="+", default=["validation"])
    parser.add_argument("--limit", type=int, help="rank so many triples, drawn at random")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--out", type=pathlib.Path, help="append the result to this file of JSON lines")
    args = parser.parse_args()
    torch.set_num_threads(1)
    options = json.loads(args.config.read_text(encoding="utf-8"))["pipeline"]
    dataset = get_dataset(dataset=options["dataset"], dataset_kwargs=options.get("dataset_kwargs"))
    splits = {name: factory.mapped_triples for name, factory in dataset.factory_dict.items()}
    known = torch.cat(list(splits.values()))
    start, cpu = time.time(), time.process_time()
    model = LateFusion(triples_factory=dataset.training, random_seed=args.seed, **options.get("model_kwargs", {}))
    model.fit().eval()
    cost: dict[str, float] = {"fit_seconds": time.time() - start, "fit_cpu_seconds": time.process_time() - cpu}
    weights = {}
    for name, columns in rows_of(model.columns).items():
        some = model.subset(*columns)
        weights[name] = some.common + some.deviation
    print(model.weights_.mean().round(2).to_string())
    for split in args.split:
        triples = splits[split].unique(dim=0)
        # DB15K's validation triples are in training, most of them
        triples = triples[~contained(triples, splits["training"])]
        if args.limit:
            order = torch.randperm(len(triples), generator=torch.Generator().manual_seed(0))
            triples = triples[order[: args.limit]]
        begun = time.process_time()
        result = ranks(model, weights, triples, known, args.batch_size)
        table = pandas.DataFrame(
            {
                name: {"mrr": (1 / rank).mean().item()}
                | {f"hits@{k}": (rank <= k).float().mean().item() for k in (1, 10)}
                for name, rank in result.items()
            }
        ).T
        print(split, len(triples))
        print(table.round(4).to_string(), flush=True)
        cost["rank_cpu_seconds"] = time.process_time() - begun
        cost["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        line = {"config": args.config.name, "seed": args.seed, "split": split, "triples": len(triples), **cost}
        line["rows"] = table.to_dict(orient="index")
        if args.out:
            with args.out.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
