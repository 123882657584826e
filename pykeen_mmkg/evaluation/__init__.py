"""Named protocols of evaluation, results that say how they were obtained, and their breakdown.

Import from the modules: the resolvers of PyKEEN load :mod:`~pykeen_mmkg.evaluation.protocols` while PyKEEN itself is
still being imported.
"""
