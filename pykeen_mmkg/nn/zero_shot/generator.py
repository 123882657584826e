"""Relation vectors generated from descriptions, with or without a discriminator."""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from class_resolver import HintOrType, OptionalKwargs
from docdata import parse_docdata
from pykeen.nn.representation import Embedding, Representation
from pykeen.typing import BoolTensor, FloatTensor, LongTensor

from ...errors import DataError, MultimodalError
from ...options import strict
from .networks import Critic, Generator
from .self_trained import SelfTrained

__all__ = ["GeneratedRelationRepresentation", "GenerativeLearner", "Real"]


class Real(NamedTuple):
    """A batch of what a generator is to imitate."""

    #: shape: (b, n, d); real vectors of b relations; None where there is no discriminator to show them to
    samples: FloatTensor | None
    #: shape: (b, d); the centroid of each of these relations
    centroids: FloatTensor
    #: shape: (b, e); the text vectors of these relations
    texts: FloatTensor
    #: shape: (b, d); the centroid of another relation each
    others: FloatTensor
    #: shape: (b, n, d); vectors of pairs that these relations do not link; None where the hinge needs none
    negatives: FloatTensor | None = None


class GenerativeLearner(SelfTrained):
    r"""Trains a generator to imitate the vectors of relations.

    .. math::

        L_D &= -\mathbb{E}\,D(x) + \mathbb{E}\,D(G) + 10\,\mathrm{GP}
            + \tfrac12 \mathrm{hinge}(x) + \tfrac12 \mathrm{hinge}(G)\\
        L_G &= -\mathbb{E}\,D(G) + \mathrm{hinge}(G) + \lambda \|\mathbb{E}_z G(r, z) - \mathbf{c}_r\|_2

    The norm is averaged over the relations of a batch. With ``adversarial=False`` only the pivot, the last term, is
    left, which is a regression from texts to vectors.

    These are the terms and weights of ZSGAN [qin2020]_ and MRE [cai2024]_, if the hinge is one of ``pairs``: each of
    their pairs comes with another one that has a corrupted tail, whose score for the class has to be lower by a margin,
    see :meth:`.Critic.judge`. The default, ``centroids``, compares with the centroid of another relation.
    """

    noise: FloatTensor

    @strict(noise_dim=0, noise_scale=0, num_samples=1, gradient_penalty=0, critic_steps=0, lr=0, seed=0)
    def __init__(
        self,
        text_dim: int,
        dim: int,
        noise_dim: int = 15,
        noise_scale: float = 0.1,
        num_samples: int = 20,
        adversarial: bool = True,
        pivot: float = 3.0,
        margin: float = 5.0,
        hinge: Literal["centroids", "pairs"] = "centroids",
        gradient_penalty: float = 10.0,
        critic_steps: int = 1,
        critic_kwargs: OptionalKwargs = None,
        lr: float = 1e-4,
        seed: int = 0,
        **generator_kwargs: Any,
    ) -> None:
        """Initialize the learner.

        :param text_dim: the dimension of texts
        :param dim: the dimension of relation vectors
        :param noise_dim: the dimension of the noise, 0 for none
        :param noise_scale: the standard deviation of the noise when vectors are generated for use
        :param num_samples: over how many samples a vector for use is averaged
        :param adversarial: whether there is a discriminator
        :param pivot: the weight of the distance from the centroid
        :param margin: the margin of the classification hinge
        :param hinge: what a sample is compared with: ``centroids`` of other relations, or ``pairs`` with a corrupted
            tail, as published
        :param gradient_penalty: the weight of the gradient penalty, 0 for none
        :param critic_steps: the discriminator's steps for one of the generator
        :param critic_kwargs: further keyword arguments of :class:`Critic`
        :param lr: the learning rate
        :param seed: the seed of the noise of vectors for use
        :param generator_kwargs: further keyword arguments of :class:`Generator`, such as ``spectral`` and ``normalize``
        :raises MultimodalError: if there is nothing to train by
        """
        super().__init__()
        if not adversarial and pivot <= 0:
            raise MultimodalError("Without a discriminator (adversarial=False) the generator needs pivot > 0.")
        self.generator = Generator(text_dim, dim, noise_dim, **generator_kwargs)
        self.critic = Critic(dim, **(critic_kwargs or {})) if adversarial else None
        # without a discriminator there is no hinge
        self.needs_negatives = adversarial and hinge == "pairs"
        self.pivot, self.margin, self.gradient_penalty = pivot, margin, gradient_penalty
        self.critic_steps, self.lr = critic_steps, lr
        generator = torch.Generator().manual_seed(seed)
        noise = noise_scale * torch.randn(num_samples, noise_dim, generator=generator)
        self.register_buffer("noise", noise, persistent=False)

    def reset_parameters(self) -> None:
        """Forget the optimizers; the layers reset themselves."""
        self.forget()

    def sample(self, texts: FloatTensor) -> FloatTensor:
        """Generate the samples for use, with the same noise each time.

        :param texts: shape: ``(b, text_dim)``
        :returns: shape: ``(b, num_samples, dim)``; without noise one sample
        """
        return self.generator(texts, self.noise if self.generator.noise_dim else None)

    def _fake(self, texts: FloatTensor, n: int) -> FloatTensor:
        """Generate n samples; without noise they are all the same, so one; shape: ``(b, n, dim)``."""
        if not self.generator.noise_dim:
            return self.generator(texts)
        return self.generator(texts, torch.randn(len(texts), n, self.generator.noise_dim, device=texts.device))

    def _critic_loss(self, critic: Critic, real: Real) -> FloatTensor:
        assert real.samples is not None
        n = real.samples.shape[1]
        with torch.no_grad():
            fake = self._fake(real.texts, n).expand_as(real.samples)
        both = torch.cat([fake, real.samples], dim=1)
        realness, hinge = critic.judge(both, real.centroids, real.others, self.margin, real.negatives)
        loss = realness[:, :n].mean() - realness[:, n:].mean() + hinge.mean()
        if self.gradient_penalty:
            share = torch.rand(*real.samples.shape[:2], 1, device=fake.device)
            between = (share * real.samples + (1 - share) * fake).requires_grad_()
            (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
            loss = loss + self.gradient_penalty * (gradient.norm(dim=-1) - 1).square().mean()
        return loss

    def learn(self, draw: Callable[[bool], Real], n: int) -> float:
        """Take one step of the generator, after those of the discriminator.

        :param draw: a callable that returns a batch of :class:`Real`, detached; it is told whether real samples are
            needed
        :param n: the number of samples of each relation
        :returns: the generator's loss
        """
        adversary = self.critic
        if adversary is not None:
            for _ in range(self.critic_steps):
                optimizer = self.optimizer("critic", adversary.parameters(), self.lr, (0.5, 0.9))
                self.descend(optimizer, self._critic_loss(adversary, draw(True)))
        real = draw(False)
        fake = self._fake(real.texts, n)
        loss = self.pivot * (fake.mean(1) - real.centroids).norm(dim=-1).mean()
        if adversary is not None:
            realness, hinge = adversary.judge(fake, real.centroids, real.others, self.margin, real.negatives)
            loss = loss - realness.mean() + hinge.mean()
        self.descend(self.optimizer("generator", self.generator.parameters(), self.lr, (0.5, 0.9)), loss)
        return float(loss.detach())


@parse_docdata
class GeneratedRelationRepresentation(SelfTrained, Representation):
    r"""Seen relations have their trained vector, unseen ones the mean of generated ones.

    To be used with any interaction. The generator learns, after each step of the training loop, to map the text of a
    seen relation to its vector as it is then; see :class:`GenerativeLearner`. What is real is the trained vector, with
    a little normal noise, since there is only one of each relation.

    ---
    name: Generated Relations
    citation:
        author: Qin
        year: 2020
        link: https://arxiv.org/abs/2001.02332
        arxiv: 2001.02332
    """

    base: Representation
    seen: BoolTensor
    texts: FloatTensor

    @strict(max_id=1, batch_size=1, num_real=0, spread=0)
    def __init__(
        self,
        max_id: int | None = None,
        shape: Any = None,
        texts: FloatTensor | None = None,
        seen: BoolTensor | None = None,
        base: HintOrType[Representation] = None,
        base_kwargs: OptionalKwargs = None,
        batch_size: int = 32,
        num_real: int = 8,
        spread: float = 0.05,
        learner_kwargs: OptionalKwargs = None,
        **kwargs: Any,
    ) -> None:
        """Initialize the representation.

        :param max_id: the number of relations, by default that of the texts
        :param shape: the shape of a relation vector
        :param texts: shape: ``(max_id, e)``; the text vectors of the relations
        :param seen: shape: ``(max_id,)``; which relations have training triples
        :param base: what is trained for seen relations, by default an embedding; an instance or a name
        :param base_kwargs: its keyword arguments
        :param batch_size: the number of relations in a step of the generator
        :param num_real: the number of samples of each of them
        :param spread: the standard deviation of the noise around trained vectors, relative to theirs
        :param learner_kwargs: keyword arguments of :class:`GenerativeLearner`; unless said otherwise
            ``normalize=False`` and ``spectral=False``, so that vectors of any scale can be imitated
        :param kwargs: keyword arguments of :class:`~pykeen.nn.representation.Representation`
        :raises DataError: if the texts or the mask are missing or do not fit
        """
        if texts is None or seen is None:
            raise DataError(
                "GeneratedRelationRepresentation needs `texts`, the text vectors of all relations, and `seen`, which "
                "of them have training triples."
            )
        texts, seen = torch.as_tensor(texts).float(), torch.as_tensor(seen).bool()
        if texts.ndim != 2 or len(texts) != len(seen) or (max_id is not None and max_id != len(seen)):
            raise DataError(f"texts {tuple(texts.shape)}, seen {tuple(seen.shape)} and max_id={max_id} do not fit.")
        if int(seen.sum()) < 2:
            raise DataError("A generator needs at least two seen relations to learn from.")
        from pykeen.nn import representation_resolver  # late: its package may still be loading

        if isinstance(base, Representation):
            trained = base
        else:
            base_kwargs = {"shape": shape, **(base_kwargs or {})}
            trained = representation_resolver.make(base or Embedding, base_kwargs, max_id=len(seen))
        if shape is None:
            shape = trained.shape
        # neither the mixin nor the representation calls the other's constructor
        Representation.__init__(self, max_id=len(seen), shape=shape, **kwargs)
        self._optimizers, self._pending = {}, {}
        if trained.max_id != len(seen) or tuple(trained.shape) != tuple(self.shape):
            raise DataError(
                f"The base has {trained.max_id} vectors of shape {tuple(trained.shape)}; expected {len(seen)} of "
                f"{tuple(self.shape)}."
            )
        self.base = trained
        self.batch_size, self.num_real, self.spread = batch_size, num_real, spread
        self.register_buffer("seen", seen, persistent=False)
        self.register_buffer("texts", texts, persistent=False)
        width = math.prod(self.shape) * (2 if trained.is_complex else 1)
        defaults = dict(normalize=False, spectral=False, adversarial=False, lr=1e-3)
        self.learner = GenerativeLearner(texts.shape[-1], width, **{**defaults, **(learner_kwargs or {})})
        if self.learner.needs_negatives:
            raise MultimodalError("There are no pairs of entities here, so the hinge cannot be 'pairs'.")
        self.learner.joint = False  # it is driven from here

    def reset_parameters(self) -> None:
        """Reset the base and the generator."""
        self.base.reset_parameters()
        for module in self.learner.modules():
            reset = getattr(module, "reset_parameters", None)
            if module is not self.learner and callable(reset):
                reset()
        # those that draw their maps in a way of their own, after the maps
        self.learner.generator.reset_parameters()
        if self.learner.critic is not None:
            self.learner.critic.reset_parameters()
        self.learner.reset_parameters()
        self.forget()

    def _flat(self, relations: LongTensor) -> FloatTensor:
        """Return the trained vectors as real rows; shape: ``(b, width)``."""
        x = self.base(relations)
        if x.is_complex():
            x = torch.view_as_real(x)
        return x.reshape(len(relations), -1)

    def _draw(self, samples: bool) -> Real:
        ids = self.seen.nonzero().view(-1)
        chosen = ids[torch.randperm(len(ids), device=ids.device)[: self.batch_size]]
        shift = torch.randint(1, len(ids), (len(chosen),), device=ids.device)
        position = torch.searchsorted(ids, chosen)
        other = ids[(position + shift) % len(ids)]
        with torch.no_grad():
            both = self._flat(torch.cat([chosen, other]))
            own, others = both.chunk(2)
            real = None
            if samples:
                noise = torch.randn(len(own), self.num_real, own.shape[-1], device=own.device)
                real = own[:, None] + self.spread * own.std() * noise
        return Real(real, own, self.texts[chosen], others)

    def own_step(self) -> float:  # noqa: D102
        return self.learner.learn(self._draw, self.num_real)

    def _plain_forward(self, indices: LongTensor | None = None) -> FloatTensor:
        if indices is None:
            indices = torch.arange(self.max_id, device=self.seen.device)
        if bool(self.seen[indices].all()):
            return self.base(indices)
        # the base may not know relations that were added
        known = self.seen[indices]
        result = self.base(torch.where(known, indices, 0))
        with torch.no_grad():
            made = self.learner.sample(self.texts[indices[~known]]).mean(1)
            if result.is_complex():
                made = torch.view_as_complex(made.view(*made.shape[:-1], -1, 2).contiguous())
            made = made.view(-1, *self.shape).to(result.dtype)
        return result.index_put((~known,), made) if indices.ndim else made[0]

    def add(self, text: FloatTensor) -> int:
        """Add an unseen relation.

        :param text: shape: ``(e,)``; its text vector
        :returns: its id
        """
        self.texts = torch.cat([self.texts, text[None].to(self.texts)])
        self.seen = torch.cat([self.seen, self.seen.new_zeros(1)])
        self.max_id += 1
        return self.max_id - 1

    def get_extra_state(self) -> Any:  # noqa: D102
        added = len(self.texts) - self.base.max_id
        return {"texts": self.texts[len(self.texts) - added :]}

    def set_extra_state(self, state: Any) -> None:  # noqa: D102
        own = self.base.max_id
        self.texts = torch.cat([self.texts[:own], state["texts"].to(self.texts)])
        self.seen = torch.cat([self.seen[:own], self.seen.new_zeros(len(state["texts"]))])
        self.max_id = len(self.texts)
