"""OpenAI's own files of CLIP and the SHA-256 that it publishes in their addresses (openai/CLIP, clip/clip.py).

Decisions: a file with other bytes may hold the same tensors, saved again: it is read, and the user is told.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from gelo.models.durable import sha256_of, stamp

FILES = {
    "ViT-B-32.pt": "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
    "ViT-B-16.pt": "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
    "ViT-L-14.pt": "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
    "ViT-L-14-336px.pt": "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
    "RN50.pt": "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762",
    "RN101.pt": "8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599",
}
BACKBONES = {
    "ViT-B/32": "ViT-B-32.pt",
    "ViT-B/16": "ViT-B-16.pt",
    "ViT-L/14": "ViT-L-14.pt",
    "ViT-L/14@336px": "ViT-L-14-336px.pt",
}


def unpublished(path: Path, backbone: str, script: bool) -> str:
    """What to say of a file that OpenAI's name is on, or of an archive for one of its models, whose bytes are not OpenAI's; "" otherwise.

    Reads the file whole, once a process."""
    name = (
        path.name
        if path.name in FILES
        else BACKBONES.get(backbone.rpartition("@")[0] or backbone, "")
        if script
        else ""
    )
    if not name:
        return ""
    found = _sha256(path, stamp(path))
    if found == FILES[name]:
        return ""
    return f"{path}: SHA-256 {found}, where OpenAI publishes {FILES[name]} for {name}: read as it is, and not the file of OpenAI's"


@cache
def _sha256(path: Path, stamp: str) -> str:
    return sha256_of(path)
