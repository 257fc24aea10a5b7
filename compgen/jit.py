"""How compgen compiles: nothing at import, once per machine, without the interpreter's lock, and quickly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

_njit: Any = numba.njit  # its type stubs do not know all options

#: For functions that Python calls.
kernel = _njit(cache=True, nogil=True)
#: For functions that only compiled ones call: no entry points from Python and C, which take a good part of the time.
inner = _njit(cache=True, nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
#: The same for those that make no arrays, nor call any that do: no references to arrays are counted, which in a short
#: function takes longer than all else.
lean = _njit(cache=True, nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False)


def compiled(function: Any, arguments: tuple[Any, ...]) -> Callable[..., Any]:
    """A kernel's code for arguments of these types, to be called with such only.

    Called by its own name, a kernel finds out first what types it is given, which for many arrays takes some µs.
    """
    code: Callable[..., Any] = function.compile(tuple(map(numba.typeof, arguments)))
    return code
