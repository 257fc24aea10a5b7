"""The hot loops of a step as vector instructions: products of 16-bit integers, and weights of the attention.

All is integer arithmetic on sums that cannot overflow, so it does not matter in which order they are taken, or on which
processor. LLVM makes one instruction of a product of pairs and their sum (``_pair_sums``) where there is one.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic

#: Inputs of :func:`products` and channels of :func:`weigh` come in multiples of this.
LANES = 16
#: Rows, scores and outputs come in multiples of this.
ROWS = 8
#: Keys come in multiples of this: of as many weights of 10 bits and their values, the sum stays below 2**31.
KEYS = 32
#: Low bits of a weight, the rest of which is kept apart.
LOW_BITS = 10

_I16, _I32, _I64, _F64 = ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.DoubleType()
_SHORTS: Any = ir.VectorType(_I16, LANES)
_EIGHT: Any = ir.VectorType(_I32, ROWS)
_DOUBLES: Any = ir.VectorType(_F64, ROWS)
_for_range: Any = cgutils.for_range
_variable: Any = cgutils.alloca_once
_variable_with: Any = cgutils.alloca_once_value
_unpack: Any = cgutils.unpack_tuple
_insert_function: Any = cgutils.get_or_insert_function


def _all(number: float, kind: Any = _EIGHT) -> Any:
    return ir.Constant(kind, [number] * kind.count)


def _nothing(kind: Any) -> Any:
    return ir.Constant(kind, ir.Undefined)


def _mask(places: Any) -> Any:
    return ir.Constant(ir.VectorType(_I32, len(places)), list(places))


def _times(builder: Any, number: Any, factor: int) -> Any:
    return builder.mul(number, ir.Constant(number.type, factor))


def _view(context: Any, builder: Any, signature: Any, arguments: Any, i: int) -> Any:
    return context.make_array(signature.args[i])(context, builder, arguments[i])


def _load(builder: Any, pointer: Any, index: Any, kind: Any = _SHORTS) -> Any:
    where = builder.bitcast(builder.gep(pointer, [index]), kind.as_pointer())
    return builder.load(where, align=2 if kind is _SHORTS else 4)


def _store(builder: Any, value: Any, pointer: Any, index: Any, align: int) -> None:
    builder.store(value, builder.bitcast(builder.gep(pointer, [index]), value.type.as_pointer()), align=align)


def _spread(builder: Any, number: Any) -> Any:
    """Eight times one number."""
    first = builder.insert_element(_nothing(_EIGHT), number, _I32(0))
    return builder.shuffle_vector(first, _nothing(_EIGHT), _mask([0] * ROWS))


def _pair_sums(builder: Any, a: Any, b: Any) -> Any:
    """``a[2 i] * b[2 i] + a[2 i + 1] * b[2 i + 1]`` of 16 int16 each: 8 int32."""
    wide = ir.VectorType(_I32, LANES)
    products = builder.mul(builder.sext(a, wide), builder.sext(b, wide))
    even, odd = (builder.shuffle_vector(products, _nothing(wide), _mask(range(first, LANES, 2))) for first in (0, 1))
    return builder.add(even, odd)


def _fold(builder: Any, a: Any, b: Any) -> Any:
    """Sums of neighbours of two vectors, in the order of a horizontal addition on x86: by halves of 4."""
    even = builder.shuffle_vector(a, b, _mask([0, 2, 8, 10, 4, 6, 12, 14]))
    odd = builder.shuffle_vector(a, b, _mask([1, 3, 9, 11, 5, 7, 13, 15]))
    return builder.add(even, odd)


def _sum_each(builder: Any, vectors: list[Any]) -> Any:
    """The sums of 8 vectors, as one."""
    while len(vectors) > 2:
        vectors = [_fold(builder, vectors[i], vectors[i + 1]) for i in range(0, len(vectors), 2)]
    lower = builder.shuffle_vector(*vectors, _mask([0, 1, 2, 3, 8, 9, 10, 11]))
    upper = builder.shuffle_vector(*vectors, _mask([4, 5, 6, 7, 12, 13, 14, 15]))
    return builder.add(lower, upper)


def _products(typing, rows, first, blocks, vector, out):  # type: ignore[no-untyped-def]
    """``out[first + i] = rows[first + i] @ vector`` for ``i < ROWS * blocks``.

    int16 ``(n, LANES * m)`` and ``(LANES * m,)``; int32 ``(n,)``.
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        matrix, vector, out = (_view(context, builder, signature, arguments, i) for i in (0, 3, 4))
        inputs = _unpack(builder, matrix.shape)[1]
        sums = [_variable(builder, _EIGHT) for _ in range(ROWS)]
        with _for_range(builder, arguments[2], intp=_I64) as block:
            row = builder.add(arguments[1], _times(builder, block.index, ROWS))
            for total in sums:
                builder.store(_all(0), total)
            with _for_range(builder, builder.udiv(inputs, _I64(LANES)), intp=_I64) as part:
                column = _times(builder, part.index, LANES)
                factors = _load(builder, vector.data, column)
                place = builder.add(builder.mul(row, inputs), column)
                for total in sums:
                    more = _pair_sums(builder, _load(builder, matrix.data, place), factors)
                    builder.store(builder.add(builder.load(total), more), total)
                    place = builder.add(place, inputs)
            _store(builder, _sum_each(builder, [builder.load(total) for total in sums]), out.data, row, 4)
        return context.get_dummy_value()

    return types.void(rows, first, blocks, vector, out), generate


