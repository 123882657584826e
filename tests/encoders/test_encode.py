"""Tests of encoding into feature stores."""

import hashlib
import json
import logging
import multiprocessing
import os
import shutil

import pytest
import torch
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pykeen_mmkg.cli import main
from pykeen_mmkg.encoders import encode_images, encode_texts, make_encoder
from pykeen_mmkg.encoders.encode import default_directory
from pykeen_mmkg.encoders.encoder import TEXTUAL, VisionLanguageEncoder
from pykeen_mmkg.encoders.images import read_image
from pykeen_mmkg.errors import DataError, EncoderError, FeatureError, ImageError, UnusableImageError
from pykeen_mmkg.features import FeatureStore


class CountingEncoder(VisionLanguageEncoder):
    """An encoder that says how often it was asked: texts become their letters' statistics, images their mean colour."""

    name = "counting"

    def __init__(self, fingerprint="f0", bad=None, stop_after=None):
        self._fingerprint = fingerprint
        self.bad = bad
        self.stop_after = stop_after
        self.texts = []
        self.images = 0

    @property
    def fingerprint(self):
        return self._fingerprint

    def dim(self, modality):
        return 4 if modality == TEXTUAL else 3

    def token_lengths(self, texts):
        return [(min(len(text), 20), len(text) > 20) for text in texts]

    def prepare_texts(self, texts):
        return {"texts": texts}

    def embed_texts(self, inputs):
        if self.stop_after is not None and len(self.texts) >= self.stop_after:
            raise KeyboardInterrupt
        self.texts.extend(inputs["texts"])
        rows = [text_vector(text) for text in inputs["texts"]]
        for row, text in zip(rows, inputs["texts"], strict=True):
            if self.bad is not None and self.bad in text:
                row[1] = float("nan")
        return torch.tensor(rows)

    def prepare_images(self, images):
        return {"images": images}

    def embed_images(self, inputs):
        if self.stop_after is not None and self.images >= self.stop_after:
            raise KeyboardInterrupt
        self.images += len(inputs["images"])
        vectors = torch.stack([colour(image) for image in inputs["images"]])
        return vectors / 0 if self.bad is not None else vectors


def text_vector(text):
    digest = hashlib.md5(text.strip()[:20].encode("utf-8", "replace")).digest()
    return [float(byte) for byte in digest[:4]]


def colour(image):
    return torch.tensor([float(channel) for channel in image.getpixel((0, 0))])


@pytest.fixture
def album(tmp_path):
    """Return labels with paths of pictures of one colour each."""
    folder = tmp_path / "album"
    folder.mkdir()
    result = {}
    for label, colours in {"a": [(10, 0, 0), (30, 8, 0)], "b": [(0, 50, 0)], "none": [], "c": [(1, 2, 3)]}.items():
        result[label] = []
        for i, value in enumerate(colours):
            path = folder / f"{label}_{i}.png"
            Image.new("RGB", (8, 8), value).save(path)
            result[label].append(path)
    return result


def run(function, inputs, encoder, directory, **kwargs):
    return function(inputs, encoder, directory=directory, progress=False, **kwargs)


# texts


def test_texts(tmp_path):
    """One row a label, in order; an empty text is a missing modality; long texts are counted."""
    texts = {"x": "hello", "y": None, "z": "  ", "w": "hello ", "v": "a very long text, longer than twenty"}
    encoder = CountingEncoder()
    store = run(encode_texts, texts, encoder, tmp_path)
    assert store.labels == tuple(texts)
    assert store.modality == "textual"
    assert store.mask.tolist() == [True, False, False, True, True]
    assert store.counts.tolist() == [1, 0, 0, 1, 1]
    for label, vector in zip(store.labels, store.vectors, strict=True):
        expected = [0.0] * 4 if label in "yz" else text_vector(texts[label])
        assert vector.tolist() == expected
    assert store.provenance["truncated"] == "1"
    assert store.provenance["missing"] == "2"
    assert store.provenance["encoder"] == "counting"
    assert store.provenance["encoder_fingerprint"] == "f0"
    # each distinct text once
    assert sorted(encoder.texts) == sorted({"hello", texts["v"]})
    store.require_encoder("f0")


