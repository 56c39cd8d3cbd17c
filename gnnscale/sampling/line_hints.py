"""The processor's hint that a place of an array will be read soon, in compiled code."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def _prefetch_line(typing_context: Any, array: Any, place: Any) -> Any:
    """Have the cache line of ``array.flat[place]`` brought near, and go on at once; the place has to be one.

    A loop that reads at random places waits for each of them in turn, or for as many as the processor looks ahead.
    Where the places of later turns are known, this has the memory work on them meanwhile.

    Args:
        array: C-contiguous.
        place: of an item of it.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        shown = context.make_array(signature.args[0])(context, builder, arguments[0])
        item = builder.gep(shown.data, [builder.sext(arguments[1], ir.IntType(64))])
        where = builder.bitcast(item, cgutils.voidptr_t)
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, word, word, word])
        hint = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        # To be read, as near as can be, and data.
        builder.call(hint, [where, ir.Constant(word, 0), ir.Constant(word, 3), ir.Constant(word, 1)])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


# Compiled code leaves the first argument out, which its types don't tell.
prefetch_line: Any = intrinsic(_prefetch_line)
