"""The images that a table names: paths within its folder, also into archives, or addresses."""

import hashlib
import os
import pathlib

from ..errors import ImageError
from ..image_archives import find_member, image_size
from ..io import link_or_copy
from .image_urls import is_url

__all__ = ["image_parts", "place_image", "read_images"]

#: an environment variable: folders (as in PATH) outside of a table's own from which its images may be
IMAGE_PATH = "PYKEEN_MMKG_IMAGES"

#: the folder beside a table that is written in which images from elsewhere get a second name
LINKED = "linked_images"


def image_parts(field: str) -> list[str]:
    """Return the paths and URLs of an image column's cell."""
    return [part.strip() for part in field.split("|") if part.strip()]


def read_images(field: str, path: pathlib.Path, row: str) -> tuple[tuple[pathlib.Path, ...], tuple[str, ...]]:
    """Resolve the paths of an image column's cell.

    :param field: the cell
    :param path: the table
    :param row: the row, for messages
    :returns: the images, and those that are addresses
    :raises ImageError: if an image does not exist, or is where no image may be
    """
    listed = image_parts(field)
    images = []
    for part in (part for part in listed if not is_url(part)):
        image = path.parent / part
        within = [path.parent, *map(pathlib.Path, filter(None, os.environ.get(IMAGE_PATH, "").split(os.pathsep)))]
        if not any(_lies_in(image, folder) for folder in within):
            raise ImageError(
                f"{path}, {row}: the image {part!r} is outside of the table's folder. Put it there, or allow "
                f"its folder by the environment variable {IMAGE_PATH}"
            )
        if image_size(image) is None:
            raise ImageError(f"{path}, {row}: the image {part!r} does not exist (looked for {image})")
        images.append(image)
    return tuple(images), tuple(part for part in listed if is_url(part))


def _lies_in(path: pathlib.Path, folder: pathlib.Path) -> bool:
    """Return whether a path is that of something in a folder, as it is written: links are the folder's owner's."""
    return pathlib.PurePath(os.path.abspath(path)).is_relative_to(os.path.abspath(folder))


def place_image(image: pathlib.Path, folder: pathlib.Path) -> str:
    """Return the path of an image relative to a folder; one from elsewhere is linked there, or copied, first.

    :param image: the image
    :param folder: the folder
    """
    if not _lies_in(image, folder):
        if (found := find_member(image)) is not None:
            # the archive is linked whole, which costs nothing
            return f"{place_image(found[0], folder)}/{found[1]}"
        origin = hashlib.sha256(os.path.abspath(image.parent).encode("utf-8", "surrogateescape")).hexdigest()[:8]
        placed = folder / LINKED / origin / image.name
        if not placed.exists():
            link_or_copy(image, placed)
        image = placed
    return pathlib.Path(os.path.abspath(image)).relative_to(os.path.abspath(folder)).as_posix()
