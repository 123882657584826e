"""Models for relations without training triples, known by their description."""
