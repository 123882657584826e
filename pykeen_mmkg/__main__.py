"""``python -m pykeen_mmkg``: the command line, see :mod:`pykeen_mmkg.cli`."""

from .cli import main

if __name__ == "__main__":
    main(prog_name="python -m pykeen_mmkg")
