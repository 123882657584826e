"""Representations, fusions and interactions for multimodal knowledge graphs."""
