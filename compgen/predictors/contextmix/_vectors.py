"""The two loops of the mixers as vector instructions, eight numbers at a time: what LLVM makes of loops is slower.

All is integer arithmetic modulo 2**32, so it does not matter in which order sums are taken, or on which processor.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic

#: Weights and inputs come in multiples of this.
LANES = 8
_I32: Any = ir.IntType(32)
_VECTOR: Any = ir.VectorType(_I32, LANES)
_insert_function: Any = cgutils.get_or_insert_function
_variable: Any = cgutils.alloca_once_value


def _all(number: int) -> Any:
    return ir.Constant(_VECTOR, [number] * LANES)


def _place(context: Any, builder: Any, array_type: Any, array: Any, start: Any, i: Any) -> Any:
    """Where the vector at ``array[start + LANES * i]`` is."""
    view = context.make_array(array_type)(context, builder, array)
    index = builder.add(start, builder.mul(i, ir.Constant(i.type, LANES)))
    return builder.bitcast(builder.gep(view.data, [index]), _VECTOR.as_pointer())


def _dot(typing, weights, w, inputs, start, count):  # type: ignore[no-untyped-def]
    """Sum of ``weights[w + i] * inputs[start + i] >> 10`` over ``i < count``, a multiple of LANES."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        total = _variable(builder, _all(0))
        blocks = builder.udiv(arguments[4], ir.Constant(arguments[4].type, LANES))
        with cgutils.for_range(builder, blocks, intp=blocks.type) as loop:
            a = _place(context, builder, signature.args[0], arguments[0], arguments[1], loop.index)
            b = _place(context, builder, signature.args[2], arguments[2], arguments[3], loop.index)
            product = builder.mul(builder.load(a, align=4), builder.load(b, align=4))
            builder.store(builder.add(builder.load(total), builder.ashr(product, _all(10))), total)
        kind = ir.FunctionType(_I32, [_VECTOR])
        reduce_add = _insert_function(builder.module, kind, f"llvm.vector.reduce.add.v{LANES}i32")
        return builder.call(reduce_add, [builder.load(total)])

    return types.int32(weights, w, inputs, start, count), generate


def _train(typing, weights, w, inputs, start, count, error):  # type: ignore[no-untyped-def]
    """Add ``inputs[start + i] * error`` in units of 2**14, rounded, to ``weights[w + i]``; bounded by 2**19."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        first = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), arguments[5], ir.Constant(_I32, 0))
        error = builder.shuffle_vector(first, ir.Constant(_VECTOR, ir.Undefined), _all(0))
        blocks = builder.udiv(arguments[4], ir.Constant(arguments[4].type, LANES))
        with cgutils.for_range(builder, blocks, intp=blocks.type) as loop:
            a = _place(context, builder, signature.args[0], arguments[0], arguments[1], loop.index)
            b = _place(context, builder, signature.args[2], arguments[2], arguments[3], loop.index)
            step = builder.add(builder.mul(builder.load(b, align=4), error), _all(8192))
            value = builder.add(builder.load(a, align=4), builder.ashr(step, _all(14)))
            value = builder.select(builder.icmp_signed("<", value, _all(524287)), value, _all(524287))
            value = builder.select(builder.icmp_signed(">", value, _all(-524288)), value, _all(-524288))
            builder.store(value, a, align=4)
        return context.get_dummy_value()

    return types.void(weights, w, inputs, start, count, error), generate


dot: Any = intrinsic(_dot)
train: Any = intrinsic(_train)
