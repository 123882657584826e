"""Which files of an image folder belong to which label, and which belong to none."""

import os
import pathlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from ..errors import DataError, ImageError
from ..image_archives import ARCHIVE_SUFFIX, image_size, members
from ..image_formats import IMAGE_SUFFIXES

__all__ = ["ImageName", "describe_unmatched", "find_images"]

#: how images are called: a pattern with ``{label}``, or ``{"name": pattern, "replace": {text in a label: other text}}``
ImageName = str | Mapping[str, Any]

_NUMBERED = re.compile(r"(.+)_(\d+)", flags=re.DOTALL)
_DIGITS = re.compile(r"(\d+)")


def _natural(path: pathlib.Path) -> tuple[tuple[int, int, str], ...]:
    """Sort ``a_10.jpg`` after ``a_2.jpg``."""
    return tuple((1, int(part), "") if part.isdecimal() else (0, 0, part) for part in _DIGITS.split(path.name))


def _pattern(image_name: ImageName) -> tuple[str, Mapping[str, str]]:
    """Check how images are called, and return the pattern and the replacements."""
    name, replace = image_name, {}
    if isinstance(image_name, Mapping):
        if unknown := sorted(set(map(str, image_name)) - {"name", "replace"}):
            raise DataError(f"image_name has the unknown key {unknown[0]!r}; it can have 'name' and 'replace'")
        name, replace = image_name.get("name", "{label}"), image_name.get("replace", {})
    if not isinstance(name, str) or "{label}" not in name:
        raise DataError(f"image_name={name!r} lacks {{label}}; for example 'n{{label}}' for n<label>_0.jpg")
    if not isinstance(replace, Mapping) or not all(
        isinstance(old, str) and old and isinstance(new, str) for old, new in replace.items()
    ):
        raise DataError(f"image_name: replace={replace!r} must map texts in labels to others, such as {{'/': '.'}}")
    return name, replace


class _Owners:
    """The labels by what their images can be called: as they are, or else by forms of them that one label alone has."""

    def __init__(self, labels: Iterable[str], image_name: ImageName) -> None:
        pattern, replace = _pattern(image_name)
        self.names: dict[str, str] = {}
        self.forms: dict[str, str | None] = {}
        for label in labels:
            text = label
            for old, new in replace.items():
                text = text.replace(old, new)
            self.names[pattern.replace("{label}", text)] = label
            for form in {pattern.replace("{label}", form) for form in _forms(text)}:
                self.forms[form] = label if self.forms.get(form, label) == label else None

    def folder(self, name: str) -> str | None:
        """Return the label that a folder is called by."""
        return self.names.get(name) or self.names.get(unquote(name)) or self.forms.get(_form(unquote(name)))

    def nearest(self, inside: str, name: str, label: str | None) -> str | None:
        """Return the label of what a folder holds: by its name or path inside, else that of the folder around it."""
        return self.folder(name) or self.folder(f"{inside}{name}") or label

    def file(self, stem: str) -> str | None:
        """Return the label that a file is called by, possibly with a number behind it."""
        for names, candidates in ((self.names, (stem, unquote(stem))), (self.forms, (_form(unquote(stem)),))):
            for name in candidates:
                if label := names.get(name):
                    return label
            for name in candidates:
                if (match := _NUMBERED.fullmatch(name)) and (label := names.get(match.group(1))):
                    return label
        return None


def _form(name: str) -> str:
    return unicodedata.normalize("NFC", name).replace(" ", "_")


def _forms(label: str) -> Iterator[str]:
    """Give the forms of a label that names of files have: composed, underscores for spaces, other signs for slashes."""
    form = _form(label)
    yield form
    if "/" in form:
        yield from (form.strip("/").replace("/", char) for char in "._/")


