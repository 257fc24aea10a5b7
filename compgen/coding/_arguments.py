"""What callers hand over, brought into the form that the kernels take; and what is wrong with it, in words."""

from __future__ import annotations

import operator
import threading
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from compgen.coding import _kernel, _quantise_kernel
from compgen.coding._quantise_kernel import LARGEST_ALPHABET
from compgen.errors import UsageError
from compgen.interfaces import IntArray, Symbols

Rows = npt.NDArray[Any]
LARGEST_PRECISION_BITS = 32

_compiling = threading.Lock()
_type_of: Any = numba.typeof  # it has no type hints


def checked_precision(precision_bits: int) -> int:
    """``precision_bits``, if it is one."""
    if not 1 <= precision_bits <= LARGEST_PRECISION_BITS:
        raise UsageError(f"precision must be 1 to {LARGEST_PRECISION_BITS} bits, not {precision_bits}")
    return operator.index(precision_bits)


def _usable(array: Rows, dtype: npt.DTypeLike) -> Rows:
    """C-contiguous and writable, as kernels are compiled for: a copy if need be."""
    return np.require(array, dtype, ["C", "W"])


def pmf_rows(pmf: npt.ArrayLike) -> Rows:
    """Weights ``(..., alphabet)`` as float32, if they are, or float64."""
    try:
        array = np.asarray(pmf)
        single = array.dtype == np.float32
        usable = _usable(array, np.float32 if single else np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"a pmf must be an array of floats: {error}") from None
    if usable.ndim == 0:
        raise UsageError("a pmf must be an array (alphabet,) or (..., alphabet), not a number")
    return usable


def rows_of(frequencies: npt.ArrayLike, precision_bits: int) -> Rows:
    """Rows ``(..., alphabet)`` as the coder takes them: a pmf if it has a precision, integer frequencies (0) if not."""
    if precision_bits:
        return pmf_rows(frequencies)
    array = np.asarray(frequencies)
    if array.dtype.kind not in "iu" or array.ndim == 0:
        raise UsageError(
            f"frequencies must be an array of integers (..., alphabet), not {array.dtype} of shape {array.shape}; "
            "for probabilities, give the coder precision_bits"
        )
    return _usable(array, np.int64)


def symbols_of(symbols: Symbols) -> IntArray:
    """Symbols as int64 of the same shape."""
    array = np.frombuffer(symbols, np.uint8) if isinstance(symbols, bytes | bytearray) else np.asarray(symbols)
    if array.size == 0:
        return np.zeros(array.shape, np.int64)
    if array.dtype.kind not in "iu":
        raise UsageError(f"symbols must be integers, not {array.dtype}")
    return _usable(array, np.int64)


def index_of(symbol: Any) -> int:
    """One symbol as an int."""
    try:
        return operator.index(symbol)
    except TypeError:
        raise UsageError(f"a symbol must be an integer, not {symbol!r}") from None


def cumulative_of(row: Rows, precision_bits: int) -> IntArray:
    """Cumulative frequencies int64 ``(alphabet + 1,)``, from 0 to the total, of one row."""
    if precision_bits:
        out = np.empty((1, len(row)), np.int64)
        if _quantise_kernel.quantise_rows(row[None], precision_bits, out) == 0:
            raise explain(row, precision_bits)
        row = out[0]
    elif (complaint := _frequencies_complaint(row)) is not None:
        raise UsageError(complaint)
    cumulative = np.empty(len(row) + 1, np.int64)
    _kernel.accumulate(row, cumulative)
    return cumulative


def explain(row: Rows, precision_bits: int, symbol: int | None = None) -> UsageError:
    """The error to raise for a row, and the symbol to be coded with it, that a kernel has refused."""
    complaint = _pmf_complaint(row, precision_bits) if precision_bits else _frequencies_complaint(row)
    if complaint is None and symbol is not None and not 0 <= symbol < len(row):
        complaint = f"symbol {symbol} is not in an alphabet of {len(row)}"
    if complaint is None and symbol is not None:
        complaint = f"symbol {symbol} has frequency 0, so it cannot be coded"
    return UsageError(complaint or "these frequencies cannot be coded with")


def _alphabet_complaint(alphabet: int) -> str | None:
    if 2 <= alphabet <= LARGEST_ALPHABET:
        return None
    return f"an alphabet must have 2 to {LARGEST_ALPHABET} symbols, not {alphabet}"


def _frequencies_complaint(row: Rows) -> str | None:
    if complaint := _alphabet_complaint(len(row)):
        return complaint
    if row.min() < 0:
        return f"frequencies must not be negative: that of symbol {row.argmin()} is {row.min()}"
    total = sum(row.tolist())
    if not 0 < total <= _kernel.LARGEST_TOTAL:
        return f"frequencies must sum to 1 to 2**32, not {total}"
    return None


def _pmf_complaint(row: Rows, precision_bits: int) -> str | None:
    if complaint := _alphabet_complaint(len(row)):
        return complaint
    if len(row) > 1 << precision_bits:
        return f"a precision of {precision_bits} bits is too low for an alphabet of {len(row)}"
    wrong = np.flatnonzero(~((row >= 0) & (row <= _quantise_kernel.LARGEST_WEIGHT)))
    if len(wrong) > 0:
        return f"probabilities must be from 0 to 1: that of symbol {wrong[0]} is {row[wrong[0]]}"
    total = float(np.sum(row, dtype=np.float64))
    if not 0.500001 < total < 1.999999:  # nearer to the limits, the kernel decides; it has refused, if asked
        return f"probabilities must sum to 1 (within a factor of 2), not to {total}: divide them by their sum"
    return None


def prepare(kernel: Any, *arguments: Any) -> None:
    """Compile ``kernel`` for arguments of these types, and leave it closed to others.

    A closed kernel raises TypeError for an argument of another kind at once, where an open one would take half a second
    to compile for, say, a read-only array. So the callers of the one-symbol kernels need no checks before the call.
    """
    types = tuple(_type_of(argument) for argument in arguments)
    with _compiling:
        if types not in kernel.signatures:
            kernel.disable_compile(False)
            kernel.compile(types)
        kernel.disable_compile()


def prepared(kernel: Any) -> Any:
    """``kernel`` once :func:`prepare` has been at it; before that, a stand-in that refuses everything."""
    return kernel if kernel.signatures else _refuse


def _refuse(*arguments: Any) -> int:
    raise TypeError("not compiled yet")
