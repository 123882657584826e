"""The documentation: its examples run, its commands exist, its citations and pages are complete."""

import pathlib
import re
import shlex

import pytest
from click.testing import CliRunner

from pykeen_mmkg.cli import main
from pykeen_mmkg.datasets.example import write_example
from pykeen_mmkg.encoders import encode_texts
from pykeen_mmkg.evaluation.evaluator import ProtocolEvaluator
from pykeen_mmkg.nn.fusion import fusion_resolver

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
HUB = "openai/clip-vit-base-patch32"


def blocks(path: pathlib.Path, *languages: str) -> list[tuple[str, str]]:
    """Return the code blocks of a page in their order, as pairs of language and code."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [(language, code) for language, code in found if language in languages]


def run_page(path: pathlib.Path, encoder: pathlib.Path | None = None) -> dict[str, object]:
    """Run the Python blocks of a page in one namespace, and its commands, in the working directory."""
    namespace: dict[str, object] = {}
    for language, code in blocks(path, "python", "shell"):
        code = code.replace(HUB, str(encoder))
        if language == "python":
            exec(compile(code, str(path), "exec"), namespace)
            continue
        for line in code.splitlines():
            program, *arguments = shlex.split(line, comments=True) or [""]
            # the demo is long, and a server does not end
            if program == "pykeen-mmkg" and arguments[0] not in ("demo", "serve"):
                result = CliRunner().invoke(main, arguments)
                assert result.exit_code == 0, f"{line}\n{result.output}"
    return namespace


@pytest.fixture
def graph(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A working directory that holds the graph of the page on a first graph."""
    monkeypatch.chdir(tmp_path)
    write_example("mygraph")
    return tmp_path / "mygraph"


def test_installation(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names are there."""
    monkeypatch.chdir(tmp_path)
    run_page(DOCS / "installation.md")


def test_first_graph(dual_encoder, tmp_path: pathlib.Path, monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    """From an empty folder to an answer, which is one of the graph's entities."""
    monkeypatch.chdir(tmp_path)
    result = run_page(DOCS / "first_graph.md", dual_encoder)["result"]
    assert result.training.num_entities == 16
    assert len(list(tmp_path.glob("mygraph/images/*.png"))) == 16
    assert set(re.findall(r"\w+_(?:disc|square|bar|frame)", capsys.readouterr().out))


@pytest.mark.parametrize("page", ["howto", "peers", "evaluation", "runs", "serving", "scale"])
def test_pages(page: str, dual_encoder, graph: pathlib.Path) -> None:
    """Each section of these pages runs on the graph of the first."""
    if page == "serving":
        pytest.importorskip("fastapi")
    if page == "scale":
        pytest.importorskip("pytorch_lightning")
    run_page(DOCS / f"{page}.md", dual_encoder)


def test_contributing(graph: pathlib.Path) -> None:
    """The encoder, the fusion, the dataset and the protocol that one is shown how to add do what they say."""
    names = run_page(ROOT / "CONTRIBUTING.md")
    try:
        store = encode_texts({"x": "abba"}, names["LetterEncoder"](), directory=graph / "cache")
        assert store.vectors[0, :3].tolist() == [2, 2, 0]

        import torch

        fusion = fusion_resolver.make("maximum", modalities=["a", "b"], dim=2)
        xs = [torch.tensor([[1.0, 5.0]] * 3), torch.tensor([[2.0, 4.0]] * 3)]
        mask = torch.tensor([[True, True], [True, False], [False, False]])
        assert fusion(xs, mask).tolist() == [[2, 5], [1, 5], [0, 0]]

        assert names["MyGraph"]().num_entities == 16
        evaluator = names["EitherDirectionEvaluator"]()
        assert isinstance(evaluator, ProtocolEvaluator)
        assert evaluator.filter_triples(torch.tensor([[0, 1, 2]])).tolist() == [[0, 1, 2], [2, 1, 0]]
    finally:
        fusion_resolver.lookup_dict.pop("maximum", None)


SHELL = [
    (path.name, line)
    for path in sorted(DOCS.glob("*.md"))
    for _, code in blocks(path, "shell", "")
    for line in code.splitlines()
    if line.startswith(("pykeen-mmkg", "pykeen ", "python "))
]


@pytest.mark.parametrize(("page", "line"), SHELL)
def test_commands_exist(page: str, line: str) -> None:
    """Commands that a page shows: our options are known, and files of the repository are there."""
    program, *arguments = shlex.split(line, comments=True)
    if program == "pykeen-mmkg":
        text = CliRunner().invoke(main, [arguments[0], "--help"]).output
        for option in (argument for argument in arguments if argument.startswith("-")):
            assert option in text, f"{page}: pykeen-mmkg {arguments[0]} has no {option}"
    for argument in arguments:
        if argument.startswith(("examples/", "scripts/", "benchmarks/")):
            assert (ROOT / argument).is_file(), f"{page}: there is no {argument}"


def test_no_folder_of_one_machine() -> None:
    """Examples and pages name no folder that only our machines have."""
    files = [ROOT / "README.md", *ROOT.glob("*.md"), *DOCS.glob("*.md"), *(ROOT / "examples").rglob("*.*")]
    assert len(files) > 10
    for path in files:
        text = path.read_text(encoding="utf-8")
        found = re.search(r"(\.\./)?shared/\S*|/work/\S*|/root/\S*", text)
        assert not found, f"{path.relative_to(ROOT)} names {found and found[0]}"


def test_citations() -> None:
    """Each citation has an entry in the references, and each entry is cited."""
    defined = re.findall(r"^\.\. \[(\w+)\]", (DOCS / "references.rst").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(defined) == len(set(defined))
    sources = [*DOCS.glob("*.md"), *DOCS.glob("*.rst"), *(ROOT / "pykeen_mmkg").rglob("*.py")]
    used = {
        key
        for path in sources
        for pair in re.findall(r"\[(\w+\d{4}\w?)\]_|\{cite\}`(\w+)`", path.read_text(encoding="utf-8"))
        for key in pair
        if key
    }
    assert used == set(defined)


def test_pages_are_listed() -> None:
    """Each page stands in a table of contents."""
    index = (DOCS / "index.md").read_text(encoding="utf-8").splitlines()
    files = [path for path in DOCS.rglob("*.*") if path.suffix in {".md", ".rst"}]
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in files}
    pages = {page for page in pages if not page.startswith(("reference/modules", "_build"))} - {"index"}
    assert pages <= set(index), pages - set(index)
