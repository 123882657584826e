"""A saved run and new triples: another run that knows them, most of it as it was."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pykeen.models import Model, model_resolver
from pykeen.triples import TriplesFactory
from pykeen.typing import MappedTriples

from ..datasets import GraphMetadata, ModalityTable
from ..datasets.files import LabeledTriple, read_triples
from ..errors import DataError, RunError
from ..io import folder_written_whole
from ..training.rows import train_rows
from .run import Run, load_run
from .sources import FeatureMode, sources_of, without_sources

__all__ = ["update_run"]

#: what a model has no need of once every entity has a training triple
_SPARE = {"projection", "fit_step", "distillation", "loss", "regularizer"}


def update_run(
    folder: str | pathlib.Path,
    triples: str | pathlib.Path | Sequence[LabeledTriple],
    output: str | pathlib.Path,
    *,
    entities: str | pathlib.Path | Mapping[str, Any] | None = None,
    encoder: Any = None,
    num_steps: int = 50,
    learning_rate: float | None = None,
    seed: int = 0,
) -> Run:
    """Make a run that knows new triples of one that does not; the old one is not changed.

    The triples join the training triples. Evidence is read off all of them. The rows of the entities that they name are
    trained for a few steps in the tables of structure, see :func:`~pykeen_mmkg.training.rows.train_rows`; all else
    (other entities, relations, projections, fusion, weights of late fusion) stays as it is. A model without such a
    table, as the two towers, is not trained. Figures of the old run are not those of the new one, and are left out.

    :param folder: the folder of a run of :func:`~pykeen_mmkg.runs.save_run`
    :param triples: a file of labeled triples, or such triples
    :param output: the folder of the new run, new or empty; nothing half-written stays there
    :param entities: a table of entities that the run does not know, see
        :class:`~pykeen_mmkg.datasets.tables.ModalityTable`, or a mapping as for
        :meth:`~pykeen_mmkg.models.new_entities.NewEntitiesMixin.add_entities`. Rows of entities that it knows are not
        used
    :param encoder: the encoder of the run's features, for these entities; by default the one that it was made with
    :param num_steps: the number of steps
    :param learning_rate: the learning rate; by default by the size of the numbers in each table
    :param seed: the seed of the steps
    :returns: the new run
    :raises DataError: if a triple names what the run does not know (the message has the row), or all are known already
    :raises RunError: if the folder is no run, or the model cannot be made of more triples
    """
    run = load_run(folder)
    before = run.training.num_entities
    if entities is not None:
        if not isinstance(entities, Mapping):
            entities = _described(pathlib.Path(entities))
        fresh = {label: entity for label, entity in entities.items() if label not in run.training.entity_to_id}
        if not hasattr(run.model, "add_entities"):
            raise RunError(
                f"New entities cannot be added to a {type(run.model).__name__}: it reads none of their texts."
            )
        run.model.add_entities(fresh, encoder=encoder)  # type: ignore[operator]
    training = run.training
    if isinstance(triples, str | pathlib.PurePath):
        source = str(triples)
        triples = read_triples(pathlib.Path(triples), tuple(training.relation_to_id))
    else:
        source = "the new triples"
    new = _mapped(triples, training, source)
    model, factory = _with_triples(run, new)
    count = train_rows(model, new, factory.mapped_triples, num_steps=num_steps, learning_rate=learning_rate, seed=seed)
    dropped = ("metrics", "protocol", "losses", "seconds", "baselines", "calibration", "digest")
    document = {key: value for key, value in run.document.items() if key not in dropped}
    step = {
        "run": run.document["digest"],
        "triples": len(new),
        "entities": factory.num_entities - before,
        "steps": num_steps if count else 0,
        "learning_rate": learning_rate,
        "seed": seed,
    }
    document["updates"] = [*run.document.get("updates", ()), step]
    modes = {entry["mode"] for entry in run.document["sources"]["features"].values()}
    mode: FeatureMode = next(iter(modes)) if len(modes) == 1 else "copy"
    if mode == "link" and entities is not None:
        mode = "copy"
    made = Run(model, factory, document, features=mode)
    with folder_written_whole(output) as temporary:
        made.save_pretrained(temporary)
    return load_run(output)


def _described(path: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Read what is known of entities from a table."""
    table = ModalityTable.load(path)
    rows = zip(table.labels, table.names, table.descriptions, table.images, strict=True)
    return {label: {"name": name, "text": text, "images": images} for label, name, text, images in rows}


def _mapped(triples: Sequence[LabeledTriple], training: TriplesFactory, source: str) -> MappedTriples:
    """Return the ids of triples, each once, without those that are known."""
    maps = (training.entity_to_id, training.relation_to_id, training.entity_to_id)
    rows = []
    for number, triple in enumerate(triples, start=1):
        for label, ids, kind in zip(triple, maps, ("entity", "relation", "entity"), strict=True):
            if label not in ids:
                how = "describe it in a table of new entities (--entities)" if kind == "entity" else "train anew"
                raise DataError(f"{source}, triple {number} ({', '.join(triple)}): unknown {kind} {label!r}; {how}.")
        rows.append([ids[label] for label, ids in zip(triple, maps, strict=True)])
    known = set(map(tuple, training.mapped_triples.tolist()))
    fresh = [row for row in dict.fromkeys(map(tuple, rows)) if row not in known]
    if not fresh:
        raise DataError(f"{source}: the run knows all {len(rows)} triples already; there is nothing to update.")
    return torch.tensor(fresh, dtype=torch.long)


def _with_triples(run: Run, new: MappedTriples) -> tuple[Model, TriplesFactory]:
    """Make the model of a run again, with the weights that it has, on more triples."""
    training = run.training
    record = GraphMetadata.of(training).to_dict()
    # those in memory: entities that have been added are in no file yet
    record["features"] = sources_of(run.model)
    factory = training.clone_and_exchange_triples(torch.cat([training.mapped_triples, new]))
    factory.metadata = {**(training.metadata or {}), **dict.fromkeys(GraphMetadata().to_metadata(), record)}
    model = model_resolver.make(
        run.document["model"], without_sources(run.document["model_kwargs"]), triples_factory=factory
    )
    result = model.load_state_dict(run.model.state_dict(), strict=False)
    left = [name for name in [*result.missing_keys, *result.unexpected_keys] if not _SPARE & set(name.split("."))]
    if left:
        raise RunError(f"A {type(model).__name__} on more triples has other weights ({left[:3]}): train it anew.")
    return model.eval(), factory
