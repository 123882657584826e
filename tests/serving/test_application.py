"""The application over HTTP: answers, and refusals that are one sentence with a status of 4xx whatever is sent."""

import io
import json
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.serving.application import make_application, require_serving
from pykeen_mmkg.serving.limits import Limits
from pykeen_mmkg.serving.service import NewItem

testclient = pytest.importorskip("fastapi.testclient")
pytest.importorskip("python_multipart")


@pytest.fixture(scope="module")
def client(service):
    app = make_application(service, Limits(rate=0, max_size=100_000, max_pixels=10_000))
    # an error within the application is a failure here
    return testclient.TestClient(app)


def picture(size: tuple[int, int] = (30, 20), color=(120, 135, 0), kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, format=kind)
    return buffer.getvalue()


def test_answers(client, service) -> None:
    """What the service says, as JSON."""
    query = {"head": "e7", "relation": "successor 1", "k": 4, "explain": True}
    expected = service.predict({"head": "e7", "relation": "r1"}, k=4, explain=True)
    for _ in range(2):  # computed, and kept
        response = client.get("/predict", params=query)
        assert response.status_code == 200 and response.headers["content-type"] == "application/json"
        assert response.json() == expected
    assert client.get("/predict", params=query | {"known": "drop"}).json() != expected
    assert client.get("/similar", params={"entity": "e7", "k": 2}).json() == service.similar(entity="e7", k=2)
    text = client.get("/similar", params={"text": "17", "modality": "textual"}).json()
    assert text["answers"][0]["label"] == client.post("/similar", data={"text": "17"}).json()["answers"][0]["label"]
    upload = client.post("/similar", files={"image": ("../../etc/passwd", picture())}, data={"k": "1"})
    assert [answer["label"] for answer in upload.json()["answers"]] == ["e12"]
    new = {"text": "it is number 17", "relation": "r1", "new": "tail", "k": "3"}
    assert client.post("/predict", data=new).json() == service.predict(
        {"tail": NewItem("it is number 17"), "relation": "r1"}, k=3
    )
    shown = client.post("/predict", data={"relation": "r1"}, files={"image": picture()})
    assert len(shown.json()["answers"]) == 10
    assert client.get("/complete", params={"prefix": "succ", "kind": "relation"}).json()["items"][0]["label"] == "r0"
    assert client.get("/overview").json() == service.overview()
    assert client.get("/health").json()["status"] == "ok"


def test_pictures(client, service) -> None:
    index = service.predictor.ids["entity"]["e6"]
    response = client.get(f"/images/{index}/1")
    assert response.headers["content-type"] == "image/jpeg" and response.content == service.picture(index, 1)
    for path in ("3", "-1", "x", "1/2", "..%2f..%2fetc%2fpasswd", "9" * 30):
        response = client.get(f"/images/{index}/{path}")
        assert response.status_code in (404, 422) and response.json()["error"], path


