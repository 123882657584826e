"""WikiArt-MKG: the layout of the published file, with made triples."""

import pathlib

import pytest

from pykeen_mmkg.datasets.benchmarks import WikiArtMKG
from pykeen_mmkg.errors import MultimodalError


def test_converted(tmp_path: pathlib.Path):
    """Artworks have no text but an image, attributes have their name."""
    path = tmp_path / "triples.csv"
    path.write_text(
        "head,relation,tail,mode\nartwork_1,isCreatedByArtist,Claude_Monet,train\n"
        'artwork_1,isLocatedIn,"Paris, France",train\nartwork_2,isCreatedByArtist,Claude_Monet,test\n'
        "Claude_Monet,isPupilOf,Eugène Boudin,val\n"
    )
    folder = tmp_path / "wikiart"
    WikiArtMKG().convert({"triples": path}).write(folder)
    (folder / "images").mkdir()
    (folder / "images" / "artwork_2.jpg").touch()
    dataset = WikiArtMKG(folder)
    assert dataset.entity_table.texts() == {
        "Claude_Monet": "Claude Monet",
        "Eugène Boudin": "Eugène Boudin",
        "Paris, France": "Paris, France",
        "artwork_1": None,
        "artwork_2": None,
    }
    assert dataset.relation_table.texts()["isCreatedByArtist"] == "is created by artist"
    assert [len(images) for images in dataset.entity_table.images] == [0, 0, 0, 0, 1]
    assert dataset.coverage().unseen_entities["testing"] == ("artwork_2",)


def test_versions():
    assert WikiArtMKG(version="v2").folder_name == "wikiart-mkg-v2"
    with pytest.raises(MultimodalError, match="v3"):
        WikiArtMKG(version="v3")
