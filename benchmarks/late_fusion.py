r"""Late fusion on a benchmark: all scorers together, each alone, pairs, and one part removed, from one training.

    python benchmarks/late_fusion.py run examples/results/latefusion_db15k.json --seed 0 --split validation testing \
        --path data/db15k --encoder .text-encoder --out db15k.jsonl
    python benchmarks/late_fusion.py table db15k.jsonl

The configuration is one of ``pykeen experiments run``; its scorers are trained once, and the weights of each row are
fitted for its columns alone, by the same held-out training triples. Each row scores as the model of these columns
would, so an entity is no answer to itself where training has no such triple. The trivial baselines are ranked beside.
Ranks are filtered by all splits, realistic, of both sides, among all entities. Of validation triples, those are ranked
that are not in training. Each split gives a line of JSON lines; several seeds in one file are a table of means and
deviations.
"""

import argparse
import json
import pathlib
import re
import resource
import statistics
import time
from typing import Any

import numpy
import pandas
import torch
from pykeen.datasets import get_dataset
from pykeen.typing import FloatTensor, MappedTriples

from pykeen_mmkg.baselines.rules import BASELINES, Baseline
from pykeen_mmkg.evaluation.breakdown import means_by_stratum
from pykeen_mmkg.evaluation.results import RankTable
from pykeen_mmkg.evaluation.significance import paired_test
from pykeen_mmkg.indexing import TargetIndex, query_columns
from pykeen_mmkg.models.late_fusion import SIDES, LateFusion

#: the rows that are divided into strata, beside the trivial baselines
STRATIFIED = ("all, no prior", "all, with prior", "content", "structure", "evidence")


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
def rank(
    model: LateFusion,
    weights: dict[str, FloatTensor],
    rules: dict[str, Baseline],
    triples: MappedTriples,
    known: MappedTriples,
    batch_size: int,
) -> dict[str, RankTable]:
    """Rank the answers on both sides by each set of weights, of shape ``(2R, K)``, and by each rule."""
    found: dict[str, list[torch.Tensor]] = {name: [] for name in (*weights, *rules)}
    ranked, candidates = [], []
    for side, target in enumerate(SIDES):
        given, predicted = query_columns(target)
        index = TargetIndex.from_triples(known, target)
        for batch in triples[triples[:, 1].argsort(stable=True)].split(batch_size):
            entities, relations, answers = batch[:, given], batch[:, 1], batch[:, predicted]
            scores = torch.cat([scorer.scores(entities, relations, target) for scorer in model._scorers])
            out = torch.zeros(len(batch), model.num_entities, dtype=torch.bool)
            out[index.rows(entities, relations)] = True
            out[torch.arange(len(batch)), answers] = False
            ranked.append(batch)
            candidates.append((~out).sum(dim=-1))
            loopless = model.irreflexive[relations].nonzero()[:, 0]

            def count(name: str, total: FloatTensor, answers=answers, out=out) -> None:
                own = total.gather(1, answers[:, None])
                total.masked_fill_(out, -torch.inf)
                better, equal = (total > own).sum(dim=-1), (total == own).sum(dim=-1)
                found[name].append(torch.stack([better + 1, better + equal], dim=-1))

            for name, table in weights.items():
                weight = table[relations + side * model.num_relations]
                total = torch.zeros_like(scores[0])
                for k in table.any(dim=0).nonzero()[:, 0].tolist():
                    total.addcmul_(scores[k], weight[:, k, None])
                total[loopless, entities[loopless]] = total.amin() - 1  # the model puts it last as well
                count(name, total)
            for name, rule in rules.items():
                pairs = torch.stack([entities, relations] if target == "tail" else [relations, entities], dim=-1)
                count(name, rule.score_t(pairs) if target == "tail" else rule.score_h(pairs))
    order = torch.cat(ranked).numpy()
    side_of = numpy.repeat(SIDES, len(triples))
    number = torch.cat(candidates).numpy()
    return {
        name: RankTable(order, side_of, *torch.cat(parts).numpy().T, number)  # type: ignore[call-arg]
        for name, parts in found.items()
    }


def metrics(table: RankTable) -> dict[str, float]:
    """Return the figures of a row."""
    ranks = table.realistic
    return {"mrr": float((1 / ranks).mean())} | {f"hits@{k}": float((ranks <= k).mean()) for k in (1, 3, 10)}