MALFORMED = [
    ("GET", "/predict", {}),
    ("GET", "/predict?head=e1", {}),
    ("GET", "/predict?head=e1&relation=r0&tail=e2", {}),
    ("GET", "/predict?head=e1&relation=r0&k=0", {}),
    ("GET", "/predict?head=e1&relation=r0&k=101", {}),
    ("GET", "/predict?head=e1&relation=r0&k=1e3", {}),
    ("GET", "/predict?head=e1&relation=r0&k=", {}),
    ("GET", "/predict?head=e1&relation=r0&known=hide", {}),
    ("GET", "/predict?head=e1&relation=r0&heads=e2", {}),
    ("GET", "/predict?head=%ff%fe%00&relation=r0", {}),
    ("GET", "/predict?head=%ed%a0%80&relation=r0", {}),
    ("GET", "/predict?head=e1&head=e2&relation=../../etc/passwd", {}),
    ("GET", "/predict?head=" + "x" * 501 + "&relation=r0", {}),
    ("GET", "/similar", {}),
    ("GET", "/similar?entity=e1&text=x", {}),
    ("GET", "/similar?text=", {}),
    ("GET", "/similar?text=%20", {}),
    ("GET", "/similar?entity=e1&modality=smell", {}),
    ("GET", "/similar?entity=e0&modality=textual", {}),
    ("GET", "/similar?image=/etc/passwd", {}),
    ("GET", "/complete?kind=file&prefix=/etc", {}),
    ("GET", "/complete?limit=-1", {}),
    ("GET", "/images/0/..%2f..%2fsetup.cfg", {}),
    ("GET", "/etc/passwd", {}),
    ("GET", "/explore.html", {}),
    ("PUT", "/predict", {}),
    ("DELETE", "/", {}),
    ("POST", "/predict", {"json": [{"head": "e1"}]}),
    ("POST", "/predict", {"data": {"relation": "r0"}}),
    ("POST", "/predict", {"data": {"relation": "r0", "text": " "}}),
    ("POST", "/predict", {"data": {"relation": "r0", "text": "x", "new": "relation"}}),
    ("POST", "/predict", {"data": {"relation": "r0", "text": "x", "head": "e1"}}),
    ("POST", "/predict", {"data": {"relation": "r0", "text": "x", "tail": "e1"}}),
    ("POST", "/predict", {"data": {"text": "x"}}),
    ("POST", "/predict", {"data": {"relation": "r0", "text": "x", "images": "/etc/passwd"}}),
    ("POST", "/predict", {"data": {"relation": "r0"}, "files": {"image": b"/etc/passwd"}}),
    ("POST", "/similar", {}),
    ("POST", "/similar", {"json": {"text": "x"}}),
    ("POST", "/similar", {"content": b"\x00\xff" * 50}),
    ("POST", "/similar", {"data": {"image": "/etc/passwd"}}),
    ("POST", "/similar", {"data": {"text": "x" * 10_001}}),
    ("POST", "/similar", {"data": {"text": "x", "path": "/etc/passwd"}}),
    ("POST", "/similar", {"files": {"image": b""}}),
    ("POST", "/similar", {"files": {"image": b"no picture"}}),
    ("POST", "/similar", {"files": {"image": picture()[:60]}}),
    ("POST", "/similar", {"files": {"image": picture((200, 60))}}),
    ("POST", "/similar", {"files": {"image": picture((1, 1))}}),
    ("POST", "/similar", {"files": {"image": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"}}),
    ("POST", "/similar", {"files": {"image": b"x" * 100_001}}),
    ("POST", "/similar", {"files": {"text": b"x"}}),
    ("POST", "/similar", {"files": [("image", picture()), ("image", b"x")]}),
    ("POST", "/similar", {"content": b"--b\r\n", "headers": {"content-type": "multipart/form-data; boundary=b"}}),
    ("POST", "/similar", {"content": b"x", "headers": {"content-type": "multipart/form-data"}}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "options"), MALFORMED)
def test_malformed(client, method: str, path: str, options: dict) -> None:
    """Refused with a sentence; nothing of the machine is told, and no file of it is opened."""
    response = client.request(method, path, **options)
    assert 400 <= response.status_code < 500, response.text
    error = response.json()
    assert set(error) == {"error"} and 0 < len(error["error"]) < 400
    assert "Traceback" not in response.text and "root:" not in response.text and "site-packages" not in response.text


FORMS = [
    ("multipart/form-data; boundary=b; charset=unicode_escape",
     b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\n\\ud800\r\n--b--\r\n'),
    ("application/x-www-form-urlencoded", b"text=%ud800&%"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "content"), FORMS)
def test_half_a_character(client, kind: str, content: bytes) -> None:
    """It is refused, or, as versions of the reader of forms have it, is the text that spells it."""
    response = client.post("/similar", content=content, headers={"content-type": kind})
    assert response.status_code in (200, 422) and response.json()


def test_statuses(client) -> None:
    """What is too large, of another kind, or nowhere is told by its own status."""
    assert client.post("/similar", content=b"x" * 100_001).status_code == 413
    assert client.get("/nowhere").status_code == 404
    assert client.put("/predict").status_code == 405
    assert client.get("/predict?head=e1&relation=r0&k=0").json()["error"].startswith("k: ")
    assert "10000" in client.post("/similar", files={"image": picture((200, 60))}).json()["error"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.sampled_from(["/predict", "/similar", "/complete"]),
    st.dictionaries(
        st.sampled_from(["head", "relation", "tail", "k", "known", "entity", "text", "kind", "prefix", "modality"]),
        st.one_of(st.text(max_size=20), st.sampled_from(["e1", "r0", "e2", "-1", "3", "mark", "entity", "textual"])),
        max_size=4,
    ),
)
def test_any_question(client, path: str, query: dict) -> None:
    """Whatever is asked, there is an answer or a refusal."""
    response = client.get(path, params=query)
    assert response.status_code == 200 or 400 <= response.status_code < 500
    assert json.loads(response.content)


def test_rate(service) -> None:
    """Who asks too often is told when to ask again."""
    client = testclient.TestClient(make_application(service, Limits(rate=2)))
    statuses = [client.get("/health") for _ in range(8)]
    refused = [response for response in statuses if response.status_code == 429]
    assert len(refused) >= 3
    assert int(refused[0].headers["retry-after"]) >= 1 and "2 requests a second" in refused[0].json()["error"]


def test_failure(service, monkeypatch) -> None:
    """A fault of ours is logged, and says nothing of the machine to the client."""
    client = testclient.TestClient(make_application(service), raise_server_exceptions=False)
    monkeypatch.setattr(type(service), "predict", lambda *_args, **_kwargs: 1 / 0)
    response = client.get("/predict?head=e1&relation=r2&k=7")
    assert response.status_code == 500 and response.json() == {
        "error": "The server failed at this request; its log says why."
    }


def test_missing_packages(monkeypatch) -> None:
    """Without the extra, it is named."""
    monkeypatch.setattr("pykeen_mmkg.serving.application.find_spec", lambda name: None if name == "uvicorn" else sys)
    with pytest.raises(MultimodalError, match=r"uvicorn is needed: pip install 'pykeen-mmkg\[serve\]'"):
        require_serving()
