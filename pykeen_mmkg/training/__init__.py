"""Training loops for relations without training triples."""

from .checkpoint import guard

guard()
