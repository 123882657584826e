"""Models: thin classes that assemble representations and an interaction."""