def test_texts_are_encoded_once(tmp_path):
    """A second run encodes nothing and gives the same bytes; a changed text encodes itself only."""
    texts = {str(i): f"text {i}" for i in range(50)}
    first, second, third = CountingEncoder(), CountingEncoder(), CountingEncoder()
    run(encode_texts, texts, first, tmp_path, batch_size=7).save(tmp_path / "1.safetensors")
    run(encode_texts, texts, second, tmp_path, batch_size=7).save(tmp_path / "2.safetensors")
    assert len(first.texts) == 50
    assert second.texts == []
    assert (tmp_path / "1.safetensors").read_bytes() == (tmp_path / "2.safetensors").read_bytes()
    store = run(encode_texts, {**texts, "7": "new"}, third, tmp_path)
    assert third.texts == ["new"]
    assert store.vectors[7].tolist() == text_vector("new")
    assert store.vectors[8].tolist() == text_vector("text 8")


def test_progress_says_what_is_there(tmp_path, album, capsys):
    """The bar counts different items, and says how many of them were encoded before."""
    some, more = ({name: name for name in names} for names in ("ab", "abc"))
    for texts in (some, {**more, "again": "a"}):
        encode_texts(texts, CountingEncoder(), directory=tmp_path, progress=True)
    first, second = capsys.readouterr().err.split("encoded before", 1)
    assert "2/2" in first and "(2 were " in first and "1/1" in second
    paths = dict(list(album.items())[:2])
    for images in (dict(list(paths.items())[:1]), paths):
        encode_images(images, CountingEncoder(), directory=tmp_path, progress=True)
    assert "(2 were encoded before)" in capsys.readouterr().err


def test_encoders_do_not_meet(tmp_path):
    """Another encoder does not find the vectors of the first."""
    run(encode_texts, {"x": "hello"}, CountingEncoder("f0"), tmp_path)
    other = CountingEncoder("f1")
    store = run(encode_texts, {"x": "hello"}, other, tmp_path)
    assert other.texts == ["hello"]
    with pytest.raises(FeatureError, match="f1.*f0"):
        store.require_encoder("f0")


@pytest.mark.parametrize("stop_after", [8, 20])
def test_an_interrupted_run_resumes(stop_after, tmp_path):
    """What was done before an interruption is not done again, and the result has the bytes of an uninterrupted run."""
    texts = {str(i): "word " * (i % 5) + str(i) for i in range(30)}
    broken = CountingEncoder(stop_after=stop_after)
    with pytest.raises(KeyboardInterrupt):
        run(encode_texts, texts, broken, tmp_path / "a", batch_size=4)
    rest = CountingEncoder()
    resumed = run(encode_texts, texts, rest, tmp_path / "a", batch_size=4)
    assert sorted(broken.texts + rest.texts) == sorted(texts.values())
    whole = run(encode_texts, texts, CountingEncoder(), tmp_path / "b", batch_size=4)
    assert resumed.digest == whole.digest
    assert not [name for _, _, names in os.walk(tmp_path) for name in names if name.endswith(".tmp")]


def test_resumed_batches_are_those_of_a_whole_run(tmp_path, tiny):
    """The last digits depend on the batch, so that a resumed run must form the same batches."""
    texts = {
        str(i): " ".join(["cat", "dog", "tree", "house", "mat"][: 1 + i % 5]) + " two" * (i % 3) for i in range(15)
    }
    tower = type(make_encoder(tiny("dual")))

    class Recording(tower):
        def embed_texts(self, inputs):
            if len(self.batches) == self.most:
                raise KeyboardInterrupt
            self.batches.append(inputs["input_ids"].tolist())
            return super().embed_texts(inputs)

    def recording(most=None):
        encoder = make_encoder(tiny("dual"))
        encoder.__class__ = Recording
        encoder.batches, encoder.most = [], most
        return encoder

    encoder, broken, other = recording(), recording(most=2), recording()
    whole = run(encode_texts, texts, encoder, tmp_path / "a", batch_size=2)
    with pytest.raises(KeyboardInterrupt):
        run(encode_texts, texts, broken, tmp_path / "b", batch_size=2)
    resumed = run(encode_texts, dict(reversed(texts.items())), other, tmp_path / "b", batch_size=2)
    assert broken.batches + other.batches == encoder.batches and len(other.batches) > 2
    torch.testing.assert_close(resumed.lookup(list(texts))[0], whole.vectors)


