"""All words of windows of 16 bits: there are 65,536 of them, one a point, so that they fit in a table.

Where M1 starts anew with every window, a window of 16 bits is a word of a fixed dictionary, however M1 works. Making it
takes a prediction for each word that is continued, a second or so; after that no M1 is needed, and encoding is a walk
down a trie. The tokens are those that :mod:`compgen.neuraltext.coder` makes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from compgen.coding import quantise
from compgen.interfaces import IntArray, Predictor
from compgen.jit import kernel
from compgen.neuraltext import _kernel, streams
from compgen.neuraltext.windows import Bytes, Windows

WINDOW_BITS = 16
WORDS = 1 << WINDOW_BITS
#: Strings that M1 reads together.
_TOGETHER = 256


def has_words(windows: Windows) -> bool:
    """Are these windows words of a dictionary that fits in a table?"""
    return windows.window_bits == WINDOW_BITS and windows.reset_model == "every" and not windows.delay


class Dictionary:
    """The words of M1, by their points.

    ``parents`` and ``last_bytes`` ``(65536,)``: the word less its last byte (-1: none is left), and that byte.
    ``nodes`` ``(65536,)``: the row of ``children`` ``(n, 256)`` that has its continuations by byte, points or -1; -1
    for a word that is not continued. Row 0 has the words of one byte.
    """

    def __init__(self, predictor: Predictor, windows: Windows) -> None:
        self.parents: IntArray = np.full(WORDS, -1, np.int64)
        self.last_bytes = np.zeros(WORDS, np.uint8)
        self.nodes: IntArray = np.full(WORDS, -1, np.int64)
        self._precision = windows.precision_bits
        limbs = WINDOW_BITS // 32 + 2
        root = np.zeros((1, 4, limbs), np.int64)
        _kernel.begin(root, np.zeros((1, 6), np.int64), np.zeros(1, np.int64), *[np.zeros(1, np.int64)] * 2, 16)
        self._rows: list[npt.NDArray[np.int32]] = []
        waiting = self._expand(streams.start(predictor, 1), np.array([-1]), root)
        while waiting:
            before, owners, last_bytes, points, intervals = waiting.pop()
            reading = before.copies(owners)
            reading.push(last_bytes)
            waiting += self._expand(reading, points, intervals)
        self.children = np.concatenate(self._rows)
        del self._rows

    def _expand(
        self, reading: streams.Streams, points: IntArray, intervals: IntArray
    ) -> list[tuple[streams.Streams, IntArray, IntArray, IntArray, IntArray]]:
        """Find the continuations of some words, all of which are continued; returns groups of those that are too: what
        has read the words, which of them, the byte, the new words' points and intervals.
        """
        rows = quantise(reading.probabilities(), self._precision)
        children = np.full((len(points), 256), -1, np.int32)
        count = int(points[0] >= 0)  # bytes, as far as that matters
        grown = np.empty((len(points), 256, *intervals.shape[1:]), np.int64)
        _continue(intervals, count, rows, self._precision, children, grown)
        first = sum(map(len, self._rows))
        self._rows.append(children)
        self.nodes[points[points >= 0]] = first + np.flatnonzero(points >= 0)
        owners, last_bytes = np.nonzero(children >= 0)
        found = children[owners, last_bytes].astype(np.int64)
        self.parents[found], self.last_bytes[found] = points[owners], last_bytes
        inner = np.flatnonzero(grown[owners, last_bytes, _kernel.FIRST, 1] < found)
        groups = []
        for start in range(0, len(inner), _TOGETHER):
            part = inner[start : start + _TOGETHER]
            owner, byte = owners[part], last_bytes[part]
            groups.append((reading, owner, byte, found[part], grown[owner, byte]))
        return groups

    def word(self, point: int) -> bytes:
        """The bytes of a window."""
        found = bytearray()
        while point >= 0:
            found.append(self.last_bytes[point])
            point = int(self.parents[point])
        return bytes(found[::-1])

    def encode(self, document: bytes) -> Bytes:
        """The windows of a document, uint8 ``(2 n,)``."""
        data = np.frombuffer(document, np.uint8)
        out = np.empty(len(data), ">u2")
        points = np.empty(len(data), np.uint16)
        count = _encode(data, self.nodes, self.children, points)
        out[:count] = points[:count]
        return out[:count].view(np.uint8)

    def decode(self, code: Bytes) -> bytes:
        """The inverse."""
        points = code.view(">u2").astype(np.int64)
        out = np.empty(int(self.lengths[points].sum()), np.uint8)
        _decode(points, self.parents, self.last_bytes, self.lengths, out)
        return out.tobytes()

    @property
    def lengths(self) -> IntArray:
        """Bytes of each word, ``(65536,)``."""
        if not hasattr(self, "_lengths"):
            self._lengths: IntArray = np.zeros(WORDS, np.int64)
            points = np.arange(WORDS)
            while (points >= 0).any():
                self._lengths += points >= 0
                points = np.where(points >= 0, self.parents[points], -1)
        return self._lengths


def encode(dictionary: Dictionary, documents: Sequence[bytes]) -> list[Bytes]:
    """As :func:`compgen.neuraltext.coder.encode`."""
    return [dictionary.encode(document) for document in documents]


@kernel
def _continue(intervals, count, rows, precision, children, grown):  # type: ignore[no-untyped-def]
    """The points and intervals of each word's 256 continuations."""
    scratch = np.empty((6, intervals.shape[2]), np.int64)
    for i in range(len(intervals)):
        start = 0
        for byte in range(256):
            child = grown[i, byte]
            child[:] = intervals[i]
            if _kernel._child(child, count, start, rows[i, byte], precision, False, scratch):
                children[i, byte] = child[_kernel.LAST, 1]
            start += rows[i, byte]


@kernel
def _encode(data, nodes, children, out):  # type: ignore[no-untyped-def]
    """Walk down for the longest word, again and again; returns the number of words."""
    count, place = 0, 0
    while place < len(data):
        node, point = 0, -1
        while node >= 0 and place < len(data) and children[node, data[place]] >= 0:
            point = children[node, data[place]]
            node = nodes[point]
            place += 1
        out[count] = point
        count += 1
    return count


@kernel
def _decode(points, parents, last_bytes, lengths, out):  # type: ignore[no-untyped-def]
    end = 0
    for point in points:
        end += lengths[point]
        at = end - 1
        while point >= 0:
            out[at] = last_bytes[point]
            at -= 1
            point = parents[point]
