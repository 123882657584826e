"""Configuration of Sphinx; `tox -e docs` builds the site."""

import importlib
import pathlib
import pkgutil
from typing import Any

from docutils import nodes

import pykeen_mmkg

HERE = pathlib.Path(__file__).parent

project = "pykeen-mmkg"
author = "The pykeen-mmkg developers"
copyright = author
version = release = pykeen_mmkg.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_click",
]
exclude_patterns = ["_build"]
html_theme = "sphinx_rtd_theme"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
add_module_names = False
modindex_common_prefix = ["pykeen_mmkg."]
autoclass_content = "both"
autodoc_typehints = "none"
autodoc_default_options = {"members": True, "show-inheritance": True}
# $...$ in the docstrings, as in PyKEEN's
mathjax3_config = {"tex": {"inlineMath": [["\\(", "\\)"], ["$", "$"]]}}

# The links to PyKEEN, torch and so on are made where there is a network (Read the Docs); the build needs none.
intersphinx_mapping = {
    "python": ("https://docs.python.org/3", None),
    "torch": ("https://pytorch.org/docs/stable", None),
    "pykeen": ("https://pykeen.readthedocs.io/en/latest", None),
    "class_resolver": ("https://class-resolver.readthedocs.io/en/latest", None),
}
intersphinx_timeout = 10

# what each room is for; a room that is not named here is shown with the others
TITLES = {
    "datasets": "Datasets",
    "features": "Feature stores",
    "encoders": "Encoders",
    "nn": "Representations, fusions, interactions",
    "models": "Models",
    "sampling": "Sampling",
    "training": "Training",
    "evaluation": "Evaluation",
    "baselines": "Baselines",
    "audit": "Audit",
    "study": "Studies",
    "serving": "Serving",
}


def write_reference(_app: Any) -> None:
    """Write a page of the API reference for each room of the package: every module, none by hand."""
    pages: dict[str, list[str]] = {}
    for module in pkgutil.walk_packages(pykeen_mmkg.__path__, "pykeen_mmkg."):
        room, *rest = module.name.split(".")[1:]
        if room.startswith("_"):
            continue
        # what a module re-exports is described where it is defined: one entry each
        content = importlib.import_module(module.name)
        public = [getattr(content, name) for name in getattr(content, "__all__", ())]
        foreign = all(getattr(value, "__module__", module.name) != module.name for value in public)
        own = "   :no-members:\n" if module.ispkg or (public and foreign) else ""
        heading = f"{module.name}\n{'-' * len(module.name)}\n\n" if rest or not module.ispkg else ""
        page = room if module.ispkg or rest else "others"
        pages.setdefault(page, []).append(f"{heading}.. automodule:: {module.name}\n{own}")
    folder = HERE / "reference" / "modules"
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.rst"):
        if path.stem not in pages:
            path.unlink()
    for page, entries in pages.items():
        title = TITLES.get(page, "Everything else" if page == "others" else page.capitalize())
        text = f"{title}\n{'=' * len(title)}\n\n" + "\n".join(entries)
        path = folder / f"{page}.rst"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def quiet_offline(app: Any) -> None:
    """Let a build without network pass: an inventory that cannot be fetched is no fault of the documentation."""
    import logging

    class Unreachable(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            return "failed to reach any of the inventories" not in str(record.msg)

    for handler in logging.getLogger("sphinx").handlers:
        handler.filters.insert(0, Unreachable())


def cite(_name: str, _raw: str, text: str, *_args: Any, **_kwargs: Any) -> tuple[list[nodes.Node], list]:
    """Refer to an entry of the references from Markdown, as ``[key]_`` does in reStructuredText."""
    return [nodes.citation_reference("", text, refname=text)], []


def setup(app: Any) -> None:
    """Make the pages of the reference before they are read."""
    app.add_role("cite", cite)
    app.connect("builder-inited", write_reference, priority=1)
    app.connect("builder-inited", quiet_offline, priority=2)