def test_nan_names_the_item(tmp_path):
    """NaN is an error that names the label, and is not kept."""
    texts = {"x": "good", "the culprit": "bad text", "z": "fine"}
    with pytest.raises(EncoderError, match="NaN.*'the culprit'"):
        run(encode_texts, texts, CountingEncoder(bad="bad"), tmp_path)
    assert torch.isfinite(run(encode_texts, texts, CountingEncoder(), tmp_path).vectors).all()


@pytest.mark.parametrize("text", [1.5, float("nan"), b"bytes", ["list"]])
def test_a_text_that_is_none(text, tmp_path):
    """A number in place of a text is named."""
    with pytest.raises(DataError, match="'culprit'"):
        run(encode_texts, {"fine": "x", "culprit": text}, CountingEncoder(), tmp_path)


def test_odd_characters(tmp_path):
    """Lone surrogates, zero bytes and the like are texts, too."""
    store = run(encode_texts, {"a": "x\ud800y", "b": "\0", "c": "żółć 🦆"}, CountingEncoder(), tmp_path)
    assert store.mask.all()


def test_nothing_to_encode(tmp_path, tiny):
    """No text at all gives a store of the right dimension, and the weights are not loaded."""
    for texts in ({}, {"x": None}):
        encoder = make_encoder(tiny("dual"))
        store = run(encode_texts, texts, encoder, tmp_path)
        assert store.vectors.shape == (len(texts), 11)
        assert "model" not in vars(encoder)


def test_cached_features_need_no_weights(tmp_path, tiny, album):
    """When all is there, neither the weights nor the tokenizer are loaded."""
    texts = {"x": "a cat", "y": "the dog"}
    run(encode_texts, texts, make_encoder(tiny("dual")), tmp_path)
    run(encode_images, album, make_encoder(tiny("dual")), tmp_path)
    encoder = make_encoder(tiny("dual"))
    run(encode_texts, texts, encoder, tmp_path)
    run(encode_images, album, encoder, tmp_path)
    assert not {"model", "tokenizer", "image_processor"} & set(vars(encoder))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.dictionaries(st.text(max_size=5), st.none() | st.text(max_size=30), max_size=12),
    batch_size=st.integers(1, 5),
)
def test_any_texts(texts, batch_size, tmp_path_factory):
    """Whatever the texts, each label has the vector of its text, or none."""
    folder = tmp_path_factory.mktemp("cache")
    store = run(encode_texts, texts, CountingEncoder(), folder, batch_size=batch_size)
    assert store.labels == tuple(texts)
    for i, text in enumerate(texts.values()):
        if text and text.strip():
            cleaned = text.strip().encode("utf-8", "replace").decode()
            assert store.mask[i] and store.vectors[i].tolist() == text_vector(cleaned)
        else:
            assert not store.mask[i] and not store.vectors[i].any()
    again = CountingEncoder()
    assert run(encode_texts, texts, again, folder).digest == store.digest
    assert again.texts == []


# images


def test_images_are_averaged(tmp_path, album):
    """Several images of an item are averaged; an item without one is masked."""
    store = run(encode_images, album, CountingEncoder(), tmp_path)
    assert store.labels == ("a", "b", "none", "c")
    assert store.modality == "visual"
    assert store.vectors.tolist() == [[20, 4, 0], [0, 50, 0], [0, 0, 0], [1, 2, 3]]
    assert store.counts.tolist() == [2, 1, 0, 1]
    assert store.mask.tolist() == [True, True, False, True]
    assert "skipped" not in store.provenance


def test_a_changed_image_encodes_itself_only(tmp_path, album):
    """Images are known by their content, not by name or date."""
    run(encode_images, album, CountingEncoder(), tmp_path)
    Image.new("RGB", (8, 8), (90, 0, 0)).save(album["a"][0])
    os.utime(album["b"][0], (0, 0))
    encoder = CountingEncoder()
    store = run(encode_images, album, encoder, tmp_path)
    assert encoder.images == 1
    assert store.vectors[0].tolist() == [60, 4, 0]


def test_an_image_that_changes_meanwhile_is_not_filed_as_what_it_was(tmp_path, album, monkeypatch):
    """Between the digest, which is its key, and the encoding, a file can be written anew."""
    path, *_ = next(iter(album.values()))
    other = tmp_path / "other.png"
    Image.new("RGB", (8, 8), "magenta").save(other)
    reads = []

    def read(asked):
        reads.append(str(asked))
        return read_image(other if reads.count(str(path)) == 2 and str(asked) == str(path) else asked)

    monkeypatch.setattr("pykeen_mmkg.encoders.encode.read_image", read)
    with pytest.raises(ImageError, match=f"{path} changed while it was being encoded"):
        run(encode_images, album, CountingEncoder(), tmp_path / "cache")


