"""Models: thin classes that assemble representations and an interaction."""

from .identity import guard

guard()