def _exponentiate(typing, scores, first, blocks, most, table, low, high):  # type: ignore[no-untyped-def]
    """Weights of keys from scores: ``table[below % 1024] >> below // 1024`` for ``below = (most - score) >> 10``.

    For ``ROWS * blocks`` keys from ``first`` on. ``scores`` int32 ``(n,)``, ``table`` int32 ``(1024,)``; the low
    LOW_BITS of a weight go to ``low``, the others to ``high``, int16 ``(n,)``. Returns the weights' sum, modulo 2**32.
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        scores, table, low, high = (_view(context, builder, signature, arguments, i) for i in (0, 4, 5, 6))
        most, total = _spread(builder, arguments[3]), _variable_with(builder, _all(0))
        short = ir.VectorType(_I16, ROWS)
        with _for_range(builder, arguments[2], intp=_I64) as block:
            place = builder.add(arguments[1], _times(builder, block.index, ROWS))
            below = builder.lshr(builder.sub(most, _load(builder, scores.data, place, _EIGHT)), _all(10))
            index, shift = builder.and_(below, _all(1023)), builder.lshr(below, _all(10))
            shift = builder.select(builder.icmp_unsigned("<", shift, _all(31)), shift, _all(31))
            weights = _nothing(_EIGHT)
            for i in range(ROWS):
                entry = builder.zext(builder.extract_element(index, _I32(i)), _I64)
                weights = builder.insert_element(weights, builder.load(builder.gep(table.data, [entry])), _I32(i))
            weights = builder.lshr(weights, shift)
            builder.store(builder.add(builder.load(total), weights), total)
            least = builder.and_(weights, _all((1 << LOW_BITS) - 1))
            _store(builder, builder.trunc(least, short), low.data, place, 2)
            _store(builder, builder.trunc(builder.lshr(weights, _all(LOW_BITS)), short), high.data, place, 2)
        kind = ir.FunctionType(_I32, [_EIGHT])
        reduce_add = _insert_function(builder.module, kind, f"llvm.vector.reduce.add.v{ROWS}i32")
        return builder.call(reduce_add, [builder.load(total)])

    return types.int32(scores, first, blocks, most, table, low, high), generate


def _add_block(builder: Any, weights: list[Any], values: Any, row: Any, inputs: Any, column: Any, sums: Any) -> None:
    """Add KEYS rows of some channels, weighted, to ``sums[weights][half of 16 channels]``, int32 sums of 8 channels.

    Neighbouring rows are interleaved by halves of 8 channels, so a first half is of channels 0-3 and 8-11 of 16.
    """
    for totals in sums:
        for total in totals:
            builder.store(_all(0), total)
    places = [[half + i + LANES * which for i in range(4) for which in (0, 1)] for half in (0, 4, 8, 12)]
    with _for_range(builder, _I64(KEYS // 2), intp=_I64) as pair:
        key = builder.add(row, _times(builder, pair.index, 2))
        place = builder.add(builder.mul(key, inputs), column)
        factors = [builder.bitcast(_spread(builder, _load(builder, array, key, _I32)), _SHORTS) for array in weights]
        for half in range(len(sums[0])):
            if half % 2 == 0:
                here = builder.add(place, _I64(half // 2 * LANES))
                a, b = _load(builder, values, here), _load(builder, values, builder.add(here, inputs))
            mixed = builder.shuffle_vector(a, b, _mask(places[half % 2] + places[half % 2 + 2]))
            for two, totals in zip(factors, sums, strict=True):
                more = builder.add(builder.load(totals[half]), _pair_sums(builder, mixed, two))
                builder.store(more, totals[half])


def _weigh(typing, low, high, values, first, blocks, out):  # type: ignore[no-untyped-def]
    """``out = sum of (low[j] + 1024 * high[j]) * values[j]`` over ``KEYS * blocks`` keys from ``first`` on.

    ``low`` and ``high`` int16 ``(n,)``, at most 1023 and 1024; ``values`` int16 ``(n, LANES * m)``, above -2**15; out
    float64 ``(LANES * m,)``. Many keys weigh little, and some nothing. Channels are taken 32 at a time where they can.
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        low, high, values, out = (_view(context, builder, signature, arguments, i) for i in (0, 1, 2, 5))
        channels = _unpack(builder, values.shape)[1]

        def some_channels(column: Any, count: int) -> None:
            halves = range(count // ROWS)
            sums = [[_variable(builder, _EIGHT) for _ in halves] for _ in range(2)]
            totals = [_variable(builder, _DOUBLES) for _ in halves]
            for total in totals:
                builder.store(_all(0.0, _DOUBLES), total)
            with _for_range(builder, arguments[4], intp=_I64) as block:
                row = builder.add(arguments[3], _times(builder, block.index, KEYS))
                some_high = _any(builder, high.data, row)
                with builder.if_then(builder.or_(some_high, _any(builder, low.data, row))):
                    with builder.if_else(some_high) as (both, low_only):
                        with both:
                            _add_block(builder, [low.data, high.data], values.data, row, channels, column, sums)
                            _move(builder, sums[1], totals, float(1 << LOW_BITS))
                        with low_only:
                            _add_block(builder, [low.data], values.data, row, channels, column, sums[:1])
                    _move(builder, sums[0], totals, 1.0)
            order = _mask([0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15])
            for half in halves[::2]:
                whole = builder.shuffle_vector(*(builder.load(total) for total in totals[half : half + 2]), order)
                _store(builder, whole, out.data, builder.add(column, _I64(half * ROWS)), 8)

        whole = builder.udiv(channels, _I64(2 * LANES))
        with _for_range(builder, whole, intp=_I64) as part:
            some_channels(_times(builder, part.index, 2 * LANES), 2 * LANES)
        with builder.if_then(builder.icmp_unsigned("<", _times(builder, whole, 2 * LANES), channels)):
            some_channels(_times(builder, whole, 2 * LANES), LANES)
        return context.get_dummy_value()

    return types.void(low, high, values, first, blocks, out), generate


def _any(builder: Any, array: Any, place: Any) -> Any:
    """Is any of KEYS int16 other than 0?"""
    kind = ir.IntType(16 * KEYS)
    return builder.icmp_unsigned("!=", _load(builder, array, place, kind), kind(0))


def _move(builder: Any, sums: list[Any], totals: list[Any], factor: float) -> None:
    """Add int32 sums, times a factor, to float64 totals, exactly."""
    for part, total in zip(sums, totals, strict=True):
        more = builder.fmul(builder.sitofp(builder.load(part), _DOUBLES), _all(factor, _DOUBLES))
        builder.store(builder.fadd(builder.load(total), more), total)


products: Any = intrinsic(_products)
exponentiate: Any = intrinsic(_exponentiate)
weigh: Any = intrinsic(_weigh)
