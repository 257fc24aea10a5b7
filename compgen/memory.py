"""Keeping the memory that a codec frees, for the next of many calls."""

from __future__ import annotations

import ctypes
import functools
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 128 << 20
_LARGEST_KEPT_BYTES = 64 << 20


@functools.cache
def keep_freed() -> None:
    """Let this process keep up to 128 MiB of freed memory, in blocks of up to 64 MiB.

    A codec takes a few MB for a call and frees them after it. By default the C library of Linux (glibc) then may give
    them back to the system, which hands them out again zeroed, page by page: up to forty times the time of coding 2
    KB. Whether it does hangs on what else lies in memory. Does nothing on other systems.
    """
    if sys.platform.startswith("linux"):
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
            mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
