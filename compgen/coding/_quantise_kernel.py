"""Pmf to integer frequencies as compiled loops; ``quantise.py`` lists the operations and why each is exact."""

from __future__ import annotations

from compgen.jit import inner, kernel

LARGEST_ALPHABET = 2**18
#: Weights are summed as whole numbers of 2**-43: no sum of floats, so no order of summation to fix. A weight is at
#: most 2, so a sum stays below 2**63.
UNITS = float(2**43)
LARGEST_WEIGHT = 2.0
SMALLEST_SUM, LARGEST_SUM = 2**42, 2**44


@inner
def _scale(weights, precision_bits):  # type: ignore[no-untyped-def]
    """c of ``quantise.py``, or -1 if the row is no pmf."""
    total = 1 << precision_bits
    if not 2 <= len(weights) <= min(total, LARGEST_ALPHABET):
        return -1.0
    refused = 0
    units = len(weights)
    for i in range(len(weights)):
        refused += not 0.0 <= weights[i] <= LARGEST_WEIGHT  # counts NaN too
        units += int(weights[i] * UNITS)
    if refused > 0 or not SMALLEST_SUM <= units <= LARGEST_SUM:
        return -1.0
    return (total - len(weights)) * UNITS / units


@inner
def quantise_row(weights, precision_bits, out):  # type: ignore[no-untyped-def]
    """Write the frequencies of one row to ``out``, int64 of its length; False if the row is no pmf."""
    scale = _scale(weights, precision_bits)
    if scale < 0.0:
        return False
    given = 0
    largest = 0  # and the lowest index it is at: all lower bits minus that
    for i in range(len(weights)):
        frequency = int(weights[i] * scale) + 1
        out[i] = frequency
        given += frequency
        largest = max(largest, frequency * LARGEST_ALPHABET + (LARGEST_ALPHABET - 1 - i))
    out[LARGEST_ALPHABET - 1 - largest % LARGEST_ALPHABET] += (1 << precision_bits) - given
    return True


@inner
def quantise_symbol(weights, precision_bits, symbol):  # type: ignore[no-untyped-def]
    """What :func:`quantise_row` gives before and at ``symbol``, with nothing stored: that would take longer.

    (start, frequency), with frequency 0 if the row is no pmf or the symbol not in it.
    """
    scale = _scale(weights, precision_bits)
    if scale < 0.0 or not 0 <= symbol < len(weights):
        return 0, 0
    given = 0
    largest = 0
    for i in range(len(weights)):
        frequency = int(weights[i] * scale) + 1
        given += frequency
        largest = max(largest, frequency * LARGEST_ALPHABET + (LARGEST_ALPHABET - 1 - i))
    start = symbol
    for i in range(symbol):
        start += int(weights[i] * scale)
    rest = (1 << precision_bits) - given
    at = LARGEST_ALPHABET - 1 - largest % LARGEST_ALPHABET
    start += rest if at < symbol else 0
    return start, int(weights[symbol] * scale) + 1 + (rest if at == symbol else 0)


@kernel
def quantise_rows(weights, precision_bits, out):  # type: ignore[no-untyped-def]
    """Rows ``(n, alphabet)`` of float32 or float64 to int64; returns the number done before one that is no pmf."""
    for row in range(len(weights)):
        if not quantise_row(weights[row], precision_bits, out[row]):
            return row
    return len(weights)