def test_equal_images_are_encoded_once(tmp_path, album):
    """Copies cost nothing."""
    copy = tmp_path / "copy.png"
    copy.write_bytes(album["b"][0].read_bytes())
    encoder = CountingEncoder()
    store = run(encode_images, {"x": [copy], "y": album["b"], "z": [str(copy), *album["b"]]}, encoder, tmp_path)
    assert encoder.images == 1
    assert store.counts.tolist() == [1, 1, 2]


@pytest.fixture
def damaged(tmp_path, album):
    """Add a truncated picture, one of one pixel and one that is none."""
    folder = album["a"][0].parent
    cut, pixel, text = folder / "cut.png", folder / "pixel.png", folder / "text.jpg"
    content = album["a"][0].read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    Image.new("RGB", (1, 1)).save(pixel)
    text.write_text("no picture")
    return {**album, "a": [*album["a"], cut], "d": [pixel, text]}


def test_unusable_images_are_skipped_counted_and_listed(tmp_path, damaged, caplog):
    """They are left out of the averages, named in one warning, and listed in the provenance."""
    with caplog.at_level(logging.WARNING, logger="pykeen_mmkg"):
        store = run(encode_images, damaged, CountingEncoder(), tmp_path)
    assert store.vectors.tolist() == [[20, 4, 0], [0, 50, 0], [0, 0, 0], [1, 2, 3], [0, 0, 0]]
    assert store.counts.tolist() == [2, 1, 0, 1, 0]
    losses = json.loads(store.provenance["skipped"])
    assert {(loss["item"], os.path.basename(loss["image"])) for loss in losses} == {
        ("a", "cut.png"),
        ("d", "pixel.png"),
        ("d", "text.jpg"),
    }
    (record,) = caplog.records
    assert "3 of 7 images" in record.message
    assert all(name in record.message for name in ("cut.png", "pixel.png", "text.jpg", "'d'"))
    # the second time, too
    again = run(encode_images, damaged, CountingEncoder(), tmp_path)
    assert again.provenance == store.provenance
    assert again.digest == store.digest


@pytest.mark.parametrize("label", ["a", "d"])
def test_strict(label, tmp_path, damaged):
    """One error names the image and its item."""
    name = {"a": "cut.png", "d": "(pixel.png|text.jpg)"}[label]
    with pytest.raises(UnusableImageError, match=f"{name}.*'{label}'"):
        run(encode_images, {"b": damaged["b"], label: damaged[label]}, CountingEncoder(), tmp_path, strict=True)


@pytest.mark.parametrize("strict", [False, True])
def test_a_missing_image_is_always_an_error(strict, tmp_path, album):
    """A path to nowhere is a mistake in the table."""
    album["b"].append(tmp_path / "nowhere.png")
    encoder = CountingEncoder()
    with pytest.raises(ImageError, match="nowhere.png.*'b'"):
        run(encode_images, album, encoder, tmp_path, strict=strict)
    assert encoder.images == 0


def test_one_path_in_place_of_a_list(tmp_path, album):
    """A path given as a string would be read letter by letter."""
    with pytest.raises(DataError, match="'a'"):
        run(encode_images, {"a": str(album["a"][0])}, CountingEncoder(), tmp_path)


def test_an_interrupted_run_of_images_resumes(tmp_path, album):
    """The batches that were done are kept."""
    broken, rest = CountingEncoder(stop_after=2), CountingEncoder()
    with pytest.raises(KeyboardInterrupt):
        run(encode_images, album, broken, tmp_path, batch_size=2)
    store = run(encode_images, album, rest, tmp_path, batch_size=2)
    assert (broken.images, rest.images) == (2, 2)
    assert store.vectors.tolist() == [[20, 4, 0], [0, 50, 0], [0, 0, 0], [1, 2, 3]]


def test_nan_names_the_image(tmp_path, album):
    """NaN is an error that names the item and the image."""
    with pytest.raises(EncoderError, match="NaN.*'b'.*b_0.png"):
        run(encode_images, {"b": album["b"]}, CountingEncoder(bad="all"), tmp_path)


