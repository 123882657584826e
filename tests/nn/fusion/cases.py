"""Fusions of every kind, with random weights."""

import torch

from pykeen_mmkg.nn.fusion import (
    AverageFusion,
    Fusion,
    make_fusion,
)

NAMES = ["structural", "visual", "textual", "audio"]


KINDS = ["average", "dense", "masked", "sum", "concat", "weighted", "asymmetric", "dense weights", "gated", "attention"]


def build(kind: str, names: list[str], dim: int) -> Fusion:
    """Make a fusion whose weights are all random, also those that start at zero."""
    if kind in {"dense", "masked"}:
        return AverageFusion(names, dim, form=kind)
    torch.manual_seed(0)
    form = {"asymmetric": {"form": "asymmetric"}, "dense weights": {"form": "dense"}}.get(kind)
    fusion = make_fusion("weighted" if form else kind, form, modalities=names, dim=dim)
    for parameter in fusion.parameters():
        torch.nn.init.normal_(parameter)
    return fusion
