"""Batches, memory, and models that ignore what they are asked for."""

import torch
from pykeen.datasets import Nations
from pykeen.models import DistMult, ERModel
from tqdm.auto import tqdm

from pykeen_mmkg.evaluation.protocols import StandardEvaluator, ZSLCandidatesEvaluator
from pykeen_mmkg.evaluation.ranking import default_batch_size, rank_side, rank_side_on_gpu
from pykeen_mmkg.indexing import TargetIndex

from .reference import TableModel


def _arguments(model, triples):
    return {
        "evaluator": StandardEvaluator(),
        "model": model,
        "triples": triples,
        "target": "tail",
        "known": TargetIndex.from_triples(triples, "tail"),
        "candidates": None,
        "full_ranking": False,
        "restrict_to": None,
        "slice_size": model.num_entities,
        "mode": None,
        "progress": tqdm(disable=True),
    }


class GreedyModel(TableModel):
    """A model that runs out of memory with more than three queries.

    ---
    name: Greedy
    citation:
        author: None
        year: 2026
        link: https://example.org
    """

    def score_t(self, hr_batch, **kwargs):
        if len(hr_batch) > 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return super().score_t(hr_batch, **kwargs)


def test_batch_size_is_halved_until_it_fits():
    table = torch.rand(9, 2, 9)
    triples = torch.cartesian_prod(torch.arange(9), torch.arange(2), torch.arange(3))
    expected, _ = rank_side(batch_size=5, **_arguments(TableModel(table), triples))
    ranks, _ = rank_side_on_gpu(batch_size=len(triples), **_arguments(GreedyModel(table), triples))
    for first, second in zip(ranks, expected, strict=True):
        assert first.tolist() == second.tolist()


def test_each_query_is_scored_once():
    model = TableModel(torch.rand(9, 2, 9))
    triples = torch.cartesian_prod(torch.arange(2), torch.arange(2), torch.arange(9))
    rows = []
    original = model.score_t
    model.score_t = lambda hr_batch, **kwargs: (rows.append(len(hr_batch)), original(hr_batch, **kwargs))[1]
    rank_side(batch_size=3, **_arguments(model, triples))
    assert rows == [3, 1]


def test_scores_that_are_a_view_are_not_written_to():
    class ConstantModel(TableModel):
        """All queries have the same scores.

        ---
        name: Constant
        citation:
            author: None
            year: 2026
            link: https://example.org
        """

        def score_t(self, hr_batch, **kwargs):
            return self.table[0, 0].expand(len(hr_batch), -1)

    table = torch.arange(5.0).view(1, 1, 5).repeat(5, 1, 1)
    triples = torch.tensor([[0, 0, 4], [1, 0, 3]])
    ranks, _ = rank_side(batch_size=8, **_arguments(ConstantModel(table), triples))
    assert ranks.optimistic.tolist() == [1, 2]
    assert torch.equal(table[0, 0], torch.arange(5.0))


def test_half_precision_scores_are_ranked():
    table = torch.rand(9, 1, 9).bfloat16()
    triples = torch.tensor([[0, 0, 4]])
    ranks, _ = rank_side(batch_size=8, **_arguments(TableModel(table), triples))
    assert ranks.optimistic.tolist() == [1 + int((table[0, 0] > table[0, 0, 4]).sum())]


def test_counts_are_scores_too():
    """A baseline may give integers, which know no NaN to mask with."""
    table = torch.randint(9, (9, 1, 9))
    triples = torch.tensor([[0, 0, 4], [0, 0, 5]])
    ranks, _ = rank_side(batch_size=8, **_arguments(TableModel(table), triples))
    row = table[0, 0].tolist()
    others = [score for i, score in enumerate(row) if i not in (4, 5)]
    assert ranks.optimistic.tolist() == [1 + sum(score > row[i] for score in others) for i in (4, 5)]


def test_a_real_model_scores_candidates_only_with_inverse_triples():
    dataset = Nations(create_inverse_triples=True)
    model = DistMult(triples_factory=dataset.training, embedding_dim=4, random_seed=0)
    sizes = []
    original = model.interaction.forward
    model.interaction.forward = lambda h, r, t: (sizes.append(t.shape[-2]), original(h, r, t))[1]
    lists = {relation: [1, 2, 3] for relation in range(55)}
    evaluator = ZSLCandidatesEvaluator(candidates=lists, head_candidates=lists, ids=True, filtered=False)
    evaluator.evaluate(model, dataset.testing.mapped_triples[:1], use_tqdm=False)
    assert max(sizes) <= 4


def test_default_batch_size():
    dataset = Nations()
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    model = DistMult(triples_factory=dataset.training, embedding_dim=4, random_seed=0)
    lean = ERModel(
        triples_factory=dataset.training,
        interaction="fastdistmult",
        entity_representations_kwargs={"shape": (4,)},
        relation_representations_kwargs={"shape": (4,)},
        random_seed=0,
    )
    assert default_batch_size(model, gpu, 77) == 77
    assert default_batch_size(model, cpu, 77) == 2**18 // 14
    assert default_batch_size(lean, cpu, 77) == 2**20 // 14
    model.num_entities = 10**6
    assert default_batch_size(model, cpu, 77) == 32
