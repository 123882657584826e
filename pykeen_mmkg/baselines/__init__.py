"""Trivial baselines, which every table of results shows beside the models."""
