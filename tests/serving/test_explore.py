"""The pages: by themselves, and as a browser shows them."""

import pathlib
import re
import shutil
import socket
import threading
import time

import pytest

from pykeen_mmkg.serving.application import make_application
from pykeen_mmkg.serving.explore import explore_page, reference_page
from pykeen_mmkg.serving.limits import Limits
from pykeen_mmkg.serving.service import NewItem

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def test_self_contained() -> None:
    """Nothing from elsewhere, nothing inline but what the policy allows by its digest, no markup made from text."""
    page, policy = explore_page()
    assert not re.search(r"""(src|href)=["'`](http|//|/)|@import|url\(""", page)
    assert "innerHTML" not in page and "insertAdjacentHTML" not in page and "eval(" not in page
    assert len(re.findall(r"<script", page)) == len(re.findall(r"<style", page)) == 1
    assert not re.search(r"\s(on\w+|style)=", page.partition("<script>")[0])
    assert policy.count("sha256-") == 2 and "unsafe" not in policy and policy.startswith("default-src 'none'")
    assert explore_page()[1] == policy


def test_reference() -> None:
    """Each way to ask, with its parameters, escaped."""
    evil = "<script>"
    schema = {
        "info": {"title": evil, "version": "1"},
        "components": {"schemas": {"Body": {"properties": {"image": {"description": evil}}}}},
        "paths": {
            "/x": {
                "get": {
                    "summary": evil,
                    "parameters": [{"name": "k", "in": "query", "description": evil, "schema": {"default": 10}}],
                },
                "post": {"requestBody": {"content": {"a/b": {"schema": {"$ref": "#/components/schemas/Body"}}}}},
            }
        },
    }
    page, policy = reference_page(schema)
    assert "<script" not in page and page.count("&lt;script&gt;") == 5
    assert "GET /x" in page and "POST /x" in page and "image" in page and ">10<" in page
    assert "script-src 'none'" in policy


@pytest.fixture(scope="module")
def address(service):
    """The application on a port of this machine."""
    uvicorn = pytest.importorskip("uvicorn")
    pytest.importorskip("fastapi")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = make_application(service, Limits(rate=0))
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def browser():
    """A real browser."""
    api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium")
    with api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture
def page(browser, address):
    """The page to explore with; whatever it complains about, or loads from elsewhere, is a failure."""
    page = browser.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith((address, "data:")) else wrong.append(asked.url))
    page.goto(address)
    page.wait_for_selector("#examples button")
    yield page
    # the browser tells of every refusal
    assert [text for text in wrong if "status of 400" not in text] == []
    page.close()


def test_prediction(page, service) -> None:
    """Completed by a few letters, asked, and shown with pictures, texts, shares, and what is true."""
    page.fill("input[name=head]", "thing 1")
    page.click(".list li:has-text('e12')")
    page.fill("input[name=relation]", "succ")
    page.wait_for_selector(".list li")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.input_value("input[name=head]") == "thing 12"
    assert page.input_value("input[name=relation]") == "successor 1"
    page.click("#predict button")
    page.wait_for_selector("#predictions")
    expected = service.predict({"head": "e12", "relation": "r1"}, explain=True)["answers"]
    rows = page.locator("#predictions tr").all()[1:]
    assert len(rows) == len(expected) == 10
    for row, answer in zip(rows, expected, strict=True):
        text = row.inner_text()
        assert answer["label"] in text and answer["description"] in text and f"{answer['score']:.3f}" in text
        assert row.locator("img").count() == min(answer["images"], 3)
        assert (f"true ({answer['known']})" in text) == (answer["known"] is not None)
        sizes = [abs(share) for share in answer["shares"].values()]
        assert row.locator(".bar span").count() == sum(size >= 0.02 * sum(sizes) for size in sizes)
    assert any(answer["known"] for answer in expected)
    widths = page.eval_on_selector_all("#predictions img", "images => images.map((x) => x.naturalWidth)")
    assert widths and all(widths)
    assert "softmax" in page.inner_text("#message")
    # the address holds the question
    page.reload()
    page.wait_for_selector("#predictions")
    assert page.locator("#predictions tr").count() == 11
    assert page.input_value("input[name=head]") == "thing 12"
    assert not page.is_visible("#similar")


def test_similar(page, tmp_path: pathlib.Path) -> None:
    from PIL import Image

    page.click("nav button:has-text('Similar')")
    Image.new("RGB", (9, 9), (120, 135, 0)).save(tmp_path / "x.png")
    page.set_input_files("input[name=image]", tmp_path / "x.png")
    page.click("#similar button")
    page.wait_for_selector("#neighbours")
    assert "e12" in page.locator("#neighbours tr").nth(1).inner_text()


def test_something_new(page, service) -> None:
    """What is not in the graph, by a text."""
    page.click("nav button:has-text('Something new')")
    page.fill("#new input[name=text]", "it is number 17")
    page.fill("#new input[name=relation]", "r1")
    page.click("#new button")
    page.wait_for_selector("#predictions")
    expected = service.predict({"head": NewItem("it is number 17"), "relation": "r1"})["answers"]
    rows = page.locator("#predictions tr").all()[1:]
    assert all(answer["label"] in row.inner_text() for row, answer in zip(rows, expected, strict=True))
    assert "not in the graph" in page.inner_text("#asked")


def test_names_are_text(page, service, monkeypatch) -> None:
    """A name that looks like markup is shown as it is written."""
    evil = "<img src=x onerror=alert(1)>"
    table = service.tables["entity"]
    monkeypatch.setitem(service.tables, "entity", type(table)(
        table.labels, (evil,) * len(table), (evil,) * len(table), ((),) * len(table)))  # fmt: skip
    page.goto(page.url.partition("#")[0] + "#head=e20&relation=r2&k=9")
    page.reload()
    page.wait_for_selector("#predictions")
    assert page.locator("#predictions img").count() == 0
    assert evil in page.inner_text("#predictions") and evil in page.inner_text("#asked")


def test_refusal(page) -> None:
    page.goto(page.url.partition("#")[0] + "#head=e1&relation=r0&tail=e2")
    page.reload()
    page.wait_for_selector("#message.error")
    assert "exactly one" in page.inner_text("#message")


def test_docs(browser, address) -> None:
    page = browser.new_page()
    page.goto(address + "docs")
    assert "GET /predict" in page.inner_text("body")
    page.close()
