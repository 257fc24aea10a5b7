"""Equal-Info Windows in Python's unbounded integers, as ``compgen/neuraltext/windows.py`` describes them.

``frequencies(context)`` are M1's, 256 integers above 0 that sum to ``2**precision``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

Frequencies = Callable[[bytes], list[int]]
GUARD = 32


@dataclass(frozen=True)
class String:
    """What a window has come to: its interval in units of 2**-(W + GUARD), and its free points."""

    low: int
    width: int
    first: int
    last: int
    count: int

    def child(self, frequencies: list[int], byte: int, precision: int, delay: bool) -> String | None:
        """The string with a byte more, if it has a free point."""
        unit = self.width >> precision
        low = self.low + unit * sum(frequencies[:byte])
        high = low + unit * frequencies[byte] if byte < 255 else self.low + self.width
        last = self.last
        if self.count:
            if delay and self.first == self.last:
                return None
            last -= not delay  # its own
        first, last = -(-low >> GUARD), min(last, -(-high >> GUARD) - 1)
        return String(low, high - low, first, last, self.count + 1) if first <= last else None

    @property
    def round(self) -> int:
        """The free point with the most trailing zeros."""
        zeros = 0
        while (point := -(-self.first >> (zeros + 1)) << (zeros + 1)) <= self.last:
            zeros += 1
            if point == 0:
                return 0
        return -(-self.first >> zeros) << zeros


def _root(window_bits: int) -> String:
    return String(0, 1 << (window_bits + GUARD), 0, (1 << window_bits) - 1, 0)


def encode(
    data: bytes, frequencies: Frequencies, window_bits: int, precision: int, delay: bool, resets: int
) -> Iterator[int]:
    """The points of a document; M1 starts anew with every ``resets``-th window, 0: never."""
    start, windows, context_start = 0, 0, 0
    while start < len(data):
        string, strings, place = _root(window_bits), [], start
        while place < len(data):
            child = string.child(frequencies(data[context_start:place]), data[place], precision, delay)
            if child is None:
                break
            string, place = child, place + 1
            strings.append(string)
        if delay:
            place = start + 1 + next(i for i, one in enumerate(strings) if one.round == string.round)
        yield string.round if delay else string.last
        start, windows = place, windows + 1
        if resets and windows % resets == 0:
            context_start = start


def decode(
    points: list[int], frequencies: Frequencies, window_bits: int, precision: int, delay: bool, resets: int
) -> bytes:
    """The inverse."""
    data, context_start = b"", 0
    for number, point in enumerate(points, start=1):
        string = _root(window_bits)
        while string.count == 0 or point != (string.round if delay else string.last):
            row = frequencies(data[context_start:])
            for byte in range(256):
                child = string.child(row, byte, precision, delay)
                if child is not None and child.first <= point <= child.last:
                    break
            else:
                raise AssertionError("a point that no word keeps")
            string, data = child, data + bytes([byte])
        if resets and number % resets == 0:
            context_start = len(data)
    return data
