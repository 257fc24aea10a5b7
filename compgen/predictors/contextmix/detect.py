"""What kind of bytes are these? Guesses for ``mode=auto``, from what has been read so far.

A guess is cheap and may be wrong: ``predictor.py`` tries it against the model in use before it believes it. All numbers
here are integers, so that whoever reads the same bytes guesses the same.

Numbers show in differences: where bytes are samples of something smooth, a byte is nearer to the one a step before it
than to one drawn at random. The row width of an image is the lag, beyond the next neighbours, at which the differences
are least. Files that say what they are (WAV, BMP, PGM, PPM) are taken at their word.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from compgen.predictors.contextmix.settings import Shape

#: A mean difference below this many 256ths of that of bytes drawn at random means: numbers.
_SMOOTH = 154
#: Differences are taken at no more than this many places; rows are no longer than this, and longer than that.
_PLACES = 600
_LONGEST_ROW = 6144
_SHORTEST_ROW = 12
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


def guesses(window: bytes, position: int) -> list[Shape]:
    """What a window of the data that ends at ``position`` may be, the likeliest first; nothing: no numbers."""
    x = np.frombuffer(window, dtype=np.uint8).astype(np.int64)
    found: list[Shape] = []
    for channels in (1, 2):
        found += _wide_samples(x, channels, position)
    if found:
        return found
    random = _random_difference(x)
    smooth = [step for step in (1, 3) if _difference(x, step) * 256 < random * _SMOOTH]
    if not smooth:
        return []
    step = 3 if 3 in smooth and _difference(x, 3) * 8 < _difference(x, 1) * 7 else 1
    stride = _row(x, step)
    if stride:
        found.append(Shape("image", -(-stride // step), 8, step, stride, position % step))
    if step == 1:
        found.append(Shape("audio"))
    return found


def _difference(x: _Numbers, lag: int) -> int:
    """Mean absolute difference at a lag, in 256ths."""
    return int(np.abs(x[lag:] - x[:-lag]).sum()) * 256 // max(len(x) - lag, 1)


def _random_difference(x: _Numbers) -> int:
    """Mean absolute difference of two numbers of 0..255 drawn from x, in 256ths."""
    below = np.bincount(x, minlength=256).cumsum()[:-1]
    return int((below * (len(x) - below)).sum()) * 512 // max(len(x) * len(x), 1)


def _wide_samples(x: _Numbers, channels: int, position: int) -> list[Shape]:
    """16-bit samples, if every second byte is smooth and the others are not."""
    first = position - len(x)
    for phase in (0, 1):
        high, low = x[(phase + 1 - first) % 2 :: 2] ^ 128, x[(phase - first) % 2 :: 2]
        if min(len(high), len(low)) < 64:
            continue
        coarse = _difference(high, channels) * 256 < _random_difference(high) * _SMOOTH
        quiet = _random_difference(high) < 256 * 24 and _random_difference(low) > 256 * 60
        if (coarse or quiet) and _difference(low, channels) * 256 > _random_difference(low) * 200:
            return [Shape("audio", bits=16, channels=channels, phase=phase)]
    return []


def _row(x: _Numbers, step: int) -> int:
    """The lag of a row, or 0."""
    longest = min(len(x) // 3, _LONGEST_ROW) // step * step
    lags = np.arange(-(-_SHORTEST_ROW // step) * step, longest + 1, step)
    if len(lags) == 0:
        return 0
    places = np.arange(longest, len(x), max((len(x) - longest) // _PLACES, 1))
    differences = np.array([np.abs(x[places] - x[places - lag]).sum() for lag in lags])
    return int(lags[differences.argmin()])
