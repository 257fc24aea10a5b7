"""A state of a model that many streams start from, without copying what they do not change."""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import Any

import numpy as np

from compgen.predictors.contextmix import model

#: Models with fewer bytes of slots are copied whole.
_WORTH_SHARING = 1 << 23


def worth_sharing(arrays: model.Arrays) -> bool:
    """Is the model so large that most of its pages will stay as they are?"""
    return arrays.table.nbytes >= _WORTH_SHARING


class Snapshot:
    """A model as it is now, for ever: ``arrays`` must not be written to.

    The large arrays of a large model lie in a file that has no name, in memory where the system can do that; copies are
    private maps of it, whose pages the system copies when they are written to.
    """

    def __init__(self, arrays: model.Arrays) -> None:
        if not worth_sharing(arrays):
            self._file = None
            self.arrays = model.copy(arrays)
            return
        self._file = _Unnamed(sum(_pages(getattr(arrays, name).nbytes) for name in model.LARGE))
        self._places: dict[str, tuple[int, np.dtype[Any], int]] = {}
        place = 0
        for name in model.LARGE:
            part = getattr(arrays, name)
            self._file.write(place, part)
            self._places[name] = place, part.dtype, len(part)
            place += _pages(part.nbytes)
        self.arrays = model.copy(arrays, self._large(self._file, writable=False))

    def copy(self) -> model.Arrays:
        """A model in this state."""
        return model.copy(self.arrays, None if self._file is None else self._large(self._file, writable=True))

    def _large(self, file: _Unnamed, writable: bool) -> dict[str, Any]:
        data = file.map(writable)
        return {name: np.frombuffer(data, dtype, count, at) for name, (at, dtype, count) in self._places.items()}


def _pages(size: int) -> int:
    """Bytes of the pages that hold so many."""
    return -(-size // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY


class _Unnamed:
    """A file that goes when nobody maps it any more."""

    def __init__(self, size: int) -> None:
        self._size = size
        if hasattr(os, "memfd_create"):
            self._file: Any = open(os.memfd_create("compgen"), "w+b", buffering=0)  # noqa: SIM115  closed with self
        else:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        self._file.truncate(size)

    def __del__(self) -> None:
        self._file.close()

    def write(self, place: int, data: Any) -> None:
        view = memoryview(data).cast("B")
        self._file.seek(place)
        start = 0
        while start < len(view):  # a system call need not write all
            start += self._file.write(view[start:])

    def map(self, writable: bool) -> Any:
        access = mmap.ACCESS_COPY if writable else mmap.ACCESS_READ
        return mmap.mmap(self._file.fileno(), self._size, access=access)
