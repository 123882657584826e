"""Scores against all entities: PyKEEN's interactions beside their fast equals, in one run on one thread.

    python benchmarks/bench_scoring.py --assert

The vectors are random, since the time does not depend on them; the triples are those of a data set (default: WN9-IMG).
"""

import torch
from common import Row, finish, load, parser, prepare, report, seconds
from pykeen.evaluation import RankBasedEvaluator
from pykeen.evaluation.ranks import Ranks
from pykeen.models import ERModel
from pykeen.nn.modules import Interaction, interaction_resolver
from pykeen.triples import TriplesFactory

from pykeen_mmkg.evaluation.protocols import StandardEvaluator
from pykeen_mmkg.nn.interaction import VLRotatEInteraction, VLTransEInteraction, fast_interaction

#: name, interaction of PyKEEN, its parameters, the target
QUERIES = [
    ("DistMult", "distmult", {}, 35.0),
    ("ComplEx", "complex", {}, None),
    ("RotatE", "rotate", {}, 50.0),
    ("TransE, L2", "transe", {"p": 2}, 20.0),
    ("TransE, L1", "transe", {"p": 1}, 4.0),
]


def vectors(interaction: Interaction, *shape: int, relation: bool = False) -> torch.Tensor:
    """Make random representations.

    :param interaction: the interaction that they are for
    :param shape: the shape
    :param relation: whether they are those of relations
    :returns: the vectors
    """
    if relation and interaction.is_complex and hasattr(interaction, "p"):
        angle = torch.rand(shape) * 2 * torch.pi
        return angle if isinstance(interaction, VLRotatEInteraction) else torch.polar(torch.ones(shape), angle)
    return torch.randn(shape, dtype=torch.cfloat if interaction.is_complex else torch.float)


def queries_per_second(
    interaction: Interaction, batch: int, num_queries: int, entities: int, dim: int, repeats: int
) -> float:
    """Score queries of both sides against all entities.

    :param interaction: the interaction
    :param batch: the number of queries in a batch
    :param num_queries: the number of queries of each side
    :param entities: the number of entities
    :param dim: the dimension
    :param repeats: the number of repetitions
    :returns: queries per processor second, both sides together
    """
    e = vectors(interaction, entities, dim)
    q, r = vectors(interaction, num_queries, dim), vectors(interaction, num_queries, dim, relation=True)

    def run() -> None:
        for x, y in zip(q.split(batch), r.split(batch), strict=True):
            interaction.score_t(h=x, r=y, all_entities=e)
            interaction.score_h(all_entities=e, r=y, t=x)

    with torch.inference_mode():
        interaction.score_t(h=q[:1], r=r[:1], all_entities=e)
        return 2 * num_queries / seconds(run, repeats)


def products_per_second(width: int, batch: int, num_queries: int, entities: int, repeats: int) -> float:
    """Multiply queries of both sides with all entities, and do nothing else.

    A ratio to other code moves with the processor; the share of this product says how much there is left to gain.

    :param width: the real numbers of a vector
    :param batch: the number of queries in a batch
    :param num_queries: the number of queries of each side
    :param entities: the number of entities
    :param repeats: the number of repetitions
    :returns: queries per processor second, both sides together
    """
    e, q = torch.randn(entities, width), torch.randn(2 * num_queries, width)

    def run() -> None:
        for part in q.split(batch):
            part @ e.T

    with torch.inference_mode():
        return 2 * num_queries / seconds(run, repeats)


def evaluate(
    model: ERModel,
    triples: torch.Tensor,
    known: list[torch.Tensor],
    batch: int,
    cls: type[RankBasedEvaluator] = RankBasedEvaluator,
) -> RankBasedEvaluator:
    """Rank triples with an evaluator: both sides, filtered, with all of PyKEEN's metrics.

    :param model: the model
    :param triples: the triples
    :param known: the triples to filter
    :param batch: the batch size
    :param cls: the evaluator, PyKEEN's by default
    :returns: the evaluator, with the ranks still in it
    """
    evaluator = cls(filtered=True, clear_on_finalize=False)
    evaluator.evaluate(model, triples, additional_filter_triples=known, batch_size=batch, use_tqdm=False)
    return evaluator


def bare_ranking(
    model: ERModel, triples: torch.Tensor, known: list[torch.Tensor], batch: int, repeats: int
) -> tuple[float, list[torch.Tensor]]:
    """Rank triples with a DistMult by nothing but a matrix product, a filter that is at hand, and PyKEEN's ranks.

    :param model: the model, for its weights
    :param triples: the triples
    :param known: the triples to filter
    :param batch: the batch size
    :param repeats: the number of repetitions
    :returns: processor seconds, and the ranks of tails and heads of each batch
    """
    e, r = model.entity_representations[0](), model.relation_representations[0]()
    # the filter: for each query, the other answers
    everything = torch.cat([*known, triples]).unique(dim=0)
    answers: tuple[dict, dict] = ({}, {})
    for h, x, t in everything.tolist():
        answers[0].setdefault((h, x), []).append(t)
        answers[1].setdefault((t, x), []).append(h)
    filters = []
    for part in triples.split(batch):
        for side, (query, answer) in enumerate(((0, 2), (2, 0))):
            pairs = [
                (i, other)
                for i, triple in enumerate(part.tolist())
                for other in answers[side][triple[query], triple[1]]
                if other != triple[answer]
            ]
            filters.append(torch.tensor(pairs, dtype=torch.long).view(-1, 2).T)

    def run() -> list[torch.Tensor]:
        ranks, masks = [], iter(filters)
        for part in triples.split(batch):
            for query, answer in ((0, 2), (2, 0)):
                scores = (e[part[:, query]] * r[part[:, 1]]) @ e.T
                true = scores.gather(1, part[:, answer, None])
                scores[tuple(next(masks))] = torch.nan
                ranks.append(Ranks.from_scores(true, scores).realistic)
        return ranks

    with torch.inference_mode():
        return seconds(run, repeats), run()


