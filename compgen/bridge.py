"""The bridge, in both directions: compressors become predictors, predictors become compressors.

A code of length L(x) bits is an implicit probability 2**-L(x), so the code lengths of the 256 one-byte continuations of
a context, normalised, are a conditional distribution (Deletang et al., "Language Modeling Is Compression", ICLR 2024,
sec. 2):

    P(b | context)  =  2**-L(context b)  /  sum over c of 2**-L(context c)

and a predictor that gives data the probability P codes it in -log2 P bits by arithmetic coding, but for a bit or two.
"""

from __future__ import annotations

import platform
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compgen import numerics
from compgen.coding.payload import decode_block, encode_block
from compgen.errors import CorruptDataError
from compgen.interfaces import (
    Compressor,
    ContinuationLengths,
    FloatArray,
    Predictor,
    Session,
    Symbols,
    byte_array,
    symbol_array,
)

_PREFIX, _CHECK = struct.Struct("<QI"), struct.Struct("<I")


def as_predictor(compressor: Compressor) -> Predictor:
    """The predictor over bytes that a compressor implies: softmax in base 2 of minus its code lengths.

    >>> import compgen
    >>> p = as_predictor(compgen.compressor("gzip")).session([b"abcabcabc"]).probabilities()
    >>> p.shape, chr(p[0].argmax())
    ((1, 256), 'a')
    """
    return compressor.predictor if isinstance(compressor, PredictorCompressor) else CompressorPredictor(compressor)


def as_compressor(predictor: Predictor) -> Compressor:
    """The compressor that a predictor over bytes drives, by arithmetic coding.

    Of a predictor that came from a compressor it makes that compressor's model under an arithmetic coder, which is not
    the compressor itself.

    >>> import compgen
    >>> order2 = as_compressor(compgen.predictor("order2"))
    >>> order2.decompress(order2.compress(b"abracadabra")), as_predictor(order2).spec
    (b'abracadabra', 'order2')
    """
    return PredictorCompressor(predictor)


@dataclass(frozen=True)
class CompressorPredictor(Predictor):
    """See :func:`as_predictor`."""

    compressor: Compressor
    alphabet_size = 256
    batched = False

    @property
    def name(self) -> str:  # type: ignore[override]
        """The compressor's own name."""
        return self.compressor.name

    @property
    def numerics(self) -> str:  # type: ignore[override]
        """Code lengths are those of a library of some version."""
        return f"{self.compressor.library} on {platform.machine()}, Python {platform.python_version()}"

    @property
    def spec(self) -> str:
        """The compressor's spec: it names this predictor as well."""
        return self.compressor.spec

    def session(self, contexts: Sequence[Symbols]) -> Session:
        """See :meth:`Predictor.session`."""
        return _CompressorSession([self.compressor.continuations(byte_array(c).tobytes()) for c in contexts])


class _CompressorSession(Session):
    def __init__(self, streams: list[ContinuationLengths]) -> None:
        self._streams = streams

    def probabilities(self) -> FloatArray:
        return numerics.softmax2(np.stack([stream.lengths() for stream in self._streams]))

    def push(self, symbols: Symbols) -> None:
        for stream, symbol in zip(self._streams, symbol_array(symbols), strict=True):
            stream.push(int(symbol))

    def fork(self) -> Session:
        return _CompressorSession([stream.fork() for stream in self._streams])


@dataclass(frozen=True)
class PredictorCompressor(Compressor):
    """See :func:`as_compressor`. For files there is the archive, which says what made it and confines damage.

    A code is the data's length (8 bytes), CRC-32s of the data and of these 12 bytes (4 + 4), and the arithmetic code.
    Code lengths leave out the first 16 bytes, and are the predictor's own: the arithmetic code is within 2 bits of them
    and what rounding probabilities to 24 bits costs.
    """

    predictor: Predictor

    brute_force = True

    @property
    def name(self) -> str:  # type: ignore[override]
        """The predictor's own name."""
        return self.predictor.name

    @property
    def spec(self) -> str:
        """The predictor's spec: it names this compressor as well."""
        return self.predictor.spec

    def compress(self, data: bytes) -> bytes:
        """See :meth:`Compressor.compress`."""
        code = encode_block(self.predictor, data) if data else b""
        prefix = _PREFIX.pack(len(data), zlib.crc32(data))
        return prefix + _CHECK.pack(zlib.crc32(prefix)) + code

    def decompress(self, data: bytes) -> bytes:
        """See :meth:`Compressor.decompress`."""
        prefix, code = data[: _PREFIX.size], data[_PREFIX.size + _CHECK.size :]
        if data[_PREFIX.size : _PREFIX.size + _CHECK.size] != _CHECK.pack(zlib.crc32(prefix)):
            raise CorruptDataError(f"{self.spec}: the data ends too early, is damaged, or of another kind")
        length, crc = _PREFIX.unpack(prefix)
        decoded = decode_block(self.predictor, code, length) if length else b""
        if zlib.crc32(decoded) != crc or (not length and code):
            raise CorruptDataError(f"{self.spec}: the data is damaged, or was coded with other probabilities")
        return decoded

    def code_length(self, data: bytes) -> float:
        """See :meth:`Compressor.code_length`."""
        return float(numerics.ordered_sum(self.predictor.code_lengths([data])[0])[0]) if data else 0.0

    def code_lengths(self, blocks: Sequence[bytes]) -> list[float]:
        """See :meth:`Compressor.code_lengths`; all blocks as streams of one batch."""
        return self.predictor.block_lengths(blocks)

    def continuations(self, context: bytes) -> ContinuationLengths:
        """See :meth:`Compressor.continuations`: what the context costs, and each byte after it."""
        return _PredictorContinuations(self.predictor.session([context]), self.code_length(context))


class _PredictorContinuations(ContinuationLengths):
    def __init__(self, session: Session, context_bits: float) -> None:
        self._session = session
        self._context_bits = context_bits

    def lengths(self) -> FloatArray:
        return self._context_bits - numerics.log2(self._session.probabilities()[0])

    def push(self, byte: int) -> None:
        self._context_bits -= float(numerics.log2(self._session.probabilities()[0, byte : byte + 1])[0])
        self._session.push([byte])

    def fork(self) -> _PredictorContinuations:
        return _PredictorContinuations(self._session.fork(), self._context_bits)
