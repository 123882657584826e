"""Complex vectors for PyKEEN's complex interactions: the real part is fused, the imaginary part is not."""

from typing import Any

import torch
from class_resolver import OptionalKwargs
from docdata import parse_docdata
from pykeen.nn.representation import Embedding
from pykeen.typing import BoolTensor, FloatTensor, LongTensor
from torch import nn
from torch.nn import functional

from ..errors import MultimodalError
from ..options import strict
from .multimodal import MultimodalRepresentation
from .residual import ResidualRegularizer
from .row_tables import set_sparse_option, split_sparse_option

__all__ = ["IMAGINARY", "ComplexMultimodalRepresentation"]


#: the modality without which there is no imaginary part in the authors' inductive mode
TEXTUAL = "textual"

#: how the imaginary part of an id comes about that has no row of its own in the table
IMAGINARY = ("distil", "joint", "structural", "author")


def _complex(real: FloatTensor, imaginary: FloatTensor) -> FloatTensor:
    """Combine two parts; under autocast one or both may be of half precision, of which there is no complex type."""
    dtype = torch.promote_types(torch.promote_types(real.dtype, imaginary.dtype), torch.float)
    return torch.complex(real.to(dtype), imaginary.to(dtype))


@parse_docdata
class ComplexMultimodalRepresentation(MultimodalRepresentation):
    r"""A :class:`MultimodalRepresentation` as the real part, and a structural embedding as the imaginary part.

    This is the form of VL-ComplEx and VL-RotatE where training knows all ids, as on WN9-IMG. For graphs with unseen
    entities the code of VL-KGE has another form (``author`` below), in which entities without text, seen or not, have
    no imaginary part. Not theirs is what is done here by default: an id seen in training has its row of the table; an
    unseen one, whose row would mean nothing, has the imaginary part $\mathbf{W} \mathbf{f}$, where $\mathbf{f}$ are
    its features, fused (which is its real part). What trains W depends on `imaginary`:

    - ``distil`` (default): W is a least-squares regression from the features to the table, on the seen ids of each
      batch,

      .. math::

          \operatorname{mean} (\mathbf{W} \operatorname{sg}(\mathbf{f}_e) - \operatorname{sg}(\mathbf{y}_e))^2

      with sg for stop-gradient, so that no other gradient changes in the least. The term reaches the loss the way
      PyKEEN's regularizers do. It starts from W = 0, from which the gradient leads away at once. An unseen id
      that occurs in training can be there as a negative only; then it does not train W.
    - ``joint``: the loss itself trains W, through ids that are treated as unseen, and through unseen negatives.
      W starts at random.
    - ``structural``: there is no W; an unseen id keeps the untrained row of the table. For comparison.
    - ``author``: there is no W; an id that has the modality ``textual`` has its row of the table, seen or not, and the
      imaginary part of all others is zero. The code of VL-KGE in its inductive mode: it has $\tanh(g) \mathbf{W}
      \mathbf{f}$ for the latter, with g and W both zero at first, so that neither ever gets a gradient.

    With ``structural_dropout``, an id that is treated as unseen gets its imaginary part from W, too (``distil`` and
    ``joint``), and trains it through the loss.

    Without the structural modality there is no table unless ``structural``, since it would be structure: the imaginary
    part of every id is $\mathbf{W} \mathbf{f}$, trained by the loss.

    ---
    name: Complex Multimodal
    citation:
        author: Efthymiou
        year: 2026
        link: https://arxiv.org/abs/2603.02435
        github: thefth/vl-kge
    """

    #: the structural embedding of the imaginary parts
    table: Embedding | None

    #: W, shape (d, d); None if every imaginary part comes from the table
    projection: nn.Parameter | None

    #: how often W has been fitted to some of the ids only
    fit_step: torch.Tensor

    @strict(imaginary_fit=0, fit_rows=1)
    def __init__(
        self,
        *args: Any,
        imaginary: str = "distil",
        imaginary_fit: float = 1.0,
        imaginary_kwargs: OptionalKwargs = None,
        fit_rows: int = 512,
        **kwargs: Any,
    ) -> None:
        """Initialize the representation.

        :param args: positional parameters of :class:`~pykeen_mmkg.nn.multimodal.MultimodalRepresentation`
        :param imaginary: ``distil``, ``joint``, ``structural`` or ``author``, see above
        :param imaginary_fit: the weight of the regression in the loss; 0 leaves W untrained
        :param imaginary_kwargs: keyword arguments of the table, an :class:`~pykeen.nn.representation.Embedding`, such
            as a regularizer; and ``sparse``, as for the structural embedding
        :param fit_rows: the number of ids at most that one forward pass fits W to
        :param kwargs: keyword parameters of :class:`~pykeen_mmkg.nn.multimodal.MultimodalRepresentation`
        :raises MultimodalError: if there is no such way to an imaginary part, or it needs texts that there are not
        """
        if imaginary not in IMAGINARY:
            raise MultimodalError(f"Unknown imaginary={imaginary!r}; choose one of {', '.join(IMAGINARY)}.")
        super().__init__(*args, **kwargs)
        dim = self.fusion.output_dim
        column = self.structural_column
        self.imaginary = imaginary
        self.imaginary_fit = imaginary_fit
        self.fit_rows = fit_rows
        unseen = column is not None and not bool(self.mask[:, column].all())
        if imaginary == "author" and TEXTUAL not in self.modalities:
            raise MultimodalError("imaginary='author' needs the modality 'textual': what has no text has no such part.")
        own = imaginary in {"structural", "author"}
        tabled = column is not None or own
        given, sparse = split_sparse_option(imaginary_kwargs)
        options = {"initializer": nn.init.xavier_uniform_, **given}
        self.table = Embedding(self.max_id, shape=dim, **options) if tabled else None
        if self.table is not None:
            set_sparse_option(self.table, sparse)
        derived = not own and (not tabled or unseen or any(self.dropouts))
        self.projection = nn.Parameter(torch.zeros(dim, dim)) if derived else None
        distil = imaginary == "distil" and tabled and unseen
        self.distillation = ResidualRegularizer(weight=imaginary_fit) if distil else None
        if distil:
            # part of the state: a training that is resumed goes on with the ids that are due
            self.register_buffer("fit_step", torch.zeros((), dtype=torch.long))
        self.reset_parameters()

    def reset_parameters(self) -> None:  # noqa: D102
        super().reset_parameters()
        if not hasattr(self, "imaginary"):
            return  # the constructor of the super class is at work
        if self.table is not None:
            self.table.reset_parameters()
        if self.projection is not None:
            if self.distillation is None:
                nn.init.xavier_uniform_(self.projection)
            else:
                nn.init.zeros_(self.projection)
                self.fit_step.zero_()

    def _plain_forward(self, indices: LongTensor | None = None) -> FloatTensor:
        if indices is not None:
            indices = indices.to(self.mask.device)
        real, mask = self._fused(indices)
        if self.table is None:
            assert self.projection is not None
            return _complex(real, functional.linear(real, self.projection))
        imaginary = self.table(indices)
        if self.imaginary == "author":
            has_text = self.mask[:, self.modalities.index(TEXTUAL)]
            imaginary = imaginary * (has_text if indices is None else has_text[indices]).unsqueeze(-1)
        if self.projection is not None and mask is not None:
            own = self.mask if indices is None else self.mask[indices]
            if self.imaginary_fit and self.distillation is not None and self.training and torch.is_grad_enabled():
                self._distil(indices, own, imaginary)
            imaginary = self._derive(real, imaginary, own, mask)
        return _complex(real, imaginary)

    def _derive(self, real: FloatTensor, imaginary: FloatTensor, own: BoolTensor, mask: BoolTensor) -> FloatTensor:
        """Replace the imaginary part of ids without structure.

        :param real: shape ``(*s, d)``, the fused vectors
        :param imaginary: shape ``(*s, d)``, the rows of the table
        :param own: shape ``(*s, M)``, what the ids have
        :param mask: shape ``(*s, M)``, what dropout has left of it
        :returns: shape ``(*s, d)``
        """
        assert self.projection is not None
        column = self.structural_column
        unseen, missing = ~own[..., column], ~mask[..., column]
        if self.distillation is not None and unseen.any():
            # an unseen id is a negative whenever it occurs in training: it would only teach W to push it away
            derived = functional.linear(real[unseen].detach(), self.projection.detach())
            imaginary = imaginary.index_put((unseen,), derived.to(imaginary.dtype))
            missing = missing & ~unseen
        if missing.any():
            derived = functional.linear(real[missing], self.projection)
            imaginary = imaginary.index_put((missing,), derived.to(imaginary.dtype))
        return imaginary

    @torch.no_grad()
    def derive_unseen(self) -> None:
        """Get what unseen ids need, where an id without structure has come after training and none was there before.

        W is then the regression of which ``distil`` takes the gradient, from the features to the table on all seen ids,
        solved at once.
        """
        column = self.structural_column
        if self.table is None or column is None or self.imaginary not in {"distil", "joint"}:
            return
        if bool(self.mask[:, column].all()):
            return
        if self.distillation is None and self.imaginary == "distil":
            self.distillation = ResidualRegularizer(weight=self.imaginary_fit)
            self.register_buffer("fit_step", torch.zeros((), dtype=torch.long, device=self.mask.device))
        if self.projection is None:
            self.projection = nn.Parameter(self._regression())

    def _regression(self) -> FloatTensor:
        """Return the least-squares map from the features of seen ids, fused, to their rows of the table."""
        assert self.table is not None
        was, _ = self.training, self.eval()
        dim = self.fusion.output_dim
        gram, cross = torch.zeros(dim, dim, device=self.mask.device), torch.zeros(dim, dim, device=self.mask.device)
        mask = self.mask.clone()
        mask[:, self.structural_column] = False
        for ids in (self.mask[:, self.structural_column] & mask.any(dim=-1)).nonzero()[:, 0].split(self.chunk_size):
            features = self.fusion(self._inputs(ids), mask[ids])
            gram += features.T @ features
            cross += features.T @ self.table(ids)
        self.train(was)
        # where features span less than the space, the smallest solution
        gram.diagonal().add_(1e-4 * gram.diagonal().mean().clamp(min=torch.finfo(gram.dtype).tiny))
        return torch.linalg.solve(gram, cross).T.contiguous()

    def _distil(self, indices: LongTensor | None, own: BoolTensor, imaginary: FloatTensor) -> None:
        """Add to the loss how far the projection is from the table on the seen ids.

        :param indices: shape ``s``, the ids, or None for all
        :param own: shape ``(*s, M)``, what the ids have
        :param imaginary: shape ``(*s, d)``, the rows of the table
        """
        assert self.projection is not None
        assert self.distillation is not None
        column = self.structural_column
        with torch.no_grad():
            mask = own.flatten(end_dim=-2).clone()
            seen = mask[:, column].clone()
            mask[:, column] = False
            rows = (seen & mask.any(dim=-1)).nonzero().squeeze(-1)
            if not len(rows):
                return
            # few rows do for a regression: every n-th, beginning with another one each time
            stride = -(-len(rows) // self.fit_rows)
            if stride > 1:
                rows = rows[int(self.fit_step) % stride :: stride]
                self.fit_step += 1
            ids = rows if indices is None else indices.flatten()[rows]
            features = self.fusion(self._inputs(ids), mask[rows])
            target = imaginary.flatten(end_dim=-2)[rows]
        self.distillation.update(functional.linear(features, self.projection) - target)
