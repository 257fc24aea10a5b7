"""What the hottest loops need and numba has no names for: plain loads and stores, and eight bytes at once.

Indices into one-dimensional arrays must be int64, at least 0 and below the size. numba would let negative ones count
from the end, which costs a third of the time of a loop that does little else.
"""

from __future__ import annotations

import sys
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic


def _get(typing, array, index):  # type: ignore[no-untyped-def]
    """``array[index]`` as int64."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        value = builder.load(builder.gep(view.data, [arguments[1]]))
        return context.cast(builder, value, signature.args[0].dtype, types.int64)

    return types.int64(array, types.int64), generate


def _put(typing, array, index, value):  # type: ignore[no-untyped-def]
    """``array[index] = value``, of an int64."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        stored = context.cast(builder, arguments[2], types.int64, signature.args[0].dtype)
        builder.store(stored, builder.gep(view.data, [arguments[1]]))
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64), generate


def _alike(typing, array, first, second):  # type: ignore[no-untyped-def]
    """How many of the 8 bytes from two indices on are alike before the first that is not: 0..8.

    Both indices must lie at least 8 bytes before the end of the uint8 array.
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        word = ir.IntType(64)
        loaded = []
        for index in arguments[1:]:
            load = builder.load(builder.bitcast(builder.gep(view.data, [index]), word.as_pointer()))
            load.align = 1
            loaded.append(load)
        count = builder.cttz if sys.byteorder == "little" else builder.ctlz
        return builder.lshr(count(builder.xor(*loaded), ir.IntType(1)(0)), word(3))  # of no difference: 64 bits

    return types.int64(array, types.int64, types.int64), generate


def _word(typing, array, index):  # type: ignore[no-untyped-def]
    """The 8 bytes of a uint8 array from an index on as an int64, the first byte the lowest."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        place = builder.bitcast(builder.gep(view.data, [arguments[1]]), ir.IntType(64).as_pointer())
        value = builder.load(place)
        value.align = 1
        return value if sys.byteorder == "little" else builder.bswap(value)

    return types.int64(array, types.int64), generate


get: Any = intrinsic(_get)
put: Any = intrinsic(_put)
alike: Any = intrinsic(_alike)
word: Any = intrinsic(_word)
