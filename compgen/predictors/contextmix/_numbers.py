"""Where the loops of ``cm`` meet those for numbers: the kernels of text are compiled without the latter."""

from __future__ import annotations

from typing import Any

from numba.extending import overload

from compgen.predictors.contextmix import _signals as signals

_overload: Any = overload  # its type stubs do not know all options
_OPTIONS = {"cache": True, "nogil": True, "_nrt": False, "forceinline": True}


def split_numbers(m: Any, at: Any, c0: Any, bit: Any) -> None:
    """See :func:`_signals.split`; text has no such inputs."""
    raise NotImplementedError("for compiled code only")


def read_numbers(m: Any, buffer: Any, c: Any) -> None:
    """See :func:`_signals.read`."""
    raise NotImplementedError("for compiled code only")


def _is_text(m: Any) -> bool:
    """Of the type of the arrays: are its counts fixed? They are for text only."""
    counts = m.types[m.fields.index("counts")]
    return len(counts.types[0].types) > 0


@_overload(split_numbers, jit_options=_OPTIONS)
def _split_numbers(m, at, c0, bit):  # type: ignore[no-untyped-def]
    if _is_text(m):
        return lambda m, at, c0, bit: None
    return lambda m, at, c0, bit: signals.split(m, at, c0, bit)


@_overload(read_numbers, jit_options=_OPTIONS)
def _read_numbers(m, buffer, c):  # type: ignore[no-untyped-def]
    if _is_text(m):
        return lambda m, buffer, c: None
    return lambda m, buffer, c: signals.read(m, buffer, c)
