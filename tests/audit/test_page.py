"""The page of an audit."""

import re
from html.parser import HTMLParser

from PIL import Image

from pykeen_mmkg.audit.checks import audit
from pykeen_mmkg.audit.page import audit_page
from pykeen_mmkg.audit.report import AuditReport, Finding
from pykeen_mmkg.datasets.example import write_example


class _Tags(HTMLParser):
    """Collects the elements of a page, and sees that each is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def _parse(page: str) -> _Tags:
    parser = _Tags()
    parser.feed(page)
    parser.close()
    assert not parser.open
    return parser


def test_equal_pictures_are_shown(tmp_path):
    """Both files of a picture that two entities have stand side by side; nothing is loaded from elsewhere."""
    write_example(tmp_path / "graph")
    images = tmp_path / "graph" / "images"
    images.joinpath("red_bar.png").write_bytes(images.joinpath("blue_disc.png").read_bytes())
    # an entity that has one picture twice is no leak, and shown as well
    images.joinpath("red_disc_2.png").write_bytes(images.joinpath("red_disc.png").read_bytes())
    images.joinpath("green_disc.png").write_bytes(b"no image")
    report = audit(str(tmp_path / "graph"), progress=False)
    (broken,) = report.select("broken-images")
    assert broken.details["files"] == [str(images / "green_disc.png")] and "green_disc.png" in broken.message
    page = audit_page(report)
    sources = [attributes["src"] for tag, attributes in _parse(page).found if tag == "img"]
    assert len(sources) == 4 and all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert sources[0] == sources[1] != sources[2] == sources[3]
    row = page.partition('<div class="equal">')[2].partition("</div>")[0]
    shown = re.findall(r"<figcaption>(.*?)</figcaption>", row)
    assert sorted(shown) == ["blue_disc (blue_disc.png)", "red_bar (red_bar.png)"]
    assert not re.search(r"(src|href)=.(http|/|file)", page)
    order = [attributes["class"] for tag, attributes in _parse(page).found if tag == "section"]
    assert order == sorted(order, key=["error", "warning", "info"].index) and "warning" in order


def test_everything_is_escaped(tmp_path):
    """Labels, messages and names of a dataset are text, never markup."""
    evil = "<script>alert(1)</script>"
    Image.new("RGB", (4, 4)).save(tmp_path / "x.png")
    findings = (
        Finding("duplicates", "error", evil, {"examples": [evil, [evil, "b"]]}),
        Finding(
            "duplicate-images", "warning", "x", {"images": [[{"file": str(tmp_path / "x.png"), "entities": [evil]}]]}
        ),
        Finding("duplicate-images", "warning", "x", {"images": [[{"file": f"{evil}.png", "entities": ["a"]}]]}),
    )
    page = audit_page(AuditReport(evil, evil, {evil: 1}, findings, ()))
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 8
    assert "cannot be decoded" in page
    _parse(page)
