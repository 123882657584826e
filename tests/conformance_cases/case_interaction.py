"""PyKEEN's InteractionTestCase on each interaction of this package."""

import math

import torch
from pykeen.utils import complex_normalize
from torch.nn.functional import normalize

from pykeen_mmkg.nn import interaction, modality_interaction
from pykeen_mmkg.nn.two_tower_interaction import TwoTowerInteraction
from tests import cases


class DistMultCase(cases.InteractionTestCase):
    def _exp_score(self, h, r, t):
        return (h * r * t).sum(dim=-1)


class TestFastDistMult(DistMultCase):
    cls = interaction.FastDistMultInteraction


class TestVLDistMult(DistMultCase):
    cls = interaction.VLDistMultInteraction


class ComplExCase(cases.InteractionTestCase):
    dtype = torch.cfloat

    def _exp_score(self, h, r, t):
        return (h * r * torch.conj(t)).sum().real


class TestFastComplEx(ComplExCase):
    cls = interaction.FastComplExInteraction


class TestVLComplEx(ComplExCase):
    cls = interaction.VLComplExInteraction


class TestFastTransE(cases.TranslationalInteractionTests):
    cls = interaction.FastTransEInteraction

    def _exp_score(self, h, r, t):
        return -(h + r - t).norm(p=self.instance.p, dim=-1)


class TestFastTransEL1(TestFastTransE):
    kwargs = {"p": 1}


class TestVLTransE(cases.InteractionTestCase):
    cls = interaction.VLTransEInteraction

    def _exp_score(self, h, r, t):
        h, r, t = (normalize(x, dim=-1) for x in (h, r, t))
        return 12 - (h + r - t).abs().sum()


class TestVLTransEL2(cases.InteractionTestCase):
    cls = interaction.VLTransEInteraction
    kwargs = {"p": 2, "margin": 3.0}

    def _exp_score(self, h, r, t):
        h, r, t = (normalize(x, dim=-1) for x in (h, r, t))
        return 3 - (h + r - t).square().sum().sqrt()


class TestFastRotatE(cases.InteractionTestCase):
    cls = interaction.FastRotatEInteraction
    dtype = torch.cfloat

    def _get_hrt(self, *shapes):
        h, r, t = super()._get_hrt(*shapes)
        return h, complex_normalize(r), t

    def _exp_score(self, h, r, t):
        return -((h * r - t).abs() ** 2).sum(dim=-1).sqrt()


class TestVLRotatE(cases.InteractionTestCase):
    cls = interaction.VLRotatEInteraction
    dtype = torch.cfloat

    def _get_hrt(self, *shapes):
        h, r, t = super()._get_hrt(*shapes)
        return h, r.real * 2 * math.pi, t

    def _exp_score(self, h, r, t):
        return 12 - ((h * torch.exp(1j * r) - t).abs() ** 2).sum(dim=-1).sqrt()


class TestTwoTower(cases.InteractionTestCase):
    cls = TwoTowerInteraction
    kwargs = {"dim": 2, "dropout": 0.0, "temperature": 5.0}

    def _exp_score(self, h, r, t):
        scale, code = r
        query = h * scale + self.instance.perceptron(torch.cat([h, code], dim=-1))
        return 5 * torch.cosine_similarity(query, t, dim=-1)


class ModalityCase(cases.InteractionTestCase):
    """An entity has two modalities; before anything is learned, it is their mean. Here DistMult compares the means."""

    kwargs = {"modalities": ["structural", "visual"], "dim": 2, "base": "distmult"}
    shape_kwargs = {"m": 2}

    def _exp_score(self, h, r, t):
        return (h.mean(dim=-2) * r[0] * t.mean(dim=-2)).sum()


class TestNativE(ModalityCase):
    cls = modality_interaction.NativEInteraction


class TestMoMoK(ModalityCase):
    cls = modality_interaction.MoMoKInteraction
    kwargs = {**ModalityCase.kwargs, "num_experts": 1, "noise": False}

    def _exp_score(self, h, r, t):
        h, t = (torch.stack([self.instance.experts[i, 0] @ x[i] for i in range(2)]) for x in (h, t))
        return super()._exp_score(h, r, t)


class TestRSME(ModalityCase):
    cls = modality_interaction.RSMEInteraction

    def _exp_score(self, h, r, t):
        weights = r[1].softmax(dim=-1)
        alike = torch.cosine_similarity(h[1], t[1], dim=-1)
        return 0.95 * (weights @ h * r[0] * (weights @ t)).sum() + 0.05 * r[2].sigmoid() * alike


class TestIKRL(ModalityCase):
    cls = modality_interaction.IKRLInteraction
    kwargs = {"modalities": ["structural", "visual"], "dim": 2}

    def _exp_score(self, h, r, t):
        return -(h[:, None] + r - t).abs().sum(dim=-1).mean()


# the case without a score is no case
del DistMultCase, ComplExCase, ModalityCase
