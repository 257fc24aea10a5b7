"""Whole documents by arithmetic coding, in step with M1: the plain and the static coder, as tokens.

The decoder of an arithmetic code does not see where a document ends, nor that the code has been cut; so its length and
a check stand behind the code:

    code  zeros, so that the whole is a whole number of tokens  CRC (2 bytes)  length as LEB128, its bytes in reverse

An arithmetic code goes on in zeros for ever, so the zeros between are no harm; the length is read from the end. The CRC
is the lower half of the document's CRC-32, little-endian.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from compgen.coding import BatchDecoder, BatchEncoder, Decoder, Encoder
from compgen.coding.payload import PRECISION_BITS, leb128, read_leb128
from compgen.errors import CorruptDataError
from compgen.interfaces import Done, IntArray, Predictor
from compgen.neuraltext import streams
from compgen.neuraltext.coder import SLOTS, require_model

#: No document may claim more bytes than so many for each byte of its code, and a few: the cheapest byte at a precision
#: of 24 bits costs 2**-16 * 1.44 * 255 / 256 bits.
_MOST_BYTES_A_BYTE = 1 << 19
_CHECK_BYTES = 2


def framed(code: bytes, document: bytes, unit: int) -> bytes:
    """A code with check and length, in a whole number of ``unit`` bytes."""
    tail = _check(document) + leb128(len(document))[::-1]
    return code + bytes(-(len(code) + len(tail)) % unit) + tail


def unframed(data: bytes) -> tuple[bytes, bytes, int]:
    """Of what :func:`framed` makes: the code (with some zeros behind it), the check, and the document's length."""
    try:
        length, used = read_leb128(data[::-1][:8], 0)
    except CorruptDataError:
        raise CorruptDataError("there is no length at the end of the stream: it is cut or damaged") from None
    code, check = data[: -used - _CHECK_BYTES], data[-used - _CHECK_BYTES : -used]
    if len(check) < _CHECK_BYTES or length > (len(code) + 4) * _MOST_BYTES_A_BYTE:
        raise CorruptDataError(
            f"{len(data)} bytes of code cannot stand for {length} bytes: the stream is cut or damaged"
        )
    return code, check, length


def require(document: bytes, check: bytes) -> bytes:
    """The document, if it is what was encoded."""
    if _check(document) != check:
        raise CorruptDataError("the stream is cut or damaged, or was made with other settings: its check fails")
    return document


def _check(document: bytes) -> bytes:
    return zlib.crc32(document).to_bytes(4, "little")[:_CHECK_BYTES]


def encode(predictor: Predictor, documents: Sequence[bytes], done: Done | None = None) -> list[bytes]:
    """The code of each document, without its length."""
    require_model(predictor)
    codes = [b""] * len(documents)
    for group in _groups([len(document) for document in documents]):
        for i, code in zip(group, _encode_group(predictor, [documents[i] for i in group], done), strict=True):
            codes[i] = code
    return codes


def decode(
    predictor: Predictor, codes: Sequence[bytes], lengths: Sequence[int], done: Done | None = None
) -> list[bytes]:
    """The inverse of :func:`encode`, given the bytes of each document."""
    require_model(predictor)
    found = [b""] * len(codes)
    for group in _groups(lengths):
        parts = _decode_group(predictor, [codes[i] for i in group], [lengths[i] for i in group], done)
        for i, part in zip(group, parts, strict=True):
            found[i] = part
    return found


def encode_static(document: bytes, frequencies: IntArray) -> bytes:
    """The code of a document by fixed frequencies ``(256,)``."""
    encoder = Encoder()
    if document:
        encoder.encode_many(document, frequencies)
    return encoder.finish()


def decode_static(code: bytes, length: int, frequencies: IntArray) -> bytes:
    """The inverse of :func:`encode_static`."""
    return Decoder(code).decode_many(frequencies, length).astype(np.uint8).tobytes() if length else b""


def _groups(lengths: Sequence[int]) -> list[list[int]]:
    """Numbers of documents that go in step: similar lengths, the longest first, empty ones left out."""
    order = [i for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]) if lengths[i]]
    return [order[first : first + SLOTS] for first in range(0, len(order), SLOTS)]


class _Reading:
    """Streams of one group, the longest first; those that have ended are dropped when they are half of them."""

    def __init__(self, predictor: Predictor, lengths: Sequence[int]) -> None:
        self._lengths = np.array(lengths)
        self._streams, self._held = streams.start(predictor, len(lengths)), len(lengths)

    def going(self, step: int) -> IntArray:
        """The documents that have a byte at this place, from 0 on."""
        count = int((self._lengths > step).sum())
        if count <= self._held // 2:
            self._streams, self._held = self._streams.copies(np.arange(count)), count
        return np.arange(count)

    def probabilities(self, count: int) -> np.typing.NDArray[np.float64]:
        return self._streams.probabilities()[:count]

    def push(self, symbols: IntArray) -> None:
        self._streams.push(np.concatenate([symbols, np.zeros(self._held - len(symbols), np.int64)]))


def _encode_group(predictor: Predictor, documents: list[bytes], done: Done | None) -> list[bytes]:
    coder, reading = BatchEncoder(len(documents), PRECISION_BITS), _Reading(predictor, [len(d) for d in documents])
    for step in range(len(documents[0])):
        going = reading.going(step)
        symbols = np.array([documents[i][step] for i in going], np.int64)
        coder.encode(symbols, reading.probabilities(len(going)), going)
        if step + 1 < len(documents[0]):
            reading.push(symbols)
        if done is not None:
            done(len(going))
    return coder.finish()


def _decode_group(predictor: Predictor, codes: list[bytes], lengths: list[int], done: Done | None) -> list[bytes]:
    coder, reading, steps = BatchDecoder(codes, PRECISION_BITS), _Reading(predictor, lengths), []
    for step in range(lengths[0]):
        going = reading.going(step)
        symbols = coder.decode(reading.probabilities(len(going)), going)
        steps.append(symbols.astype(np.uint8))
        if step + 1 < lengths[0]:
            reading.push(symbols)
        if done is not None:
            done(len(going))
    return [bytes([row[i] for row in steps[: lengths[i]]]) for i in range(len(codes))]
