"""Negative samplers and filterers of known triples."""
