"""exp2, log2 and softmax that give the same bits on every machine.

Library exponentials differ in the last place between platforms, and one such difference is enough for a sample to take
another path. These use only +, -, *, / and exact scaling by powers of two, each correctly rounded by IEEE 754 and
applied element by element, and sums in a fixed order; so the results depend on nothing but the arguments. The error is
a few units in the last place.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def _numbers(hexadecimal: str) -> list[float]:
    return [float.fromhex(number) for number in hexadecimal.split()]


# Written out, as a library's logarithm and powers may differ in the last place as well.
#: 2**f = exp(f ln 2) on [-1/2, 1/2] by its Taylor series, ln(2)**k / k! for k = 14 ... 0: it leaves less than 2**-57.
EXP2_SERIES = _numbers(
    "0x1.314964d5878a7p-44 0x1.816193166d0f7p-40 0x1.c3bd650fc2983p-36 0x1.e8cac7351bb22p-32 0x1.e4cf5158b8ec7p-28 "
    "0x1.b5253d395e7c1p-24 0x1.62c0223a5c822p-20 0x1.ffcbfc588b0c5p-17 0x1.430912f86c786p-13 0x1.5d87fe78a6730p-10 "
    "0x1.3b2ab6fba4e77p-7 0x1.c6b08d704a0bfp-5 0x1.ebfbdff82c58ep-3 0x1.62e42fefa39efp-1 0x1.0000000000000p+0"
)
#: log2(m) = 2/ln2 * artanh(t), t = (m-1)/(m+1), |t| <= 0.1716 for m in [1/sqrt2, sqrt2], 2 / ln(2) / (2k + 1) for
#: k = 11 ... 0: it leaves less than 2**-59.
LOG2_SERIES = _numbers(
    "0x1.00ecd7e080215p-3 0x1.1964ec6fc9491p-3 0x1.3703c1f4d0ffep-3 0x1.5b9ac9b743f0dp-3 0x1.89f3b1694cffep-3 "
    "0x1.c68f568d31760p-3 0x1.0c9a84994022dp-2 0x1.484b13d7c02a9p-2 0x1.a61762a7aded9p-2 0x1.2776c50ef9bfep-1 "
    "0x1.ec709dc3a03fdp-1 0x1.71547652b82fep+1"
)


def exp2(x: FloatArray) -> FloatArray:
    """``2**x`` elementwise, float64; exact at integers; 0 below -1022."""
    clipped = np.clip(x, -1100.0, 1100.0)
    whole = np.floor(clipped + 0.5)
    fraction = clipped - whole
    value = np.full_like(clipped, EXP2_SERIES[0])
    for coefficient in EXP2_SERIES[1:]:
        value = value * fraction + coefficient
    result: FloatArray = np.where(clipped < -1022.0, 0.0, np.ldexp(value, whole.astype(np.int32)))
    return result


def log2(x: FloatArray) -> FloatArray:
    """Base-2 logarithm elementwise of positive, normal float64; exact at powers of two."""
    mantissa, exponent = np.frexp(x)  # mantissa in [1/2, 1)
    low = mantissa < 0.7071067811865476
    mantissa = np.where(low, mantissa * 2.0, mantissa)
    exponent = exponent - low
    t = (mantissa - 1.0) / (mantissa + 1.0)
    square = t * t
    series = np.full_like(t, LOG2_SERIES[0])
    for coefficient in LOG2_SERIES[1:]:
        series = series * square + coefficient
    result: FloatArray = exponent + series * t
    return result


def ordered_sum(x: FloatArray) -> FloatArray:
    """Sum over the last axis, kept as length 1, from left to right (``np.sum`` may group by vector width)."""
    return np.cumsum(x, axis=-1)[..., -1:]


def softmax2(length_bits: FloatArray) -> FloatArray:
    """``2**-length`` normalised over the last axis: code lengths in bits to probabilities.

    Codes shorter by 1022 bits than another would leave that one at 0; it gets the smallest normal number instead, so
    that every probability is positive.
    """
    shifted = np.min(length_bits, axis=-1, keepdims=True) - length_bits
    weights = np.maximum(exp2(shifted), np.finfo(np.float64).tiny)
    return weights / ordered_sum(weights)