def run(args: argparse.Namespace) -> None:
    """Train, rank, and print the rows of one seed."""
    torch.set_num_threads(1)
    options = json.loads(args.config.read_text(encoding="utf-8"))["pipeline"]
    if args.path:
        options["dataset_kwargs"]["path"] = args.path
    if args.encoder:
        options["model_kwargs"]["encoder"] = args.encoder
    dataset = get_dataset(dataset=options["dataset"], dataset_kwargs=options.get("dataset_kwargs"))
    splits = {name: factory.mapped_triples for name, factory in dataset.factory_dict.items()}
    known = torch.cat([*splits.values(), *filter(torch.is_tensor, [getattr(dataset, "known_true", None)])])
    start, cpu = time.time(), time.process_time()
    model = LateFusion(triples_factory=dataset.training, random_seed=args.seed, **options.get("model_kwargs", {}))
    model.fit().eval()
    cost: dict[str, float] = {"fit_seconds": time.time() - start, "fit_cpu_seconds": time.process_time() - cpu}
    weights = {}
    for name, columns in rows_of(model.columns).items():
        some = model.subset(*columns)
        weights[name] = some.common + some.deviation
    print(model.weights_.mean().round(2).to_string())
    rules = {name: cls(triples_factory=dataset.training) for name, cls in BASELINES.items()}
    for split in args.split:
        triples = splits[split].unique(dim=0)
        # DB15K's validation triples are in training, most of them
        triples = triples[~contained(triples, splits["training"])]
        if args.limit:
            order = torch.randperm(len(triples), generator=torch.Generator().manual_seed(0))
            triples = triples[order[: args.limit]]
        begun = time.process_time()
        tables = rank(model, weights, rules, triples, known, args.batch_size)
        result = pandas.DataFrame({name: metrics(table) for name, table in tables.items()}).T
        print(split, len(triples))
        print(result.round(4).to_string(), flush=True)
        cost["rank_cpu_seconds"] = time.process_time() - begun
        cost["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        line = {"config": args.config.name, "seed": args.seed, "split": split, "triples": len(triples), **cost}
        line["encoder"] = pathlib.Path(str(options["model_kwargs"].get("encoder"))).name
        line["rows"] = result.to_dict(orient="index")
        main, *others = [1 / tables[name].realistic for name in tables if not name.startswith("without")]
        names = [name for name in tables if not name.startswith("without")][1:]
        tests = [paired_test(main, other) for other in others]
        line["difference"] = {
            name: [round(x, 4) for x in (test.difference, test.low, test.high)]
            for name, test in zip(names, tests, strict=True)
        }
        line["strata"] = {
            name: means_by_stratum(tables[name], dataset.training)
            for name in tables
            if name in STRATIFIED or name in rules
        }
        if args.out:
            with args.out.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")


def summarize(values: list[float]) -> str:
    """Write a mean, with its deviation over seeds if there are several."""
    text = f"{statistics.mean(values):.3f}"
    if len(values) > 1:
        text += f" ± {statistics.stdev(values):.3f}"
    return re.sub(r"\b0(\.\d)", r"\1", text)


def table(args: argparse.Namespace) -> None:
    """Print means and deviations over seeds, as Markdown: rows, then strata."""
    lines = [json.loads(line) for line in args.file.read_text(encoding="utf-8").splitlines()]
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for line in lines:
        groups.setdefault((line["config"], line["encoder"], line["split"]), []).append(line)
    for (config, encoder, split), runs in groups.items():
        seeds = ", ".join(str(line["seed"]) for line in runs)
        print(f"\n{config}, {encoder}, {split}, {runs[0]['triples']} triples, seeds {seeds}\n")
        frame = pandas.DataFrame(
            {
                name: {key: summarize([line["rows"][name][key] for line in runs]) for key in runs[0]["rows"][name]}
                for name in runs[0]["rows"]
            }
        ).T
        print(frame.to_markdown(disable_numparse=True))
        print()
        for kind in next(iter(runs[0]["strata"].values())):
            found = {
                name: {
                    f"{group} ({cell['count']})": summarize([line["strata"][name][kind][group]["mrr"] for line in runs])
                    for group, cell in runs[0]["strata"][name][kind].items()
                }
                for name in runs[0]["strata"]
            }
            print(pandas.DataFrame(found).T.rename_axis(kind).to_markdown(disable_numparse=True), "\n")
        for key in ("fit_cpu_seconds", "rank_cpu_seconds", "peak_mb"):
            print(key, ", ".join(f"{line[key]:.0f}" for line in runs))


def main() -> None:
    """Run one of the two commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run", help="train and rank by one seed")
    running.set_defaults(run=run)
    running.add_argument("config", type=pathlib.Path)
    running.add_argument("--seed", type=int, default=0)
    running.add_argument("--split", choices=["testing", "validation"], nargs="+", default=["validation"])
    running.add_argument("--path", help="the folder of the dataset, in place of the configuration's")
    running.add_argument("--encoder", help="the encoder, in place of the configuration's")
    running.add_argument("--limit", type=int, help="rank so many triples, drawn at random")
    running.add_argument("--batch-size", type=int, default=64)
    running.add_argument("--out", type=pathlib.Path, help="append the result to this file of JSON lines")
    tables = commands.add_parser("table", help="print the means over the seeds of a file of JSON lines")
    tables.set_defaults(run=table)
    tables.add_argument("file", type=pathlib.Path)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