def find_images(
    folder: str | pathlib.Path, labels: Iterable[str], image_name: ImageName = "{label}"
) -> tuple[dict[str, tuple[pathlib.Path, ...]], tuple[pathlib.Path, ...]]:
    """Find the images of labels in a folder, at any depth.

    An image belongs to a label if it is called ``<label>.<suffix>`` or ``<label>_<number>.<suffix>``, or lies in a
    folder ``<label>``, however deep (of several such folders, the nearest counts). The name can be URL-quoted
    (``%2Fm%2F0100mt.jpg``), for labels with characters that file names cannot have. A name that is itself a label
    belongs to that label: with the labels ``a`` and ``a_1``, ``a_1.jpg`` is of the latter.

    Images in tar archives are read where they are (:mod:`pykeen_mmkg.image_archives`): an archive counts as an image
    folder of its own, and if it is called ``<label>.tar``, all that it holds belongs to that label.

    What is called as no label may be called as a form of just one: in another form of Unicode (NFD for NFC), with
    underscores for spaces or spaces for underscores, or, of a label with slashes, without those at its ends and with
    ``.`` or ``_`` for the others (``m.06xyz`` for ``/m/06xyz``) or as nested folders (``m/06xyz``).

    :param folder: the image folder
    :param labels: the labels
    :param image_name: the name of a label's images, with ``{label}`` in place of the label; ``n{label}`` finds
        ``n00001930_0.jpg`` for the label ``00001930``. With a rule of replacement, it is a mapping:
        ``{"name": "n{label}", "replace": {":": "-"}}``
    :returns: the images per label that has any, in natural order (2 before 10); and the files of no label, that is,
        images whose name fits none, and whatever is no image by its suffix or no regular file
    :raises ImageError: if the folder, or one in it, does not exist or cannot be read
    :raises DataError: if the image name does not hold ``{label}``
    """
    owners = _Owners(labels, image_name)
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise ImageError(f"image folder {folder} does not exist or is no folder")
    found: dict[str, list[pathlib.Path]] = {}
    unmatched: list[pathlib.Path] = []
    for path, inside, within in _walk(folder, "", None, owners, frozenset()):
        label = None
        if inside is not None:
            inside = inside.removesuffix(path.suffix)
            label = within or owners.file(path.stem) or ("/" in inside and owners.file(inside)) or None
        if label is None:
            unmatched.append(path)
        else:
            found.setdefault(label, []).append(path)
    return {label: tuple(sorted(paths, key=_natural)) for label, paths in found.items()}, tuple(sorted(unmatched))


def _walk(
    folder: pathlib.Path, inside: str, label: str | None, owners: _Owners, above: frozenset[str]
) -> Iterator[tuple[pathlib.Path, str | None, str | None]]:
    """Give the files of a folder that are not hidden.

    :yields: the path, the name within the folder if it is an image, and the label of the nearest folder that has one
    """
    try:
        with os.scandir(folder) as entries:
            listed = [(entry.name, _is_folder(entry)) for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise ImageError(f"the image folder {folder} cannot be read: {error.strerror or error}") from None
    above |= {os.path.realpath(folder)}
    for name, is_folder in listed:
        path = folder / name
        if not is_folder and path.suffix.lower() == ARCHIVE_SUFFIX and path.is_file():
            yield from _walk_archive(path, owners.nearest(inside, path.stem, label), owners)
        elif not is_folder:
            yield path, f"{inside}{name}" if _is_image(path) and path.is_file() else None, label
        # a link to a folder that it is in would never end
        elif os.path.realpath(path) not in above:
            yield from _walk(path, f"{inside}{name}/", owners.nearest(inside, name, label), owners, above)


def _walk_archive(
    archive: pathlib.Path, label: str | None, owners: _Owners
) -> Iterator[tuple[pathlib.Path, str | None, str | None]]:
    """Give the files of an archive that are not hidden, as :func:`_walk` does those of a folder."""
    for member in members(archive):
        *folders, name = member.split("/")
        if any(part.startswith(".") for part in (*folders, name)):
            continue
        within, inside = label, ""
        for part in folders:
            within = owners.nearest(inside, part, within)
            inside += f"{part}/"
        path = archive / member
        yield path, member if _is_image(path) else None, within


def _is_image(path: pathlib.Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def _is_folder(entry: os.DirEntry[str]) -> bool:
    # a link to itself is an error for the entry, but no folder
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def describe_unmatched(unmatched: Iterable[pathlib.Path], total: int, kind: str = "entity") -> Iterator[str]:
    """Say which files of an image folder belong to no label.

    :param unmatched: the files, see :func:`find_images`
    :param total: the number of image files that belong to a label
    :param kind: what the labels are of
    :returns: up to three sentences
    """
    unmatched = list(unmatched)
    special = [path for path in unmatched if image_size(path) is None]
    images = [path for path in unmatched if _is_image(path) and path not in special]
    others = [path for path in unmatched if not _is_image(path) and path not in special]
    if images:
        yield f"{len(images)} of {total + len(images)} image files belong to no {kind}, e.g. {_some(images)}"
    if others:
        yield f"{len(others)} files in the image folder are no images by their suffix, e.g. {_some(others)}"
    if special:
        yield f"{len(special)} files in the image folder are no regular files or broken links, e.g. {_some(special)}"


def _some(paths: list[pathlib.Path]) -> str:
    # repr, for the name of a file can hold what cannot be printed
    return ", ".join(repr(path.name) for path in paths[:3])
