"""What kind of bytes are these? Guesses for ``mode=auto``, from what has been read so far.

A guess is cheap and may be wrong: ``auto.py`` tries it against the model in use before it believes it. All numbers
here are integers, so that whoever reads the same bytes guesses the same.

Numbers show in differences: where bytes are samples of something smooth, a byte is nearer to the one a step before it
than to one drawn at random. The row width of an image is the lag, beyond the next neighbours, at which the differences
are least. Files that say what they are (WAV, BMP, PGM, PPM) are taken at their word.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from compgen.jit import inner, kernel
from compgen.predictors.contextmix.settings import Shape

#: A mean difference below this many 256ths of that of bytes drawn at random means: numbers.
_SMOOTH = 154
#: Differences are taken at no more than this many places; rows are no longer than this, and longer than that.
_PLACES = 600
_LONGEST_ROW = 6144
_SHORTEST_ROW = 12
#: Pieces of so many bytes are looked for in so many bytes before them, and every _PIECE_STEP-th place begins one.
_PIECE = 24
_PIECE_STEP = 32
_FAR_BACK = 1 << 22
_SCATTER = np.uint64(0x9E3779B97F4A7C15)
_PLACES_BITS = 12
_NETPBM = re.compile(rb"P([56])\s(?:#[^\n]*\n)?\s*(\d{1,6})\s+(\d{1,9})\s+255\s")

_Numbers = npt.NDArray[np.int64]


def named(head: bytes) -> Shape | None:
    """What the first bytes of a file say it is, if they do."""
    match = _NETPBM.match(head)
    if match:
        channels = 1 if match[1] == b"5" else 3
        return _image(int(match[2]) * channels, channels, match.end())
    if head[:2] == b"BM" and len(head) >= 30:
        depth = int.from_bytes(head[28:30], "little")
        stride = (int.from_bytes(head[18:22], "little") * depth + 31) // 32 * 4
        return _image(stride, depth // 8, int.from_bytes(head[10:14], "little")) if depth in (8, 24, 32) else None
    if head[:4] == b"RIFF" and head[8:16] == b"WAVEfmt " and len(head) >= 36:
        channels, bits = int.from_bytes(head[22:24], "little"), int.from_bytes(head[34:36], "little")
        if (bits == 16 and channels in (1, 2)) or (bits == 8 and channels == 1):
            return Shape("audio", bits=bits, channels=channels)
    return None


def _image(stride: int, channels: int, phase: int) -> Shape | None:
    if not channels <= stride <= 1 << 20 or phase > 1 << 16:
        return None
    return Shape("image", -(-stride // channels), 8, channels, stride, phase)


@kernel
def is_text(data, start, stop):  # type: ignore[no-untyped-def]
    """Is this UTF-8 without control characters, some white space in it, and letters or digits in half of it?

    An image could hold no pixel darker than a space, and a good many as dark as that; but images are smooth.
    """
    odd = 0
    spaces = 0
    words = 0
    missing = 0  # bytes of a character that are still to come
    for i in range(start, stop):
        c = data[i]
        if c < 128:
            if c == 32 or (9 <= c <= 13 and c != 11 and c != 12):
                spaces += 1
            elif 97 <= c | 32 <= 122 or 48 <= c <= 57:
                words += 1
            elif c < 32 or c == 127:
                odd += 1
            odd += missing > 0
            missing = 0
        elif c < 192:
            odd += missing == 0
            missing = max(missing - 1, 0)
        else:
            words += 2
            odd += missing > 0 or c < 194 or c > 244
            missing = 1 + (c >= 224) + (c >= 240)
    count = stop - start
    return odd * 32 <= count and spaces * 128 >= count and (words + spaces) * 2 >= count


def guesses(data: npt.NDArray[np.uint8], start: int, stop: int) -> list[Shape]:
    """What numbers ``data[start:stop]`` may be, the likeliest first; nothing: none. It should not be text."""
    kind = int(_look(data, start, stop))
    if kind >> 2 == 16:
        return [Shape("audio", bits=16, channels=1 + (kind >> 1 & 1), phase=kind & 1)]
    if kind == 0:
        return []
    stride = _row(data[start:stop].astype(np.int64), kind)
    found = [Shape("image", -(-stride // kind), 8, kind, stride, stop % kind)] if stride else []
    return [*found, Shape("audio")] if kind == 1 else found


@kernel
def repeated(data, start, stop):  # type: ignore[no-untyped-def]
    """Of the pieces of ``data[start:stop]`` that are not flat, do a quarter occur in what comes before them?

    A piece is found by a hash that rolls over the bytes: its value times an odd number, modulo 2**64.
    """
    wanted = np.zeros(1 << _PLACES_BITS, dtype=np.uint64)
    pieces = 0
    for first in range(start, stop - _PIECE + 1, _PIECE_STEP):
        changes = 0
        value = np.uint64(0)
        for i in range(first, first + _PIECE):
            changes += i > first and data[i] != data[i - 1]
            value = value * _SCATTER + np.uint64(data[i])
        if changes * 4 >= _PIECE:
            pieces += 1
            wanted[(value * _SCATTER) >> np.uint64(64 - _PLACES_BITS)] = value
    if pieces < 8:
        return False
    leaving = np.uint64(1)
    for _ in range(_PIECE):
        leaving *= _SCATTER
    value = np.uint64(0)
    begin = max(0, start - _FAR_BACK)
    found = 0
    for i in range(begin, start):
        value = value * _SCATTER + np.uint64(data[i])
        if i >= begin + _PIECE:
            value -= leaving * np.uint64(data[i - _PIECE])
        place = (value * _SCATTER) >> np.uint64(64 - _PLACES_BITS)
        if wanted[place] == value and value != 0:
            wanted[place] = 0
            found += 1
    return found * 4 >= pieces


@kernel
def _look(data, start, stop):  # type: ignore[no-untyped-def]
    """0: no numbers; 1 or 3: smooth from byte to byte, or from every third; 64 + 2 (channels - 1) + phase: 16 bits."""
    seen = np.zeros((3, 256), dtype=np.int64)  # all, at even and at odd positions
    rough = np.zeros(5, dtype=np.int64)  # differences by lag
    wide = np.zeros((2, 5), dtype=np.int64)  # the same of 16-bit numbers whose high byte is at even, odd positions
    for i in range(start + 5, stop):
        c = np.int64(data[i])
        seen[0, c] += 1
        seen[1 + (i & 1), c] += 1
        number = (c ^ 128) << 8 | np.int64(data[i - 1])
        for lag in range(1, 5):
            other = np.int64(data[i - lag])
            rough[lag] += abs(c - other)
            wide[i & 1, lag] += abs(number - ((other ^ 128) << 8 | np.int64(data[i - lag - 1])))
    count = max(stop - start - 5, 1)
    least = rough[1:].min() * 256 // count + 256
    found = 0
    bound = least * least
    for high in range(2):
        random = _random_difference(seen[1 + high], True)
        stereo = wide[high, 4] * 8 < wide[high, 2] * 7
        step = wide[high, 4 if stereo else 2] * 512 // count  # of a sample, where bytes take least * least / 256
        if step < random * _SMOOTH and step * 64 < bound:
            found = 64 + 2 * int(stereo) + (1 - high)
            bound = step * 64
    if found:
        return found
    random = _random_difference(seen[0], False)
    if rough[3] * 256 // count * 256 < random * _SMOOTH and rough[3] * 8 < rough[1] * 7:
        return 3
    return 1 if rough[1] * 256 // count * 256 < random * _SMOOTH else 0


@inner
def _random_difference(seen, signed):  # type: ignore[no-untyped-def]
    """Mean absolute difference of two bytes drawn at random, in 256ths, from how often each was seen."""
    count = max(seen.sum(), 1)
    below = np.int64(0)
    total = np.int64(0)
    for i in range(256):
        below += seen[i ^ 128 if signed else i]
        total += below * (count - below)
    return total * 512 // (count * count)


def _row(x: _Numbers, step: int) -> int:
    """The lag of a row, or 0."""
    longest = min(len(x) // 3, _LONGEST_ROW) // step * step
    lags = np.arange(-(-_SHORTEST_ROW // step) * step, longest + 1, step)
    if len(lags) == 0:
        return 0
    places = np.arange(longest, len(x), max((len(x) - longest) // _PLACES, 1))
    differences = np.array([np.abs(x[places] - x[places - lag]).sum() for lag in lags])
    return int(lags[differences.argmin()])