@pytest.mark.parametrize("workers", [1, 4])
def test_workers(workers, tmp_path, album):
    """The number of threads changes nothing."""
    store = run(encode_images, album, CountingEncoder(), tmp_path, workers=workers, batch_size=1)
    assert store.vectors.tolist() == [[20, 4, 0], [0, 50, 0], [0, 0, 0], [1, 2, 3]]


def test_bomb(tmp_path, album):
    """The allowed number of pixels is a setting."""
    store = run(encode_images, album, CountingEncoder(), tmp_path, max_pixels=63)
    assert not store.mask.any()
    assert "bomb" in store.provenance["skipped"]


# both


def test_wrong_modality(tiny, tmp_path, album):
    """A text model does not encode images, nor a vision model texts; the message says what to do."""
    with pytest.raises(EncoderError, match="bert cannot encode images.*pair"):
        run(encode_images, album, tiny("bert"), tmp_path)
    with pytest.raises(EncoderError, match="vit cannot encode texts.*pair"):
        run(encode_texts, {"x": "cat"}, tiny("vit"), tmp_path)


def test_pairs_share_what_they_have_in_common(tiny, tmp_path, album):
    """Another text model is no reason to encode the images again, nor is naming the vision model alone."""
    for encoder in (
        make_encoder("pair", {"vision": tiny("vit"), "text": tiny("bert")}),
        make_encoder("pair", {"vision": tiny("vit"), "text": tiny("roberta")}),
        make_encoder(tiny("vit")),
    ):
        store = run(encode_images, album, encoder, tmp_path)
        store.require_encoder(encoder.fingerprint)
    assert len(list(tmp_path.glob("*/visual/*.safetensors"))) == 1


def test_encoder_by_name(tiny, tmp_path):
    """An encoder may be given as plain JSON."""
    store = run(encode_texts, {"x": "cat"}, str(tiny("dual")), tmp_path, encoder_kwargs={"normalize": True})
    torch.testing.assert_close(store.vectors.norm(dim=-1), torch.ones(1))
    assert store.provenance["encoder"] == "dual"
    assert json.loads(store.provenance["encoder_settings"])["normalize"] is True


def test_default_directory(tmp_path, monkeypatch):
    """Caches lie below PyKEEN's own folder."""
    monkeypatch.setattr("pykeen.constants.PYKEEN_HOME", tmp_path)
    assert default_directory() == tmp_path / "mmkg" / "features"
    encode_texts({"x": "hello"}, CountingEncoder(), progress=False)
    assert list((tmp_path / "mmkg" / "features" / "f0" / "textual").glob("*.safetensors"))


def _encode_in_process(folder, start):
    texts = {str(i): f"text {i}" for i in range(start, start + 400)}
    return encode_texts(texts, CountingEncoder(), directory=folder, batch_size=3, progress=False).digest


def test_processes_at_once(tmp_path):
    """Several processes may encode the same and overlapping items into one folder."""
    context = multiprocessing.get_context("fork")
    with context.Pool(3) as pool:
        digests = pool.starmap(_encode_in_process, [(tmp_path, 0), (tmp_path, 0), (tmp_path, 200)])
    assert digests[0] == digests[1]
    assert _encode_in_process(tmp_path, 200) == digests[2]


def test_the_real_encoder_knows_pictures(shared, dual_encoder, tmp_path):
    """Photographs find the gloss of their own concept far better than chance, and so do glosses photographs."""
    tables = shared.joinpath("data", "wn9-img", "entities.tsv").read_text(encoding="utf-8").splitlines()[1:]
    rows = [line.split("\t") for line in tables]
    photos = {}
    for path in sorted(shared.joinpath("data", "wordnet-photos").glob("*_0.jpg")):
        photos[path.stem.split("_")[0]] = [path]
    glosses = {label: f"{names}: {gloss}" for label, names, gloss in rows if label in photos}
    # neighbours in the order of WordNet are of one kind, so take them from everywhere
    photos = {label: photos[label] for label in sorted(glosses)[::4]}
    encoder = make_encoder(dual_encoder)
    visual = run(encode_images, photos, encoder, tmp_path)
    textual = run(encode_texts, {label: glosses[label] for label in photos}, encoder, tmp_path)
    assert isinstance(visual, FeatureStore) and visual.mask.all() and textual.mask.all()
    v, t = (torch.nn.functional.normalize(s.vectors - s.vectors.mean(dim=0), dim=-1) for s in (visual, textual))
    scores = v @ t.T
    for s in (scores, scores.T):
        # the mean rank of the right one among n is n / 2 by chance, with a standard error of .29 n / sqrt(n)
        ranks = (s > s.diag().unsqueeze(-1)).sum(dim=-1) / len(s)
        assert ranks.mean() < 0.5 - 4 * 0.29 / len(s) ** 0.5


