"""A hint to the processor and one to the compiler that numba has no names for."""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic

_insert_function: Any = cgutils.get_or_insert_function


def _prefetch(typing, array, index):  # type: ignore[no-untyped-def]
    """Ask for the cache line of ``array[index]`` early. Changes nothing but the time."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer = builder.bitcast(builder.gep(view.data, [arguments[1]]), cgutils.voidptr_t)
        i32 = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, i32, i32, i32])
        function = _insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(function, [pointer, i32(0), i32(3), i32(1)])  # to read, to be kept, data
        return context.get_dummy_value()

    return types.void(array, index), generate


def _opaque(typing, number):  # type: ignore[no-untyped-def]
    """The same number, of which the compiler knows nothing; so a branch that ends in it stays a branch."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        kind = ir.FunctionType(arguments[0].type, [arguments[0].type])
        return builder.asm(kind, "", "=r,0", [arguments[0]], True)  # no instruction; result and argument in one place

    return number(number), generate


prefetch: Any = intrinsic(_prefetch)
opaque: Any = intrinsic(_opaque)
