"""Training loops for relations without training triples."""

from . import checkpoint, large_graphs

checkpoint.guard()
large_graphs.guard()
