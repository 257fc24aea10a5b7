"""Coding a block of bytes with a predictor, and back: the archive's and ``as_compressor``'s common core.

A predictor that brings its own block coder is left to it. For all others the data is cut into as many contiguous parts
as there are streams, even to a byte; the streams go through one session in step, and each step's probabilities,
quantised, code one byte of each. Encoder and decoder make the same calls with the same shapes in the same order, so
that even predictors that are not exact find the same probabilities again on the same machine and libraries.

    code = for each stream but the last its length (LEB128), then the streams' codes
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compgen.coding.batch import BatchDecoder, BatchEncoder
from compgen.errors import CorruptDataError, UsageError
from compgen.interfaces import BlockCoder, Done, Predictor, Session

SymbolArray = npt.NDArray[np.unsignedinteger]

#: Of the quantised probabilities: the floor of 2**-24 costs 256 symbols 0.00002 bits a byte. Larger alphabets get the
#: most the coder has, as rare symbols are far below 2**-24.
PRECISION_BITS, LARGE_PRECISION_BITS = 24, 32
#: Probabilities of all streams together that an exact predictor is asked for at once.
AHEAD = 8192 * 256


def encode_block(predictor: Predictor, data: bytes, streams: int = 1, done: Done | None = None) -> bytes:
    """The code of ``data`` (at least a byte) under a predictor over bytes, in ``streams`` streams."""
    if isinstance(predictor, BlockCoder):
        return predictor.encode_block(data, done)
    return encode_streams(predictor, data, streams, done)


def encode_streams(predictor: Predictor, data: bytes, streams: int, done: Done | None = None) -> bytes:
    """As :func:`encode_block`, by the general way. An exact predictor may read many symbols at once for it."""
    _require_bytes(predictor)
    return encode_symbols(predictor, np.frombuffer(data, np.uint8), streams, done)


def encode_symbols(predictor: Predictor, symbols: SymbolArray, streams: int, done: Done | None = None) -> bytes:
    """As :func:`encode_streams`, for at least one symbol of any alphabet; ``done`` counts symbols."""
    parts = _parts(symbols, streams)
    encoder = BatchEncoder(len(parts), _precision(predictor))
    session = predictor.session([b""] * len(parts))
    start = _encode_ahead(session, encoder, parts, predictor.alphabet_size, done) if predictor.exact else 0
    for step in range(start, len(parts[0])):
        going = [i for i, part in enumerate(parts) if step < len(part)]
        these = np.array([parts[i][step] for i in going], np.int64)
        encoder.encode(these, session.probabilities()[going], going)
        if step + 1 < len(parts[0]):
            session.push(these)
        if done is not None:
            done((step + 1) * len(going))
    codes = encoder.finish()
    return b"".join([*(leb128(len(code)) for code in codes[:-1]), *codes])


def decode_block(predictor: Predictor, code: bytes, length: int, streams: int = 1, done: Done | None = None) -> bytes:
    """The inverse, given the number of bytes. Any code decodes to something; only impossible ones raise
    :class:`~compgen.errors.CorruptDataError`.
    """
    if isinstance(predictor, BlockCoder):
        return predictor.decode_block(code, length, done)
    return decode_streams(predictor, code, length, streams, done)


def decode_streams(predictor: Predictor, code: bytes, length: int, streams: int, done: Done | None = None) -> bytes:
    """As :func:`decode_block`, by the general way."""
    _require_bytes(predictor)
    return decode_symbols(predictor, code, length, streams, done).tobytes()


def decode_symbols(
    predictor: Predictor, code: bytes, length: int, streams: int, done: Done | None = None
) -> SymbolArray:
    """The inverse of :func:`encode_symbols`, given the number of symbols: uint8 if they fit, else uint16 or uint32."""
    parts = _parts(np.zeros(length, np.min_scalar_type(predictor.alphabet_size - 1)), streams)
    decoder = BatchDecoder(split_codes(code, len(parts)), _precision(predictor))
    session = predictor.session([b""] * len(parts))
    for step in range(len(parts[0])):
        going = [i for i, part in enumerate(parts) if step < len(part)]
        symbols = decoder.decode(session.probabilities()[going], going)
        for i, symbol in zip(going, symbols, strict=True):
            parts[i][step] = symbol
        if step + 1 < len(parts[0]):
            session.push(symbols)
        if done is not None:
            done((step + 1) * len(going))
    return np.concatenate(parts)


def _encode_ahead(
    session: Session, encoder: BatchEncoder, parts: list[SymbolArray], alphabet_size: int, done: Done | None
) -> int:
    """Code what all streams have but for the last step, many steps at a time; returns the steps coded."""
    table = np.stack([part[: len(parts[-1]) - 1] for part in parts]).astype(np.int64)
    piece = max(1, AHEAD // alphabet_size // len(parts))
    for first in range(0, table.shape[1], piece):
        symbols = table[:, first : first + piece]
        encoder.encode_many(symbols, session.read(symbols))
        if done is not None:
            done((first + symbols.shape[1]) * len(parts))
    return int(table.shape[1])


def _require_bytes(predictor: Predictor) -> None:
    if predictor.alphabet_size != 256:
        raise UsageError(
            f"{predictor.spec} predicts {predictor.alphabet_size} symbols, not bytes; it cannot code files"
        )


def _precision(predictor: Predictor) -> int:
    return PRECISION_BITS if predictor.alphabet_size <= 256 else LARGE_PRECISION_BITS


def _parts(symbols: SymbolArray, streams: int) -> list[SymbolArray]:
    """Contiguous parts, the longer ones first, none of them empty; lengths differ by one at most."""
    return np.array_split(symbols, max(1, min(streams, len(symbols))))


def leb128(value: int) -> bytes:
    """A number of at least 0 in 7 bits a byte, the lowest first."""
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_leb128(code: bytes, position: int) -> tuple[int, int]:
    """A number (below 2**42) that begins at ``position``, and where it ends."""
    value = shift = 0
    while True:
        if position >= len(code) or shift > 35:
            raise CorruptDataError("the lengths of its streams make no sense")
        value |= (code[position] & 127) << shift
        shift += 7
        position += 1
        if code[position - 1] < 128:
            return value, position


def split_codes(code: bytes, streams: int) -> list[bytes]:
    """The codes of streams, which stand behind the lengths of all but the last."""
    position, lengths = 0, []
    for _ in range(streams - 1):
        length, position = read_leb128(code, position)
        lengths.append(length)
    codes = []
    for length in lengths:
        codes.append(code[position : position + length])
        position += length
    if position > len(code):
        raise CorruptDataError("the lengths of its streams make no sense")
    return [*codes, code[position:]]
