"""Training with sampled negatives: PyKEEN's model beside the same one with indexed scores, in one run on one thread.

    python benchmarks/bench_training.py --assert

PyKEEN's own training loop, sampler, loss and optimizer throughout; the setting is that of VL-KGE (batches of 512, 100
negatives, Adagrad). The features of the multimodal model are random: they are there for their size only.
"""

import time
from collections.abc import Sequence
from typing import Any

import torch
from common import Row, finish, load, parser, prepare, report
from pykeen.models import ERModel
from pykeen.training import SLCWATrainingLoop
from pykeen.triples import TriplesFactory

from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.models.scoring import IndexedScoringMixin
from pykeen_mmkg.models.vlkge import VLKGE

COMPLEX = {"dtype": torch.cfloat}
#: name, interaction, its parameters, options of entities and of relations, the target
MODELS: list[tuple[str, str, dict[str, Any], dict[str, Any], dict[str, Any], float | None]] = [
    ("DistMult", "distmult", {}, {}, {}, 3.0),
    ("ComplEx", "complex", {}, COMPLEX, COMPLEX, None),
    ("TransE, L2", "transe", {"p": 2}, {}, {}, None),
    ("TransE, L1", "transe", {"p": 1}, {}, {}, None),
    ("VL-TransE", "vltranse", {}, {}, {}, None),
    ("RotatE", "rotate", {}, COMPLEX, {**COMPLEX, "constrainer": "complex_normalize"}, None),
    ("VL-RotatE", "vlrotate", {}, COMPLEX, {}, None),
]


class IndexedModel(IndexedScoringMixin, ERModel):
    """PyKEEN's model with scores from the unique rows of a batch."""


def positives_per_second(
    models: Sequence[ERModel], training: TriplesFactory, positives: int, negatives: int, repeats: int, **optimizer: Any
) -> list[float]:
    """Train models in turns, an epoch each, so that other work on the machine slows all of them.

    :param models: the models
    :param training: the training triples
    :param positives: how many of them to train on
    :param negatives: how many negatives for each
    :param repeats: the number of epochs; the fastest one counts
    :param optimizer: options of Adagrad
    :returns: positives per processor second, for each model
    """
    part = training.clone_and_exchange_triples(training.mapped_triples[:positives])
    loops = [
        SLCWATrainingLoop(
            model=model,
            triples_factory=part,
            optimizer=torch.optim.Adagrad(model.get_grad_params(), lr=0.1, **optimizer),
            negative_sampler_kwargs={"num_negs_per_pos": negatives},
        )
        for model in models
    ]
    times: list[list[float]] = [[] for _ in loops]
    for epoch in range(1, repeats + 1):
        for loop, seconds in zip(loops, times, strict=True):
            start = time.process_time()
            loop.train(part, num_epochs=epoch, batch_size=512, use_tqdm=False, continue_training=epoch > 1)
            seconds.append(time.process_time() - start)
    return [part.num_triples / min(seconds) for seconds in times]


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--negatives", type=int, default=100, help="negatives for each positive")
    options.add_argument("--positives", type=int, default=5120, help="positives in an epoch of the fast models")
    options.add_argument("--stock-positives", type=int, default=1024, help="positives in an epoch of PyKEEN's models")
    options.add_argument("--only", nargs="*", help="names of interactions, e.g. DistMult")
    args = options.parse_args()
    prepare()
    training, _, _ = load(args.data)
    rows = []
    structural, structural_speed = None, 0.0
    for name, interaction, kwargs, entity, relation, target in MODELS:
        if args.only and name not in args.only:
            continue
        models = [
            cls(
                triples_factory=training,
                interaction=interaction,
                interaction_kwargs=kwargs,
                entity_representations_kwargs={"shape": args.dim, **entity},
                relation_representations_kwargs={"shape": args.dim, **relation},
                loss="softplus",
                random_seed=0,
            )
            for cls in (ERModel, IndexedModel)
        ]
        (slow,) = positives_per_second(models[:1], training, args.stock_positives, args.negatives, 2)
        (fast,) = positives_per_second(models[1:], training, args.positives, args.negatives, args.repeats)
        rows.append(Row(name, "positives", slow, fast, target))
        if name == "DistMult":
            structural, structural_speed = models[1], slow
            # the step of the optimizer is a good part of what is left
            (fused,) = positives_per_second(
                models[1:], training, args.positives, args.negatives, args.repeats, fused=True
            )
            rows.append(Row("DistMult, fused Adagrad", "positives", slow, fused))
    title = f"PyKEEN's sLCWA loop, {args.negatives} negatives, d = {args.dim}, one thread"
    report(title, "PyKEEN", "indexed", rows)
    if structural is not None:
        torch.manual_seed(0)
        labels = sorted(training.entity_to_id, key=training.entity_to_id.__getitem__)
        features = {
            name: FeatureStore.from_tensors(labels, torch.randn(len(labels), args.dim), modality=name)
            for name in ("visual", "textual")
        }
        vlkge = VLKGE(triples_factory=training, embedding_dim=args.dim, sources={"features": features}, random_seed=0)
        without, fast = positives_per_second(
            [structural, vlkge], training, args.positives, args.negatives, args.repeats
        )
        rows.append(Row("DistMult without features | VL-KGE", "positives", without, fast, 1 / 1.15))
        rows.append(Row("PyKEEN's DistMult without features | VL-KGE", "positives", structural_speed, fast, 3.0))
        report("With visual and textual features", "left", "right", rows[-2:])
    finish(rows, args.check)


if __name__ == "__main__":
    main()
