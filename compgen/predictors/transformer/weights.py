"""Weights of a transformer in fixed point: a file in the safetensors format, read and written without its library.

The format: 8 bytes with the header's length (little-endian), a JSON header that names each tensor's type, shape and
place, the tensors. Ours hold integers, and in the metadata the configuration, the fraction bits of each matrix, and the
merges of the vocabulary, if it is not of bytes: the two tokens of each, one after the other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from compgen.errors import BadInputError, UsageError
from compgen.predictors.transformer import fixed
from compgen.predictors.transformer.bpe import BytePairs
from compgen.predictors.transformer.config import TAPS, Config

IntTensor = npt.NDArray[np.integer]

_TYPES: dict[str, np.dtype[Any]] = {"I16": np.dtype("<i2"), "I32": np.dtype("<i4")}
_NAMES = {dtype: name for name, dtype in _TYPES.items()}
_MATRICES = ("qkv", "out", "up", "down")
#: Fraction bits of a layer's activations: queries, keys and values; squared ReLUs.
_ACTIVATIONS = ("heads", "hidden")
_MAX_HEADER = 1 << 20


@dataclass(frozen=True)
class Weights:
    """The integers of a transformer by name, where they are from, and fraction bits: of each matrix, of the
    ``residual`` stream, and of each layer's ``heads`` and ``hidden`` activations. ``pairs`` is the vocabulary of a
    model over tokens, None for one whose symbols are bytes.
    """

    config: Config
    tensors: Mapping[str, IntTensor]
    bits: Mapping[str, int]
    card: Mapping[str, Any]
    sha256: str
    pairs: BytePairs | None = None


def expected_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor."""
    width, hidden = config.width, config.hidden
    shapes: dict[str, tuple[int, ...]] = {
        "embedding": (config.vocabulary + 1, width),
        "unembedding": (config.vocabulary, width),
    }
    for layer in range(config.layers):
        shapes |= {
            f"layers.{layer}.{name}": shape
            for name, shape in {
                "near": (TAPS, width),
                "qkv": (3 * width, width),
                "sharpness": (config.heads,),
                "out": (width, width),
                "near_mlp": (TAPS, width),
                "up": (hidden, width),
                "down": (width, hidden),
                "keep": (width,),
                "again": (width,),
            }.items()
        }
    return shapes


def is_matrix(name: str) -> bool:
    """Does a tensor enter matrix products?"""
    return name == "unembedding" or name.rsplit(".", 1)[-1] in _MATRICES


def save(
    path: Path,
    config: Config,
    tensors: Mapping[str, IntTensor],
    bits: Mapping[str, int],
    card: Any,
    pairs: BytePairs | None = None,
) -> None:
    """Write a weight file, whole or not at all. ``card`` is JSON: data, recipe, measured rates."""
    metadata = {
        "format": fixed.ARITHMETIC,
        "config": json.dumps(config.as_dict()),
        "bits": json.dumps(dict(bits)),
        "card": json.dumps(card),
    }
    if pairs is not None:
        metadata["merges"] = json.dumps([token for pair in pairs.merges for token in pair], separators=(",", ":"))
    header: dict[str, Any] = {"__metadata__": metadata}
    parts, offset = [], 0
    for name in expected_shapes(config):
        tensor = np.ascontiguousarray(tensors[name], _TYPES["I32" if name == "embedding" else "I16"])
        if not np.array_equal(tensor, tensors[name]):
            raise ValueError(f"{name} does not fit its type")
        data = tensor.tobytes()
        places = [offset, offset + len(data)]
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": places}
        parts.append(data)
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(parts))
    temporary.replace(path)


def load(path: Path) -> Weights:
    """Read a weight file and check that it is whole, of this arithmetic, and within its bounds."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror or error}; give a weight file that compgen train made") from None
    return parse(content, str(path))


def parse(content: bytes, name: str) -> Weights:
    """See :func:`load`; ``name`` is for messages."""
    try:
        length = int.from_bytes(content[:8], "little")
        if length > min(_MAX_HEADER, len(content) - 8):
            raise ValueError("its header is longer than the file")
        header = json.loads(content[8 : 8 + length])
        metadata = header.pop("__metadata__")
        if metadata["format"] != fixed.ARITHMETIC:
            raise UsageError(f"{name}: made for {metadata['format']!r}, this version computes {fixed.ARITHMETIC!r}")
        config = Config(**json.loads(metadata["config"]))
        tensors = {
            key: _tensor(header[key], shape, content[8 + length :]) for key, shape in expected_shapes(config).items()
        }
        bits = {key: int(value) for key, value in json.loads(metadata["bits"]).items()}
        _check_bounds(tensors, bits)
        card = json.loads(metadata["card"])
        pairs = _pairs(json.loads(metadata["merges"]), config) if "merges" in metadata else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInputError(
            f"{name}: damaged, or not a weight file of compgen ({type(error).__name__}: {error})"
        ) from None
    return Weights(config, tensors, bits, card, hashlib.sha256(content).hexdigest(), pairs)


def _pairs(merges: list[int], config: Config) -> BytePairs:
    if not isinstance(merges, list) or len(merges) % 2:
        raise ValueError("its merges are not pairs")
    pairs = BytePairs(list(zip(merges[::2], merges[1::2], strict=True)))
    if len(pairs) != config.vocabulary:
        raise ValueError(f"its merges make {len(pairs)} tokens, its weights are for {config.vocabulary}")
    return pairs


def _tensor(entry: Mapping[str, Any], shape: tuple[int, ...], data: bytes) -> IntTensor:
    start, stop = entry["data_offsets"]
    dtype = _TYPES[entry["dtype"]]
    if tuple(entry["shape"]) != shape or not 0 <= start <= stop <= len(data):
        raise ValueError("a tensor has another shape, or lies outside the file")
    if stop - start != dtype.itemsize * int(np.prod(shape)):
        raise ValueError("a tensor has another size than its shape says")
    tensor: IntTensor = np.frombuffer(data[start:stop], dtype).reshape(shape)
    return tensor


def _check_bounds(tensors: Mapping[str, IntTensor], bits: Mapping[str, int]) -> None:
    """What exactness rests on: no sum of products may overflow."""
    layers = sum(key.endswith(".qkv") for key in tensors)
    for key in ["residual", *(f"layers.{layer}.{part}" for layer in range(layers) for part in _ACTIVATIONS)]:
        if not 0 <= bits[key] <= 10:
            raise ValueError(f"{key} cannot have {bits[key]} fraction bits")
    for key, tensor in tensors.items():
        values = np.abs(tensor.astype(np.int64))
        if is_matrix(key) and (values.sum(axis=1).max() > fixed.ROW_LIMIT or not -16 <= bits[key] <= 24):
            raise ValueError(f"the weights {key} are too large")
        if key == "embedding" and values.max() >= 1 << fixed.RESIDUAL_LIMIT:
            raise ValueError("the embedding is too large")
        if key.endswith("sharpness") and tensor.min() < 0:
            raise ValueError("negative sharpness")
