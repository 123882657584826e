"""Training loops for relations without training triples."""
