"""Probabilities to integer frequencies, the same on every machine.

An arithmetic coder needs frequencies that encoder and decoder agree on to the last unit. For a pmf p of V symbols and a
precision of B bits these are, with T = 2**B,

    s    = V + sum(floor(p[i] * 2**43))                            an integer: the sum of p, in units, rounded up
    c    = (T - V) * 2**43 / s                                     float64
    f[i] = 1 + floor(p[i] * c)                                     the product in float64
    f[m] = f[m] + T - sum(f),  m the lowest index at which f is largest

Every operation is one correctly rounded IEEE 754 operation (those with 2**43 are exact) or concerns integers, whose
sums are the same in any order: no library function, no sum of floats. As s is rounded up, the last step never takes
away: the rounding of s, c and p*c adds up to much less than one unit of all f.

What it costs: for p that sum to 1, f[i] > p[i] (T - V) / (1 + 2**-43 V). So **no symbol gets longer by more than
log2(1 / (1 - V / 2**B)) bits** (and 2**-42 V), about 1.44 V / 2**B: 0.006 bits at V = 256, B = 16; 0.004 at V = 50,000,
B = 24; 0.0001 at V = 262,144, B = 32. A precision of 24 or more is right for large alphabets.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compgen.coding import _quantise_kernel as kernel
from compgen.coding._arguments import checked_precision, explain, pmf_rows
from compgen.interfaces import IntArray


def quantise(pmf: npt.ArrayLike, precision_bits: int) -> IntArray:
    """Integer frequencies, all at least 1, that sum to ``2**precision_bits`` in each row.

    ``pmf``: ``(alphabet,)`` or ``(..., alphabet)``, float32 or float64 (float32 gives what its float64 copy gives).
    Rows sum to 1 but for rounding; anything between 1/2 and 2 is scaled. Returns int64 of the same shape. Raises
    :class:`~compgen.errors.UsageError` for NaN, negative or infinite probabilities, for another sum, for an alphabet
    outside 2..262,144 or above ``2**precision_bits``, and for a precision outside 1..32.

    >>> quantise([0.5, 0.25, 0.25, 0.0], 4)
    array([9, 3, 3, 1])
    """
    precision_bits = checked_precision(precision_bits)
    weights = pmf_rows(pmf)
    rows = weights.reshape(-1, weights.shape[-1])
    frequencies = np.empty(rows.shape, np.int64)
    done = kernel.quantise_rows(rows, precision_bits, frequencies)
    if done < len(rows):
        raise explain(rows[done], precision_bits)
    return frequencies.reshape(weights.shape)
