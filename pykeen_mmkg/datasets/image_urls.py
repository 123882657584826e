"""Images that a table names by address: fetched when that is asked for, within limits, and kept beside the table.

The file of an image is called by a digest of its address, so that no name comes from elsewhere, and what is there is
not asked for again. It is kept if Pillow decodes it whole, as one of the formats that are read everywhere here. Nothing
else of what a server sends is ever written.
"""

import concurrent.futures
import dataclasses
import hashlib
import io
import pathlib
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from PIL import Image
from tqdm.auto import tqdm

from ..errors import DataError
from ..image_formats import FORMATS, register_formats
from ..io import written_whole
from ..options import check_keys, check_option
from .downloading import SCHEMES, AnswerError, RefusedError, TransientError, download

__all__ = ["FETCHED", "Fetched", "FetchRule", "fetch_images", "fetched_images", "is_url"]

#: the folder beside a table in which the images that it names by address are kept
FETCHED = "fetched_images"

#: held while an image is decoded: a small file can be a large picture, and one such is enough
_DECODING = threading.Lock()


@dataclasses.dataclass(frozen=True)
class FetchRule:
    """The limits within which images are fetched.

    :param max_bytes: the largest file, in bytes
    :param max_images: the most addresses of one table; with more, nothing is fetched
    :param seconds: how long one image may take, all attempts together
    :param workers: how many are asked for at a time
    """

    max_bytes: int = 20_000_000
    max_images: int = 100_000
    seconds: float = 60.0
    workers: int = 8

    def __post_init__(self) -> None:
        """Check the limits."""
        for field in dataclasses.fields(self):
            bound = 1e-3 if field.type is float else 1
            check_option(f"image_urls: {field.name}", getattr(self, field.name), field.type, bound)

    @classmethod
    def of(cls, given: "str | Mapping[str, Any] | FetchRule") -> "FetchRule | None":
        """Make a rule from ``"fetch"``, or from a mapping with some of its fields; of ``"skip"`` there is none.

        :param given: the word, the mapping, or a rule
        :returns: the rule, None if nothing is to be fetched
        :raises MultimodalError: if it is something else, or a limit is none
        """
        if isinstance(given, cls):
            return given
        if isinstance(given, Mapping):
            check_keys("image_urls", given, [field.name for field in dataclasses.fields(cls)])
            return cls(**given)
        if given not in ("skip", "fetch"):
            raise DataError(f"image_urls={given!r} must be 'skip', 'fetch', or a mapping of limits for fetching")
        return cls() if given == "fetch" else None


@dataclasses.dataclass(frozen=True)
class Fetched:
    """What became of the addresses that were asked for."""

    #: how many images came now
    new: int
    #: how many were there already
    kept: int
    #: address -> what is wrong with it
    failed: Mapping[str, str]

    def __str__(self) -> str:
        text = f"{self.new} images fetched, {self.kept} were there"
        if self.failed:
            url, fault = next(iter(self.failed.items()))
            text += f"; {len(self.failed)} could not be had, e.g. {url}: {fault}"
        return text


def is_url(image: str) -> bool:
    """Return whether the name of an image is an address that can be asked."""
    return image.lower().startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


def _stem(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def fetched_images(folder: pathlib.Path, urls: Iterable[str]) -> dict[str, pathlib.Path]:
    """Find the images that were fetched already.

    :param folder: the folder in which they are kept; it need not exist
    :param urls: the addresses
    :returns: address -> file, of those that are there
    """
    there = {path.stem: path for path in folder.iterdir()} if folder.is_dir() else {}
    return {url: there[stem] for url in urls if (stem := _stem(url)) in there}


def fetch_images(
    urls: Iterable[str], folder: pathlib.Path, rule: FetchRule | None = None, progress: bool = True
) -> Fetched:
    """Fetch images, but for those that are there; stopped, it goes on where it was at the next call.

    Asked are http and https alone, a redirect may lead from http to https and to no other scheme. The requests come
    from this machine, with its proxies: whoever wrote the table decides which servers it talks to.

    :param urls: the addresses
    :param folder: the folder in which images are kept
    :param rule: the limits
    :param progress: whether to show a progress bar
    :returns: what became of them
    :raises DataError: if there are more addresses than the rule allows; nothing is fetched then
    """
    rule = rule or FetchRule()
    wanted = list(dict.fromkeys(urls))
    if len(wanted) > rule.max_images:
        raise DataError(
            f"{len(wanted):,} images are named by address, more than max_images={rule.max_images:,}: nothing is "
            f"fetched. Allow as many by image_urls={{'max_images': {len(wanted)}}} (--max-images {len(wanted)})"
        )
    there = fetched_images(folder, wanted)
    missing = [url for url in wanted if url not in there]
    failed: dict[str, str] = {}
    bar = tqdm(total=len(wanted), initial=len(there), desc="Fetching images", unit="image", disable=not progress)
    pool = concurrent.futures.ThreadPoolExecutor(rule.workers)
    try:
        jobs = {pool.submit(_fetch, url, folder, rule): url for url in missing}
        for job in concurrent.futures.as_completed(jobs):
            if (fault := job.result()) is not None:
                failed[jobs[job]] = fault
            bar.update()
    finally:
        # what has not begun is not begun any more, say after Ctrl-C
        pool.shutdown(wait=True, cancel_futures=True)
        bar.close()
    ordered = {url: failed[url] for url in missing if url in failed}
    return Fetched(len(missing) - len(ordered), len(there), ordered)


def _fetch(url: str, folder: pathlib.Path, rule: FetchRule) -> str | None:
    """Fetch and keep one image; return what is wrong with it, None if nothing is."""
    try:
        data = download(url, rule.max_bytes, rule.seconds)
    except (AnswerError, RefusedError, TransientError) as error:
        return str(error)
    try:
        suffix = _suffix(data)
    except Exception as error:  # Pillow's decoders raise errors of many kinds
        return f"what it gives is no image that Pillow decodes here ({error})"
    with written_whole(folder / f"{_stem(url)}{suffix}") as temporary:
        temporary.write_bytes(data)
    return None


def _suffix(data: bytes) -> str:
    """Decode an image whole, and return the suffix of its format."""
    with _DECODING, Image.open(io.BytesIO(data), formats=register_formats()) as image:
        suffixes, name = FORMATS[str(image.format)], f".{str(image.format).lower()}"
        image.load()
    return name if name in suffixes else min(suffixes)
