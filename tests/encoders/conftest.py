"""Tiny random encoders, built from configurations, with tokenizers of their own."""

import pathlib
from collections.abc import Callable

import pytest
import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

WORDS = [
    "a",
    "the",
    "cat",
    "dog",
    "sat",
    "on",
    "mat",
    "red",
    "blue",
    "green",
    "house",
    "tree",
    "and",
    "with",
    "one",
    "two",
    "three",
    "big",
    "small",
    "painting",
    "of",
]
SIZE = 32


def make_tokenizer(begin: str = "[CLS]", end: str = "[SEP]", pad: str = "[PAD]", **kwargs) -> PreTrainedTokenizerFast:
    """Build a tokenizer of whole words."""
    tokens = list(dict.fromkeys([pad, "[UNK]", begin, end, *WORDS]))
    tokenizer = Tokenizer(models.WordLevel({token: i for i, token in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}", special_tokens=[(token, tokens.index(token)) for token in (begin, end)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token=pad, bos_token=begin, eos_token=end, **kwargs
    )


TEXT = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
VISION = {
    "hidden_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "image_size": SIZE,
    "patch_size": 8,
}


#: what makes a text model of any family small; a configuration takes what it knows
SMALL = {
    **TEXT,
    "max_position_embeddings": 32,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "embedding_size": 16,
    "d_ff": 24,
    "d_kv": 8,
    "ffn_dim": 24,
    "word_embed_proj_dim": 16,
    "rotary_dim": 4,
    "state_size": 4,
    "n_inner": 24,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
}

MASKED = """albert big_bird camembert convbert data2vec-text deberta deberta-v2 distilbert electra ernie flaubert fnet
ibert layoutlm longformer mobilebert modernbert mpnet nomic_bert nystromformer rembert roberta-prelayernorm roc_bert
roformer squeezebert xlm xlm-roberta xlm-roberta-xl yoso"""
CAUSAL = "bloom gemma gpt2 gpt_neox gptj llama mamba mistral opt phi qwen2 qwen3 stablelm"

#: families of text models, and the pooling that the tests choose where a folder does not say
FAMILIES = {
    **dict.fromkeys(MASKED.split(), "cls"),
    **dict.fromkeys(CAUSAL.split(), "last"),
    **dict.fromkeys(["t5", "mt5", "umt5"], "mean"),
}


def build_text(kind: str) -> torch.nn.Module:
    """Build a tiny random text model of a family."""
    from transformers import CONFIG_MAPPING, AutoModel, AutoModelForTextEncoding

    cls = CONFIG_MAPPING[kind]
    plain = cls()
    config = cls(**{key: value for key, value in SMALL.items() if hasattr(plain, key)})
    return (AutoModelForTextEncoding if config.is_encoder_decoder else AutoModel).from_config(config)


def _relative(
    name: str, processor: str, text: dict | None = None, vision: dict | None = None, projection_dim: int = 10
):
    """Return a function that builds a relative of CLIP."""

    def make():
        t = transformers
        config = getattr(t, f"{name}Config")(
            text_config={**TEXT, "max_position_embeddings": 12, "pad_token_id": 0, **(text or {})},
            vision_config={**VISION, **(vision or {})},
            projection_dim=projection_dim,
        )
        size = {"height": SIZE, "width": SIZE}
        return getattr(t, f"{name}Model")(config), make_tokenizer(), getattr(t, processor)(size=size, crop_size=size)

    return make


def _flava():
    t = transformers
    parts = {f"{name}_config": {**TEXT, "hidden_size": 16} for name in ("text", "multimodal")}
    parts["text_config"]["max_position_embeddings"] = 12
    config = t.FlavaConfig(
        image_config={**VISION, "hidden_size": 16, "mask_token": True},
        **parts,
        image_codebook_config={"hidden_size": 8, "vocab_size": 8},
        projection_dim=10,
        hidden_size=16,
    )
    size = {"height": SIZE, "width": SIZE}
    return t.FlavaModel(config), make_tokenizer(), t.FlavaImageProcessorPil(size=size, crop_size=size)


def _blip2():
    t = transformers
    config = t.Blip2Config(
        vision_config=VISION,
        qformer_config={
            **TEXT,
            "max_position_embeddings": 12,
            "encoder_hidden_size": 20,
            "use_qformer_text_input": True,
            "pad_token_id": 0,
        },
        text_config={"model_type": "opt", **TEXT, "ffn_dim": 24, "word_embed_proj_dim": 16},
        num_query_tokens=4,
        image_text_hidden_size=14,
    )
    processor = t.BlipImageProcessorPil(size={"height": SIZE, "width": SIZE})
    return t.Blip2ForImageTextRetrieval(config), make_tokenizer(), processor


#: relatives of CLIP -> what builds a tiny random one
RELATIVES = {
    "chinese_clip": _relative("ChineseCLIP", "ChineseCLIPImageProcessorPil"),
    "metaclip_2": _relative("MetaClip2", "CLIPImageProcessorPil", text={"eos_token_id": 3, "projection_dim": 10}),
    "altclip": _relative(
        "AltCLIP", "CLIPImageProcessorPil", text={"project_dim": 16, "max_position_embeddings": 13, "bos_token_id": 2}
    ),
    "align": _relative(
        "Align",
        "EfficientNetImageProcessorPil",
        projection_dim=16,
        vision={
            "width_coefficient": 1.0,
            "depth_coefficient": 1.0,
            "hidden_dim": 16,
            "in_channels": [32, 8],
            "out_channels": [8, 16],
            "kernel_sizes": [3, 3],
            "strides": [1, 2],
            "num_block_repeats": [1, 1],
            "expand_ratios": [1, 2],
            "depthwise_padding": [],
        },
    ),
    "flava": _flava,
    "blip2": _blip2,
}


def build(kind: str) -> tuple[torch.nn.Module, PreTrainedTokenizerFast | None, object | None]:
    """Build a tiny random model of a kind, with its tokenizer and image processor."""
    t = transformers
    processor: object = t.ViTImageProcessorPil(size={"height": SIZE, "width": SIZE})
    if kind == "clip":
        text = {**TEXT, "max_position_embeddings": 12, "eos_token_id": 3, "bos_token_id": 2, "pad_token_id": 0}
        model = t.CLIPModel(t.CLIPConfig(text_config=text, vision_config=VISION, projection_dim=10))
        processor = t.CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE})
    elif kind in ("siglip", "siglip2"):
        text = {**TEXT, "hidden_size": 20, "max_position_embeddings": 12, "projection_size": 20}
        if kind == "siglip":
            model = t.SiglipModel(t.SiglipConfig(text_config=text, vision_config=VISION))
            processor = t.SiglipImageProcessorPil(size={"height": SIZE, "width": SIZE})
        else:
            vision = {**VISION, "num_patches": 16}
            model = t.Siglip2Model(t.Siglip2Config(text_config=text, vision_config=vision))
            letters = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *"abcdefghijklmnopqrstuvwxyz"]
            tokenizer = t.Siglip2Tokenizer({letter: i for i, letter in enumerate(letters)}, [])
            return model, tokenizer, t.Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16)
    elif kind == "blip":
        text = {**TEXT, "max_position_embeddings": 12, "encoder_hidden_size": 20, "pad_token_id": 0}
        model = t.BlipForImageTextRetrieval(
            t.BlipConfig(text_config=text, vision_config=VISION, image_text_hidden_size=14)
        )
        processor = t.BlipImageProcessorPil(size={"height": SIZE, "width": SIZE})
    elif kind == "vit":
        return t.ViTModel(t.ViTConfig(**VISION)), None, processor
    elif kind == "dinov2":
        return t.Dinov2Model(t.Dinov2Config(**{**VISION, "num_hidden_layers": 1})), None, processor
    elif kind == "dinov2_with_registers":
        config = t.Dinov2WithRegistersConfig(**{**VISION, "num_hidden_layers": 1}, num_register_tokens=3)
        return t.Dinov2WithRegistersModel(config), None, processor
    elif kind == "resnet":
        config = t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], layer_type="basic")
        return t.ResNetModel(config), None, processor
    elif kind == "bert":
        return t.BertModel(t.BertConfig(**TEXT, max_position_embeddings=12)), make_tokenizer(), None
    elif kind == "roberta":
        config = t.RobertaConfig(**TEXT, max_position_embeddings=12, pad_token_id=0, type_vocab_size=1)
        return t.RobertaModel(config), make_tokenizer(), None
    elif kind in RELATIVES:
        return RELATIVES[kind]()
    elif kind in FAMILIES:
        return build_text(kind), make_tokenizer(), None
    elif kind == "dual":
        vision, text = build("vit")[0], build("bert")[0]
        config = t.VisionTextDualEncoderConfig.from_vision_text_configs(vision.config, text.config, projection_dim=11)
        model = t.VisionTextDualEncoderModel(config, vision_model=vision, text_model=text)
    else:
        raise KeyError(kind)
    return model, make_tokenizer(), processor


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Callable[[str], pathlib.Path]:
    """Return a function from a kind to a folder with a tiny random model; do not change these folders."""
    root = tmp_path_factory.mktemp("tiny")

    def get(kind: str) -> pathlib.Path:
        folder = root / kind
        if not folder.exists():
            save(kind, folder)
        return folder

    return get


def save(kind: str, folder: pathlib.Path, seed: int = 0) -> pathlib.Path:
    """Write a tiny random model of a kind."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, tokenizer, processor = build(kind)
        # transformers starts many weights near zero, which would hide mistakes
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    for part in (tokenizer, processor):
        if part is not None:
            part.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def save_tiny() -> Callable[..., pathlib.Path]:
    """Return a function that writes a tiny random model of a kind into a folder."""
    return save


@pytest.fixture(scope="session")
def pictures() -> list[Image.Image]:
    """Return pictures of several shapes."""
    generator = torch.Generator().manual_seed(7)
    shapes = [(40, 40), (33, 57), (90, 31), (32, 32), (3, 50)]
    return [
        Image.fromarray(torch.randint(0, 256, (height, width, 3), generator=generator, dtype=torch.uint8).numpy())
        for width, height in shapes
    ]


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Return texts of several lengths, one of them twice, one with more words than the tiny contexts have room for."""
    return [
        "a cat",
        "the big red dog sat on the mat",
        "painting of a house",
        "a cat",
        "tree",
        "one two three " * 9,
    ]
