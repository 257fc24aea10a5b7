"""Which symbols are scored together and what they are read after: the windows of each protocol, as plain arithmetic.

A stream of N symbols is cut into windows. With blocks of C inputs and a stride S < C every window but the first scores
its last S symbols, and reads the C - S inputs before them as context:

    opencompass    t0 t1 ............ tC               reads t0, scores t1 to tC
                         |-- S --| t ........ t        reads t(S), scores the last S
                                  and so on while whole windows of C + 1 fit; what is left over is not scored
    full           *  t0 ............ t(C-1)           * is the start token; scores t0 to t(C-1)
                         *  t(S) .............. t      the same, S further on: * stands in place of the oldest token
                                  and so on to the end, the last window shorter
    document       *  t0 ............ t(C-1)           each document by itself; the windows after the first read C
                         t ............. t             tokens and no *, and the last ends where the document does

``opencompass`` is the geometry of OpenCompass (Huang et al. 2024, *Compression represents intelligence linearly*),
``document`` that of lm-evaluation-harness (``get_rolling_token_windows`` with ``max_seq_len`` C and ``context_len``
C - S + 1), and ``full`` the one in which ``hf:`` codes archives (:class:`~..predictors.huggingface.model.Window`).
Where there is no start token, the first symbol of a stream is scored as one of the alphabet, all alike: a window
without inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from compgen.errors import UsageError
from compgen.interfaces import IntArray

PROTOCOLS = ("opencompass", "full", "document")
#: Of OpenCompass: inputs of a window, and how far the windows lie apart.
BLOCK_SIZE, STRIDE = 1900, 512


class Window(NamedTuple):
    """Symbols ``[scored, end)`` are scored; ``[first, end - 1)`` are the inputs, after the start token if ``start``."""

    first: int
    scored: int
    end: int
    start: int


@dataclass(frozen=True)
class Geometry:
    """Inputs of a window, and how many symbols every window but the first scores."""

    block_size: int = BLOCK_SIZE
    stride: int = STRIDE

    def __post_init__(self) -> None:
        if self.block_size < 1:
            raise UsageError(f"the block size must be at least 1, not {self.block_size}")
        if not 1 <= self.stride <= self.block_size:
            raise UsageError(f"the stride must be from 1 to the block size of {self.block_size}, not {self.stride}")


def opencompass(length: int, geometry: Geometry) -> IntArray:
    """Windows over ``length`` symbols, int64 ``(windows, 4)`` with the columns of :class:`Window`; maybe none."""
    block, stride = geometry.block_size, geometry.stride
    first = stride * np.arange(max(0, (length - block - 1) // stride + 1), dtype=np.int64)
    end = first + block + 1
    scored = end - stride
    scored[:1] = 1
    return _table(first, scored, end, 0)


def full(length: int, geometry: Geometry, start: bool, origin: int = 0) -> IntArray:
    """As :func:`opencompass`, for symbols ``[origin, origin + length)``, each of which is scored once."""
    if not length:
        return np.empty((0, 4), np.int64)
    block, stride = geometry.block_size, geometry.stride
    # Without a start token the first symbol is the first input, and what is scored begins one later.
    beyond = block + (0 if start else 1)
    count = 1 + max(0, -(-(length - beyond) // stride))
    first = stride * np.arange(count, dtype=np.int64)
    end = np.minimum(first + beyond, length)
    scored = np.concatenate([[0 if start else 1], end[:-1]])
    table = _table(first, scored, end, int(start))
    return _shifted(table if start else _with_first(table), origin)


def document(length: int, geometry: Geometry, start: bool, origin: int = 0) -> IntArray:
    """As :func:`full`, but that the windows after the first have no start token and the last is as long as others."""
    if not length:
        return np.empty((0, 4), np.int64)
    block, stride = geometry.block_size, geometry.stride
    beyond = min(length, block + (0 if start else 1))
    end = np.append(np.arange(beyond, length, stride, dtype=np.int64), length)
    scored = np.concatenate([[0 if start else 1], end[:-1]])
    table = _table(np.maximum(end - block - 1, 0), scored, end, 0)
    table[0, 3] = int(start)
    return _shifted(table if start else _with_first(table), origin)


def whole(lengths: IntArray, longest: int | None = None) -> IntArray:
    """Streams that lie one behind the other, each read from its beginning; parts of at most ``longest`` by itself."""
    ends = np.cumsum(lengths)
    if longest is None:
        return _table(ends - lengths, ends - lengths, ends, 0)[lengths > 0]
    starts = np.concatenate(
        [np.arange(end - n, end, longest, dtype=np.int64) for end, n in zip(ends, lengths, strict=True)]
    )
    limits = np.append(starts[1:], ends[-1:])
    return _table(starts, starts, limits, 0)


def _table(first: IntArray, scored: IntArray, end: IntArray, start: int) -> IntArray:
    return np.stack([first, scored, end, np.full(len(first), start, np.int64)], axis=1)


def _with_first(table: IntArray) -> IntArray:
    """The first symbol as a window of its own, without inputs, before those of a stream that has no start token."""
    rest = table[table[:, 2] > table[:, 1]]
    return np.concatenate([np.array([[0, 0, 1, 0]]), rest])


def _shifted(table: IntArray, origin: int) -> IntArray:
    shifted: IntArray = table + np.array([origin, origin, origin, 0])
    return shifted
