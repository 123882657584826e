"""The model card of a run: a README.md with the metadata that the Hugging Face hub reads."""

from collections.abc import Mapping
from typing import Any

from huggingface_hub import ModelCard, ModelCardData
from tabulate import tabulate

__all__ = ["model_card"]

#: the metrics of a card, as PyKEEN's flat dictionaries call them
METRICS = {
    "both.realistic.inverse_harmonic_mean_rank": "MRR",
    "both.realistic.hits_at_1": "Hits@1",
    "both.realistic.hits_at_3": "Hits@3",
    "both.realistic.hits_at_10": "Hits@10",
}


def _row(name: str, metrics: Mapping[str, Any]) -> list[Any]:
    return [name, *(metrics.get(key) for key in METRICS)]


def model_card(document: Mapping[str, Any]) -> str:
    """Write the card of a run.

    :param document: the run's document, see :class:`~pykeen_mmkg.runs.Run`; an entry ``baselines`` maps names to
        metrics as the entry ``metrics`` holds them
    :returns: the text of the README.md
    """
    graph, configuration = document["graph"], document.get("configuration") or {}
    dataset = configuration.get("dataset") or "a graph of one's own"
    data = ModelCardData(
        license=document.get("license"),
        library_name="pykeen-mmkg",
        tags=["knowledge-graph", "link-prediction", "multimodal", "pykeen"],
    )
    results = [_row(f"**{document['model']}**", document.get("metrics") or {})]
    results += [_row(name, metrics) for name, metrics in (document.get("baselines") or {}).items()]
    sources = document.get("sources") or {}
    features = [
        f"- `{key}`: {entry['present']:,} of {entry['labels']:,} have a vector of {entry['dim']} dimensions, "
        f"encoder {entry.get('encoder') or 'not recorded'}; {entry['mode']}, digest `{entry['digest'][:16]}`"
        for key, entry in (sources.get("features") or {}).items()
    ]
    alone = "\nNo baseline was evaluated beside it: read the figures with care.\n"
    text = f"""---
{data.to_yaml()}
---

# {document["model"]} on {dataset}

A model for link prediction, trained with [PyKEEN](https://github.com/pykeen/pykeen) and pykeen-mmkg; no pickle is read.

```python
from pykeen_mmkg.runs import load_run

run = load_run("<this folder>")  # or Run.from_pretrained("<name on the hub>")
```

## Trained on

{graph["triples"]:,} triples of {graph["entities"]:,} entities and {graph["relations"]:,} relations
(digest `{graph["digest"][:16]}`), seed {document.get("random_seed")}.

{chr(10).join(features) or "No features of texts or images are read."}

## Evaluation

Protocol: `{document.get("protocol")}`.

{tabulate(results, headers=["", *METRICS.values()], tablefmt="github", floatfmt=".3f", missingval="")}
{"" if document.get("baselines") else alone}
## Versions

{", ".join(f"{name} {version}" for name, version in document["versions"].items())}
"""
    return str(ModelCard(text))
