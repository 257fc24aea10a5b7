"""The bridge: a compressor becomes a predictor.

A code of length L(x) bits is an implicit probability 2**-L(x), so the code lengths of the 256 one-byte continuations of
a context, normalised, are a conditional distribution (Deletang et al., "Language Modeling Is Compression", ICLR 2024,
sec. 2):

    P(b | context)  =  2**-L(context b)  /  sum over c of 2**-L(context c)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compgen import numerics
from compgen.interfaces import Compressor, ContinuationLengths, FloatArray, Predictor, Session, Symbols, symbol_array


def as_predictor(compressor: Compressor) -> Predictor:
    """The predictor over bytes that a compressor implies: softmax in base 2 of minus its code lengths.

    >>> import compgen
    >>> p = as_predictor(compgen.compressor("gzip")).session([b"abcabcabc"]).probabilities()
    >>> p.shape, chr(p[0].argmax())
    ((1, 256), 'a')
    """
    return CompressorPredictor(compressor)


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
    def spec(self) -> str:
        """The compressor's spec: it names this predictor as well."""
        return self.compressor.spec

    def session(self, contexts: Sequence[Symbols]) -> Session:
        """See :meth:`Predictor.session`."""
        return _CompressorSession([self.compressor.continuations(_as_bytes(c)) for c in contexts])


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


def _as_bytes(symbols: Symbols) -> bytes:
    return symbol_array(symbols).astype(np.uint8).tobytes()
