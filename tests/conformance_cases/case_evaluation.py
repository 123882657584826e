"""PyKEEN's EvaluatorTestCase on each protocol, and its EvaluationOnlyModelTestCase on each model without training."""

import tempfile
from pathlib import Path

from pykeen.datasets import Nations

from pykeen_mmkg.baselines import rules, unseen_relations
from pykeen_mmkg.evaluation import protocols
from pykeen_mmkg.evaluation.results import ProtocolMetricResults
from pykeen_mmkg.models.evidence import Evidence
from tests import cases


class ProtocolCase(cases.EvaluatorTestCase):
    """What PyKEEN's own test of its RankBasedEvaluator checks."""

    def _validate_result(self, result, data):
        assert isinstance(result, ProtocolMetricResults)
        assert result.protocol == self.cls.protocol
        assert self.instance.num_entities == self.dataset.num_entities
        for (side, rank_type, metric), value in result.data.items():
            self.assertIn(side, ("head", "tail", "both"))
            self.assertIn(rank_type, ("optimistic", "realistic", "pessimistic"))
            self.assertIsInstance(metric, str)
            self.assertIsInstance(value, float | int)

    def test_finalize_multi(self):
        """The bootstrap resamples as often as it is told."""
        self._process_batches()
        result = self.instance.finalize_multi(n_boot=3)
        assert all(isinstance(values, list) and len(values) == 3 for values in result.values())

    def test_finalize_with_confidence(self):
        """The interval is one, and not negative."""
        self._process_batches()
        result = self.instance.finalize_with_confidence(n_boot=3)
        assert all(len(value) == 2 and value[1] >= 0 for value in result.values())


class TestStandard(ProtocolCase):
    cls = protocols.StandardEvaluator


class TestVLKGEAuthor(ProtocolCase):
    cls = protocols.VLKGEAuthorEvaluator


LISTS = {relation: list(range(relation % 5 + 3)) for relation in range(55)}


class TestZSLCandidates(ProtocolCase):
    cls = protocols.ZSLCandidatesEvaluator
    kwargs = {"candidates": LISTS, "head_candidates": LISTS, "ids": True}


class TestRelationPool(ProtocolCase):
    cls = protocols.RelationPoolEvaluator
    kwargs = {"dataset": "nations", "targets": ["head", "tail"]}

    def _pre_instantiation_hook(self, kwargs):
        kwargs = super()._pre_instantiation_hook(kwargs)
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        path = Path(self.folder.name, "triples.tsv")
        dataset = Nations()
        rows = [*dataset.training.triples, *dataset.validation.triples]
        path.write_text("".join("\t".join(row) + "\n" for row in rows))
        return {**kwargs, "pool_triples": str(path)}


class TestInverseRule(cases.EvaluationOnlyModelTestCase):
    cls = rules.InverseRule


class TestSymmetricRule(cases.EvaluationOnlyModelTestCase):
    cls = rules.SymmetricRule


class TestDuplicateRule(cases.EvaluationOnlyModelTestCase):
    cls = rules.DuplicateRule


class TestDegreeRule(cases.EvaluationOnlyModelTestCase):
    cls = rules.DegreeRule


class TestRandomRule(cases.EvaluationOnlyModelTestCase):
    cls = rules.RandomRule


class TestEvidence(cases.EvaluationOnlyModelTestCase):
    cls = Evidence
    kwargs = {"parts": ["link", "prior"]}


class TestAdamicAdar(cases.EvaluationOnlyModelTestCase):
    cls = unseen_relations.AdamicAdar


class _DescribedCase(cases.EvaluationOnlyModelTestCase):
    """The relations are described by their labels."""

    def _pre_instantiation_hook(self, kwargs):
        kwargs = super()._pre_instantiation_hook(kwargs)
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        path = Path(self.folder.name, "relations.tsv")
        rows = (f"{label}\t{label}\t\n" for label in self.factory.relation_to_id)
        path.write_text("relation\tlabel\tdescription\n" + "".join(rows))
        return {**kwargs, "sources": {"relations": str(path)}}


class TestDescriptionFrequency(_DescribedCase):
    cls = unseen_relations.DescriptionFrequency


class TestBlindMixture(_DescribedCase):
    cls = unseen_relations.BlindMixture


del ProtocolCase, _DescribedCase
