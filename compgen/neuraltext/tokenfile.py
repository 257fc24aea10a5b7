"""One file of tokens, as ``compgen neuraltext encode`` writes it: all that decoding needs but M1 itself.

    "compgen neuraltext tokens 1\\n"   length of the header, 8 bytes, little-endian   header, JSON   tokens

The header has the encoder, tokens and bytes of each document, and the SHA-256 of all bytes; tokens are little-endian.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from compgen.errors import BadInputError, CorruptDataError
from compgen.interfaces import Done, Predictor
from compgen.neuraltext.encoders import Encoder, from_dict

MAGIC = b"compgen neuraltext tokens 1\n"
_MAX_HEADER = 1 << 30


def packed(encoder: Encoder, documents: Sequence[bytes], done: Done | None = None) -> bytes:
    """The file for some documents."""
    tokens = encoder.encode(documents, done)
    header = {
        "encoder": encoder.as_dict(),
        "documents": [[len(ids), len(document)] for ids, document in zip(tokens, documents, strict=True)],
        "sha256": hashlib.sha256(b"".join(documents)).hexdigest(),
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    body = b"".join(ids.astype(encoder.token_type).tobytes() for ids in tokens)
    return MAGIC + len(text).to_bytes(8, "little") + text + body


def header(data: bytes, name: str = "the file") -> tuple[dict[str, Any], bytes]:
    """The header of a file, and what follows it."""
    if not data.startswith(MAGIC):
        raise BadInputError(f"{name} is not a file of tokens that compgen neuraltext encode made")
    start = len(MAGIC) + 8
    size = int.from_bytes(data[len(MAGIC) : start], "little")
    if len(data) < start or not 0 < size <= min(_MAX_HEADER, len(data) - start):
        raise CorruptDataError(f"{name} ends within its header: it is cut")
    try:
        loaded = json.loads(data[start : start + size])
        counts = np.array(loaded["documents"], np.int64).reshape(-1, 2)
        if (counts < 0).any() or not isinstance(loaded["sha256"], str):
            raise ValueError("sizes below 0")
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise CorruptDataError(f"{name}: its header is damaged ({type(error).__name__})") from None
    return loaded, data[start + size :]


def unpacked(
    data: bytes, model: str | Predictor | None = None, name: str = "the file", done: Done | None = None
) -> bytes:
    """All bytes of a file, checked. ``model`` as in :meth:`Encoder.load`."""
    head, body = header(data, name)
    encoder = from_dict(head["encoder"], model, name)
    counts = np.array(head["documents"], np.int64).reshape(-1, 2)
    wanted = int(counts[:, 0].sum()) * encoder.token_type.itemsize
    if len(body) != wanted:
        raise CorruptDataError(f"{name} has {len(body)} bytes of tokens and should have {wanted}: it is cut or damaged")
    tokens = np.split(np.frombuffer(body, encoder.token_type), np.cumsum(counts[:-1, 0]))
    documents = encoder.decode(tokens[: len(counts)], done)
    if [len(document) for document in documents] != counts[:, 1].tolist():
        raise CorruptDataError(f"{name} is damaged: its documents have other lengths than it says")
    whole = b"".join(documents)
    if hashlib.sha256(whole).hexdigest() != head["sha256"]:
        raise CorruptDataError(f"{name} is damaged: the bytes have another SHA-256 than it says")
    return whole
