"""Fusions of every kind, with random weights."""

import torch

from pykeen_mmkg.nn.fusion import (
    AverageFusion,
    Fusion,
    make_fusion,
)

NAMES = ["structural", "visual", "textual", "audio"]


KINDS = ["average", "dense", "masked", "sum", "concat", "weighted", "asymmetric", "dense weights", "gated", "attention"]
KINDS += ["adaptive", "autoencoder", "instanceattention", "transformer", "transport"]


def build(kind: str, names: list[str], dim: int) -> Fusion:
    """Make a fusion whose weights are all random, also those that start at zero."""
    if kind in {"dense", "masked"}:
        return AverageFusion(names, dim, form=kind)
    torch.manual_seed(0)
    if kind == "transport":
        # plans of a batch, which stay: in training, those of each batch would be mixed in
        fusion = make_fusion(kind, {"structural": names[-1]}, modalities=names, dim=dim)
        fusion([torch.randn(5, dim) for _ in names])
        torch.nn.init.normal_(fusion.logits), torch.nn.init.normal_(fusion.correction)
        return fusion.eval()
    form = {"asymmetric": {"form": "asymmetric"}, "dense weights": {"form": "dense"}}.get(kind)
    options = {"structural": names[-1]} if kind == "instanceattention" else form
    fusion = make_fusion("weighted" if form else kind, options, modalities=names, dim=dim)
    for parameter in fusion.parameters():
        torch.nn.init.normal_(parameter)
    return fusion
