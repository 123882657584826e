"""Frozen encoders of texts and images, and their one-time use into feature stores."""

from .encode import encode_images, encode_texts
from .encoder import VisionLanguageEncoder
from .huggingface import HuggingFaceEncoder
from .libraries import OpenCLIPEncoder, SentenceTransformersEncoder
from .pair import PairEncoder
from .resolver import encoder_resolver, make_encoder
from .shared_space import BLIP2Encoder, BLIPEncoder, CLIPEncoder, DualEncoder, FLAVAEncoder, SigLIPEncoder
from .towers import TextEncoder, VisionEncoder
from .workers import RayWorkers

__all__ = [
    "BLIP2Encoder",
    "BLIPEncoder",
    "CLIPEncoder",
    "DualEncoder",
    "FLAVAEncoder",
    "HuggingFaceEncoder",
    "OpenCLIPEncoder",
    "PairEncoder",
    "RayWorkers",
    "SentenceTransformersEncoder",
    "SigLIPEncoder",
    "TextEncoder",
    "VisionEncoder",
    "VisionLanguageEncoder",
    "encode_images",
    "encode_texts",
    "encoder_resolver",
    "make_encoder",
]
