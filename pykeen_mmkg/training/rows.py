"""A few steps on new triples: the rows of the entities that they name, in the tables of structure, and nothing else."""

from collections.abc import Iterator
from typing import Any

import torch
from pykeen.models.base import Model
from pykeen.models.nbase import ERModel
from pykeen.nn.representation import Embedding
from pykeen.typing import LongTensor, MappedTriples

from .._compat import embedding_table
from ..errors import MultimodalError
from ..nn.cached import CachedRepresentation
from ..nn.growth import tables
from ..options import strict
from ..sampling.negatives import DistinctNegativeSampler

__all__ = ["train_rows"]

#: a step moves a number by about this share of the root mean square of its table, unless something else is said
SHARE = 0.05


def _models(model: Model) -> Iterator[ERModel]:
    """Give the models with tables: the model, or the scorers of late fusion."""
    if isinstance(model, ERModel):
        yield model
    for scorer in getattr(model, "scorers", {}).values():
        if isinstance(scorer, ERModel):
            yield scorer


@strict(num_steps=0, learning_rate=(0, 1000), num_negatives=1, max_triples=1)
def train_rows(
    model: Model,
    triples: MappedTriples,
    known: MappedTriples,
    *,
    num_steps: int = 50,
    learning_rate: float | None = None,
    num_negatives: int = 16,
    max_triples: int = 2048,
    seed: int = 0,
) -> int:
    """Train the structural rows of the entities in some triples; all else stays as it is, bit by bit.

    Frozen are the rows of all other entities, relations, interactions, fusions, projections, features and weights. The
    triples are learned together with as many of those that were known of these entities before, drawn anew in each
    step, so that these are not forgotten. The loss is that of the model, against corruptions that are not known;
    without dropout and regularizers. The optimizer is Adam.

    :param model: the model; for late fusion, its scorers are trained each on its own
    :param triples: shape: ``(n, 3)``; the new triples
    :param known: shape: ``(m, 3)``; all training triples, the new ones included
    :param num_steps: the number of steps
    :param learning_rate: the learning rate; by default a twentieth of the root mean square of each table
    :param num_negatives: the number of corruptions of a triple
    :param max_triples: how many of the new triples are learned in a step at most
    :param seed: the seed of triples and corruptions
    :returns: the number of tables of which rows were trained; 0 for a model that has none
    :raises MultimodalError: if a loss is not finite; the model is not to be used then
    """
    if not len(triples) or not num_steps:
        return 0
    options: dict[str, Any] = dict(num_steps=num_steps, learning_rate=learning_rate, num_negatives=num_negatives)
    was_training, _ = model.training, model.eval()
    count = 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for part in _models(model):
            found = [table for own in part.entity_representations for table in tables(own)]
            if found:
                _train(part, found, triples.cpu(), known.cpu(), max_triples=max_triples, **options)
            count += len(found)
    model.train(was_training)
    return count


def _train(
    model: ERModel,
    embeddings: list[Embedding],
    triples: LongTensor,
    known: LongTensor,
    num_steps: int,
    learning_rate: float | None,
    num_negatives: int,
    max_triples: int,
) -> None:
    rows = triples[:, [0, 2]].unique()
    if model.use_inverse_triples:
        triples, known = _with_inverse(triples), _with_inverse(known)
    touched = torch.isin(known[:, [0, 2]], rows).any(dim=-1)
    old = known[touched]
    sampler = DistinctNegativeSampler(
        mapped_triples=known,
        num_entities=model.num_entities,
        num_relations=int(known[:, 1].max()) + 1,
        num_negs_per_pos=min(num_negatives, max(1, model.num_entities - 1)),
    )
    weights = [embedding_table(embedding).weight for embedding in embeddings]
    frozen = [weight.detach().clone() for weight in weights]
    needed = {id(weight) for weight in weights}
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    for parameter, _ in flags:
        parameter.requires_grad_(id(parameter) in needed)
    groups = [
        {"params": [weight], "lr": learning_rate or SHARE * float(own.square().mean().sqrt().clamp(min=1e-3))}
        for weight, own in zip(weights, frozen, strict=True)
    ]
    optimizer = torch.optim.Adam(groups)
    inside = torch.zeros(model.num_entities, dtype=torch.bool)
    inside[rows] = True
    try:
        for _ in range(num_steps):
            batch = triples[torch.randperm(len(triples))[:max_triples]]
            batch = torch.cat([batch, old[torch.randint(len(old), (len(batch),))]])
            loss = _loss(model, sampler, batch)
            if not bool(torch.isfinite(loss)):
                raise MultimodalError(f"The loss of the new triples became {float(loss)}; try a lower learning rate.")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            for embedding in embeddings:
                # constraints of these tables only: those of relations would round what is frozen
                embedding.post_parameter_update()
            with torch.no_grad():
                for embedding, own in zip(embeddings, frozen, strict=True):
                    weight = embedding_table(embedding).weight
                    weight.copy_(torch.where(inside.to(weight.device)[:, None], weight, own))
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
            parameter.grad = None
        for module in model.modules():
            if isinstance(module, CachedRepresentation):
                module.drop_cache()


def _with_inverse(triples: LongTensor) -> LongTensor:
    """Return triples with PyKEEN's artificial inverse ones: relation ``r`` is ``2 r``, and its inverse ``2 r + 1``."""
    head, relation, tail = triples.unbind(-1)
    ahead, back = torch.stack([head, 2 * relation, tail], -1), torch.stack([tail, 2 * relation + 1, head], -1)
    return torch.cat([ahead, back])


def _loss(model: ERModel, sampler: DistinctNegativeSampler, batch: LongTensor) -> torch.Tensor:
    negatives, mask = sampler.sample(batch)
    kept: Any = None if mask is None else mask.to(model.device)
    positive = model.score_hrt(batch.to(model.device))
    flat = negatives.view(-1, 3) if mask is None else negatives[mask]
    scores = model.score_hrt(flat.to(model.device))[:, 0]
    if mask is None:
        scores = scores.view(negatives.shape[:-1])
    return model.loss.process_slcwa_scores(positive, scores, batch_filter=kept)
