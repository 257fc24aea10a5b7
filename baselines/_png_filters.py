"""PNG's five scanline filters for one byte a pixel (PNG Specification, section 9.2), and libpng's way to choose one.

A filter predicts a pixel x from its neighbours and keeps the difference modulo 256::

    c b     c: upper left, b: above, a: left; zero outside the image a x     none: 0    sub: a    up: b    average:
    floor((a + b) / 2)    Paeth: whichever of a, b, c is nearest to a + b - c
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

ByteArray = npt.NDArray[np.uint8]

#: Names by filter type.
FILTERS = ("none", "sub", "up", "average", "paeth")


@numba.njit(cache=True, nogil=True)
def predict(kind: int, left: int, above: int, corner: int) -> int:
    """What filter ``kind`` expects of a pixel (0..255)."""
    if kind == 0:
        return 0
    if kind == 1:
        return left
    if kind == 2:
        return above
    if kind == 3:
        return (left + above) >> 1
    estimate = left + above - corner
    to_left, to_above, to_corner = abs(estimate - left), abs(estimate - above), abs(estimate - corner)
    if to_left <= to_above and to_left <= to_corner:
        return left
    return above if to_above <= to_corner else corner


@numba.njit(cache=True, nogil=True)
def predict_at(kind: int, row: ByteArray, above: ByteArray, column: int) -> int:
    """:func:`predict` for one column of a row, given the row above (zeros for the first row)."""
    # Through int64: arithmetic on unsigned bytes would wrap around.
    left = int(np.int64(row[column - 1])) if column else 0
    corner = int(np.int64(above[column - 1])) if column else 0
    return predict(kind, left, int(np.int64(above[column])), corner)


@numba.njit(cache=True, nogil=True)
def filter_row(kind: int, row: ByteArray, above: ByteArray, out: ByteArray) -> int:
    """Write a row (or the start of one) under filter ``kind`` to ``out``; returns its sum of absolute differences.

    Differences count as signed bytes: 255 is -1.
    """
    total = 0
    for column in range(len(row)):
        difference = (int(np.int64(row[column])) - predict_at(kind, row, above, column)) & 255
        out[column] = difference
        total += min(difference, 256 - difference)
    return total


@numba.njit(cache=True, nogil=True)
def filter_rows(pixels: ByteArray, width: int, kinds: npt.NDArray[np.int64]) -> ByteArray:
    """Scanlines of an image, each under the one of ``kinds`` with the least sum, the first such: filter byte, then
    pixels.

    ``pixels`` is flat; the last row may be cut. Flat result, ``len(pixels)`` bytes and one more for each row begun.
    """
    rows = (len(pixels) + width - 1) // width
    out = np.empty(len(pixels) + rows, np.uint8)
    trial = np.empty(width, np.uint8)
    above = np.zeros(width, np.uint8)
    for index in range(rows):
        row = pixels[index * width : (index + 1) * width]
        start = index * (width + 1)
        least = -1
        for kind in kinds:
            total = filter_row(kind, row, above, trial)
            if least < 0 or total < least:
                least = total
                out[start] = kind
                out[start + 1 : start + 1 + len(row)] = trial[: len(row)]
        above = row
    return out


@numba.njit(cache=True, nogil=True)
def _unfilter(scanlines: ByteArray, pixels: ByteArray) -> bool:
    above = np.zeros(pixels.shape[1], np.uint8)
    for index in range(len(pixels)):
        kind = scanlines[index, 0]
        if kind > 4:
            return False
        row = pixels[index]
        for column in range(len(row)):
            row[column] = (np.int64(scanlines[index, column + 1]) + predict_at(kind, row, above, column)) & 255
        above = row
    return True


def unfilter_rows(scanlines: ByteArray) -> ByteArray | None:
    """The pixels ``(rows, width)`` of whole scanlines ``(rows, 1 + width)``; None if a filter type is unknown."""
    pixels = np.empty((scanlines.shape[0], scanlines.shape[1] - 1), np.uint8)
    known: Any = _unfilter(scanlines, pixels)
    return pixels if known else None


def filter_cost(filtered: ByteArray) -> npt.NDArray[np.int64]:
    """Absolute value of each filtered byte as a signed one, elementwise."""
    values = filtered.astype(np.int64)
    return np.minimum(values, 256 - values)