def build(training: TriplesFactory, interaction: Interaction, dim: int) -> ERModel:
    """Build a model with random weights, the same ones for each interaction.

    :param training: the training triples
    :param interaction: the interaction
    :param dim: the dimension
    :returns: the model
    """
    options = {"shape": dim, "initializer": "normal"}
    return ERModel(
        triples_factory=training,
        interaction=interaction,
        entity_representations_kwargs=options,
        relation_representations_kwargs=options,
        random_seed=0,
    )


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--stock-queries", type=int, default=32, help="queries per side for PyKEEN's interactions")
    options.add_argument("--stock-batch-size", type=int, default=16, help="more only costs PyKEEN's more memory")
    options.add_argument("--queries", type=int, default=512, help="queries per side for the fast interactions")
    options.add_argument("--batch-size", type=int, default=256, help="the batch size of the fast interactions")
    options.add_argument("--stock-triples", type=int, default=160, help="test triples to rank with PyKEEN's DistMult")
    args = options.parse_args()
    prepare()
    training, valid, test = load(args.data)
    size = (training.num_entities, args.dim, args.repeats)
    rows = []
    for name, key, kwargs, target in QUERIES:
        stock = interaction_resolver.make(key, kwargs)
        slow = queries_per_second(stock, args.stock_batch_size, args.stock_queries, *size)
        fast = queries_per_second(fast_interaction(stock), args.batch_size, args.queries, *size)
        # TransE with L1 is the one that is no product
        width = args.dim * (2 if stock.is_complex else 1)
        product = products_per_second(width, args.batch_size, args.queries, training.num_entities, args.repeats)
        rows.append(Row(name, "queries", slow, fast, target, None if kwargs.get("p") == 1 else product))
        # the paper's forms, beside the form of PyKEEN that they extend
        for paper, base in ((VLTransEInteraction(), "TransE, L1"), (VLRotatEInteraction(), "RotatE")):
            if base == name:
                fast = queries_per_second(paper, args.batch_size, args.queries, *size)
                label = type(paper).__name__.removesuffix("Interaction").replace("VL", "VL-")
                rows.append(Row(f"{label} (beside {base})", "queries", slow, fast))
    title = f"Both sides against all {training.num_entities:,} entities, d = {args.dim}, one thread"
    report(title, "PyKEEN", "fast", rows)

    model = build(training, interaction_resolver.make("distmult"), args.dim)
    known = [training.mapped_triples, valid.mapped_triples]
    some, triples = test.mapped_triples[: args.stock_triples], test.mapped_triples
    slow = len(some) / seconds(lambda: evaluate(model, some, known, args.stock_batch_size), 1)
    expected = evaluate(model, some, known, args.stock_batch_size).ranks
    bare, bare_ranks = bare_ranking(model, triples, known, args.batch_size, args.repeats)
    bare = len(triples) / bare
    half = 2 * args.batch_size
    product = products_per_second(args.dim, args.batch_size, half, training.num_entities, args.repeats) / 2
    model.interaction = fast_interaction(model.interaction)
    fast = len(triples) / seconds(lambda: evaluate(model, triples, known, args.batch_size), args.repeats)
    actual = evaluate(model, some, known, args.batch_size).ranks
    ours = len(triples) / seconds(
        lambda: evaluate(model, triples, known, args.batch_size, StandardEvaluator), args.repeats
    )
    ends = [
        Row("PyKEEN's evaluator, DistMult: PyKEEN's | fast", "test triples", slow, fast, 35.0, product),
        Row("fast DistMult: PyKEEN's evaluator | protocol `standard`", "test triples", fast, ours, None, product),
        Row("a bare matrix product with ranking | PyKEEN's evaluator, fast", "test triples", bare, fast),
        Row("a bare matrix product with ranking | protocol `standard`, fast", "test triples", bare, ours, 0.5),
    ]
    report("Ranking the test triples: both sides, filtered, all metrics", "left", "right", ends)
    pairs = [(sum(map(list, expected[key]), []), sum(map(list, actual[key]), [])) for key in expected]
    different = sum(x != y for left, right in pairs for x, y in zip(left, right, strict=True))
    print(f"\nranks that differ from PyKEEN's: {different} of {sum(len(x) for x, _ in pairs)} (random vectors)")
    assert sum(map(len, bare_ranks)) == 2 * len(triples)
    finish(rows + ends, args.check)


if __name__ == "__main__":
    main()