def test_batches_of_large_images_are_smaller(tmp_path, album, monkeypatch):
    """The pixels that are in memory at a time are bounded; the vectors are the same."""
    expected = run(encode_images, album, CountingEncoder(), tmp_path / "a")
    monkeypatch.setattr("pykeen_mmkg.encoders.encode.BATCH_PIXELS", 130)  # two images of 8 x 8 pixels
    sizes = []

    class Recording(CountingEncoder):
        def prepare_images(self, images):
            sizes.append(len(images))
            return super().prepare_images(images)

    store = run(encode_images, album, Recording(), tmp_path / "b", batch_size=32)
    assert torch.equal(store.vectors, expected.vectors)
    assert sizes == [2, 2]


def test_a_modality_that_no_entity_has_is_skipped(folder, tiny, tmp_path):
    """On the command line, a text model is enough for a graph without images, whose folder is empty or not there."""
    graph = shutil.copytree(folder, tmp_path / "graph")
    shutil.rmtree(graph / "images")

    def said():
        arguments = ["encode", graph, "--encoder", tiny("bert"), "--store", tmp_path / "s"]
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.output
        return result.output

    assert "visual" not in said()
    (graph / "images").mkdir()
    assert "visual: skipped, since no entity has an image" in said()
    assert said().startswith("textual: 22 of 24")


def test_assembled_in_parts(tmp_path, album, monkeypatch):
    """However many labels are averaged at a time."""
    texts = {"a": "x", "b": None, "c": "a longer text", "d": "x"}
    whole = (
        run(encode_images, album, CountingEncoder(), tmp_path),
        run(encode_texts, texts, CountingEncoder(), tmp_path),
    )
    monkeypatch.setattr("pykeen_mmkg.encoders.encode.ASSEMBLED", 1)
    parts = (
        run(encode_images, album, CountingEncoder(), tmp_path),
        run(encode_texts, texts, CountingEncoder(), tmp_path),
    )
    for one, other in zip(whole, parts, strict=True):
        assert one.digest == other.digest and one.provenance == other.provenance


def test_reduced_images_have_keys_of_their_own(tmp_path):
    """Decoded otherwise, a picture is encoded anew; the store says how."""
    path = tmp_path / "large.png"
    Image.new("RGB", (64, 64), (10, 20, 30)).save(path)
    encoder = CountingEncoder()
    for _ in range(2):
        store = run(encode_images, {"a": [path]}, encoder, tmp_path, reduce_to=16)
    assert encoder.images == 1 and store.provenance["reduce_to"] == "16"
    assert store.vectors.tolist() == [[10, 20, 30]]
    store = run(encode_images, {"a": [path]}, encoder, tmp_path)
    assert encoder.images == 2 and "reduce_to" not in store.provenance
    with pytest.raises(DataError, match="reduce_to"):
        run(encode_images, {"a": [path]}, encoder, tmp_path, reduce_to=0)


def test_options_of_the_command_arrive(folder, tiny, tmp_path, monkeypatch):
    """How photographs are decoded, and what encodes, is said on the command line, and by the sources of a model."""
    seen = {}

    def taking(modality):
        def take(items, encoder, directory, **kwargs):
            seen.setdefault(modality, []).append(kwargs)
            return FeatureStore.from_tensors(list(items), torch.ones(len(items), 2), modality=modality)

        return take

    for name, modality in (("encode_texts", "textual"), ("encode_images", "visual")):
        monkeypatch.setattr(f"pykeen_mmkg.modalities.{name}", taking(modality))
    arguments = ["encode", folder, "--encoder", tiny("clip"), "--store", tmp_path, "--reduce-to", 64]
    arguments += ["--engine", "ray", "--engine-kwargs", '{"workers": 3}']
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    by = {"engine": "ray", "engine_kwargs": {"workers": 3}}
    assert seen == {"textual": [by, by], "visual": [{"strict": False, "reduce_to": 64, **by}]}
