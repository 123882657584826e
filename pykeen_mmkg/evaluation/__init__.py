"""Named protocols of evaluation, breakdowns, and results that say how they were obtained."""
