"""Relations that are known by their description: what the models of unseen relations share."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from pykeen.triples import CoreTriplesFactory
from pykeen.typing import FloatTensor, LongTensor
from torch import nn
from torch.nn import functional

from ...encoders import VisionLanguageEncoder, make_encoder
from ...errors import DataError, FeatureError
from ...indexing import alike, seen_relations
from ...modalities import TEXTUAL, ModalitySources, labels_of
from ...nn.preprocessing import center, unit_mean

__all__ = ["DescribedRelations", "DescribedRelationsMixin"]


class DescribedRelations(nn.Module):
    """The text vectors of relations, and those of relations that were added after training."""

    vectors: FloatTensor
    mean: FloatTensor
    added: FloatTensor

    def __init__(self, labels: Sequence[str], vectors: FloatTensor, mean: FloatTensor, fingerprint: str | None) -> None:
        """Initialize the module.

        :param labels: the labels, in the order of the ids
        :param vectors: shape: ``(n, d)``; the vectors, see :func:`~pykeen_mmkg.nn.preprocessing.center`
        :param mean: shape: ``(d,)``; what was subtracted from them
        :param fingerprint: the fingerprint of the encoder that made them
        """
        super().__init__()
        self.labels = list(labels)
        self.fingerprint = fingerprint
        self.register_buffer("vectors", vectors, persistent=False)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("added", vectors.new_zeros(0, vectors.shape[-1]), persistent=False)

    def __len__(self) -> int:
        return len(self.vectors) + len(self.added)

    def forward(self, relations: LongTensor) -> FloatTensor:
        """Return the text vectors of relations of any shape ``s``; shape: ``(*s, d)``."""
        if not len(self.added):
            return self.vectors[relations]
        return torch.cat([self.vectors, self.added])[relations]

    def add(self, label: str, vector: FloatTensor) -> int:
        """Add a relation.

        :param label: its label
        :param vector: shape: ``(d,)``; its text vector, as the encoder gives it
        :returns: its id
        :raises DataError: if the label is taken, or another relation has the same vector
        :raises FeatureError: if the vector does not fit
        """
        if label in self.labels:
            raise DataError(f"There is a relation {label!r} already; give the new one another label.")
        if vector.shape != self.mean.shape or not bool(torch.isfinite(vector).all()):
            raise FeatureError(
                f"The vector of {label!r} must have the shape {tuple(self.mean.shape)} and be finite; its shape is "
                f"{tuple(vector.shape)}."
            )
        vector = functional.normalize(functional.normalize(vector.to(self.mean), dim=-1) - self.mean, dim=-1)
        index = len(self)
        same = (torch.cat([self.vectors, self.added]) - vector).abs().amax(-1).lt(1e-6).nonzero().view(-1)
        if len(same):
            raise DataError(
                f"The new relation {label!r} has the same description as {self.labels[int(same[0])]!r}: nothing can "
                "tell them apart. Use that one, or describe the difference."
            )
        self.added = torch.cat([self.added, vector[None]])
        self.labels.append(label)
        return index

    def get_extra_state(self) -> Any:
        """Return the added relations, for the state dict."""
        return {"added": self.added, "labels": self.labels[len(self.vectors) :]}

    def set_extra_state(self, state: Any) -> None:
        """Restore the added relations."""
        self.added = state["added"].to(self.vectors)
        self.labels = self.labels[: len(self.vectors)] + list(state["labels"])


class DescribedRelationsMixin:
    """For models that score relations by their description: sources, checks, and relations added after training."""

    described: DescribedRelations
    num_relations: int

    @staticmethod
    def _described(
        triples_factory: CoreTriplesFactory, sources: ModalitySources, unseen: Iterable[str] | None = None
    ) -> DescribedRelations:
        """Gather and check the descriptions of all relations.

        :param triples_factory: the training triples
        :param sources: where text and features come from
        :param unseen: labels of relations that must not have a training triple
        :returns: the text vectors
        :raises DataError: if a relation has no description, two unseen relations share one, or a relation that is to be
            unseen has a training triple
        """
        if triples_factory.create_inverse_triples:
            raise DataError(
                "Models of described relations read links in both directions already: use a dataset with "
                "create_inverse_triples=False."
            )
        labels = labels_of(triples_factory, "relation")
        seen = seen_relations(triples_factory)
        ids = {label: i for i, label in enumerate(labels)}
        for label in unseen or ():
            if label not in ids:
                raise DataError(f"The relation {label!r}, said to be unseen, is none of the dataset's.")
            if seen[ids[label]]:
                count = int((triples_factory.mapped_triples[:, 1] == ids[label]).sum())
                raise DataError(
                    f"The relation {label!r} is to be unseen but has {count:_} training triples. Remove them from "
                    "training, or take it off `unseen`."
                )
        store = sources.gather("relation", TEXTUAL, labels)
        vectors, mask = store.lookup(labels)
        for i in (~mask).nonzero().view(-1).tolist():
            raise DataError(
                f"The relation {labels[i]!r} has no description, so nothing is known of it. Add one to the relations "
                "table (columns relation, label, description), or leave the relation out."
            )
        vectors = vectors.float()
        rows = vectors.cpu().numpy()
        for one, other, *_ in alike((~seen).nonzero().view(-1).tolist(), lambda i: rows[i].tobytes()):
            raise DataError(
                f"The unseen relations {labels[one]!r} and {labels[other]!r} have the same description: nothing can "
                "tell them apart. Describe the difference."
            )
        mean = unit_mean(vectors, mask)
        return DescribedRelations(labels, center(vectors, mask), mean, store.provenance.get("encoder_fingerprint"))

    def _remember_encoder(self, encoder: Any, encoder_kwargs: Any) -> None:
        """Keep the name of the encoder, never the encoder itself, for relations to come."""
        self._encoder = None if isinstance(encoder, VisionLanguageEncoder) else encoder
        self._encoder_kwargs = dict(encoder_kwargs or {})

    def add_relation(
        self,
        description: str,
        label: str | None = None,
        vector: FloatTensor | None = None,
        encoder: Any = None,
        encoder_kwargs: Any = None,
    ) -> int:
        """Add a relation to a trained model; nothing is trained again.

        :param description: what the relation means, in the style of the other descriptions (``"name: description"``)
        :param label: its label, by default the description
        :param vector: shape: ``(d,)``; its text vector, if it is to be taken in place of encoding the description
        :param encoder: the encoder, by default the one that the model was made with
        :param encoder_kwargs: keyword arguments of the encoder
        :returns: the id of the relation, to be used in :meth:`pykeen.models.Model.predict_t` and the like
        :raises DataError: if the description is empty, or that of another relation
        :raises FeatureError: if the encoder is another than that of the other relations
        """
        if not description or not description.strip():
            raise DataError("A relation without a description cannot be predicted: describe it.")
        if vector is None:
            encoder = encoder if encoder is not None else getattr(self, "_encoder", None)
            if encoder is None:
                raise FeatureError(
                    "The model was made from features and does not know their encoder; give `encoder`, or the `vector` "
                    "of the description."
                )
            made = make_encoder(encoder, encoder_kwargs or self._encoder_kwargs)
            if self.described.fingerprint is not None and made.fingerprint != self.described.fingerprint:
                raise FeatureError(
                    f"The encoder {encoder} is not the one of the model's relations (fingerprint {made.fingerprint}, "
                    f"expected {self.described.fingerprint}); vectors of two encoders cannot be compared."
                )
            vector = made.encode_texts([description])[0]
        index = self.described.add(label or description, torch.as_tensor(vector).float().cpu().to(self.described.mean))
        self.num_relations = len(self.described)
        self._relation_added(index)
        return index

    def _relation_added(self, index: int) -> None:
        """Make room for the relation in whatever else depends on the number of relations."""
