"""The transformer's arithmetic: whole numbers only, so that every machine gets the same ones.

A number with f fraction bits is an integer, the number times 2**f. Matrix products are sums of products of integers; as
every sum stays below 2**31 (see :func:`weight_bits`), int32 is exact, and so are float64 and its fused multiply-adds,
in any order, in any blocking, on any device. Those of attention weights and values stay below 2**53. Between them stand
only +, -, *, /, sqrt and floor on float64, one correctly rounded IEEE 754 operation each, and a table of 2**-f.
Rounding is floor(x + 1/2) throughout.

    activations          16 bits with sign: they enter matrix products. After a norm ACTIVATION fraction bits;
                         queries, keys and values before it, and squared ReLUs, as many as their range leaves
    residual stream      within +-2**RESIDUAL_LIMIT, as many fraction bits as its range leaves
    weights              16 bits with sign, fraction bits by matrix
    scores, in bits      2 * ACTIVATION fraction bits; the table has TABLE bits of that
    attention            2**ATTENTION times 2**(score - highest score), truncated; probabilities: 2**OUTPUT times

What it costs in rate is measured in ``scripts/bench_transformer.py``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compgen import numerics
from compgen.numerics import FloatArray

#: Changes with any change of the numbers that come out.
ARITHMETIC = "transformer fixed point 1"

RESIDUAL_LIMIT = 21
ACTIVATION, ACTIVATION_LIMIT = 10, 32767
#: Fraction bits of the convolutions' taps and of the residual stream's factors, both within 16 bits with sign.
FACTOR = 12
#: Fraction bits of the attention's sharpness.
SHARPNESS = 12
TABLE = 10
ATTENTION, OUTPUT = 20, 40
#: Of a mean square, as in the float network.
EPSILON_BITS = 16
#: The sum of a row's absolute weights stays below: times 2**15 it is below 2**31.
ROW_LIMIT = 65535


def powers_table(scale_bits: int) -> FloatArray:
    """``round(2**(scale_bits - i / 2**TABLE))`` for ``i`` from 0 to ``2**TABLE - 1``: float64 ``(2**TABLE,)``."""
    steps = np.arange(1 << TABLE) / (1 << TABLE)
    return np.floor(numerics.exp2(-steps) * 2.0**scale_bits + 0.5)


def weight_bits(matrix: npt.NDArray[np.floating]) -> int:
    """The most fraction bits at which a matrix ``(outputs, inputs)`` fits 16 bits and its rows :data:`ROW_LIMIT`."""
    most, rows = np.abs(matrix).max(), np.abs(matrix).sum(axis=1).max()
    for bits in range(24, -16, -1):
        scaled = 2.0**bits
        if most * scaled < 32767 and rows * scaled + matrix.shape[1] / 2 < ROW_LIMIT:
            return bits
    raise ValueError("weights beyond any use")


def range_bits(highest: float, limit_bits: int) -> int:
    """The fraction bits at which twice ``highest`` fits ``limit_bits``: from 0 to 10."""
    bits = limit_bits - 1 - int(np.ceil(np.log2(max(highest, 1e-9))))
    return min(max(bits, 0), 10)


def relu_bits(hidden_bits: int) -> int:
    """Fraction bits of a ReLU whose square, with ``hidden_bits``, just fits 15 bits."""
    return (15 + hidden_bits) // 2


def rounded(x: npt.NDArray[np.floating], bits: int, limit: int) -> npt.NDArray[np.int64]:
    """To integers with ``bits`` fraction bits within ``+-limit``."""
    return np.clip(np.floor(np.asarray(x, np.float64) * 2.0**bits + 0.5), -limit, limit).astype(np.int64)
