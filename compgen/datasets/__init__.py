"""Data sets by name or path: what compressors and models are measured on. And a text that ships with the package."""

from __future__ import annotations

from importlib.resources import files

from compgen.datasets.catalogue import Layout, is_named, load
from compgen.datasets.dataset import CHUNK_BYTES, PAPER_CHUNKS, Dataset, Modality

__all__ = ["CHUNK_BYTES", "PAPER_CHUNKS", "Dataset", "Layout", "Modality", "default_context", "is_named", "load"]


def default_context() -> bytes:
    """About 2 KB of English on compression and prediction, ASCII: something to continue where nothing else is given.

    It ends with a sentence, without the file's last line end, which would have a sampler go on with blank lines.
    """
    return files("compgen.datasets").joinpath("context.txt").read_bytes().rstrip()
