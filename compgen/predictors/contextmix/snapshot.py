"""A state of a model that many streams start from, without copying what they do not change."""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import Any

import numpy as np
import numpy.typing as npt

from compgen.predictors.contextmix import model

#: Models with fewer bytes of slots are copied whole.
_WORTH_SHARING = 1 << 23


def worth_sharing(arrays: model.Arrays) -> bool:
    """Is the model so large that most of its pages will stay as they are?"""
    return arrays.table.nbytes >= _WORTH_SHARING


class Snapshot:
    """A model as it is now, for ever: ``arrays`` must not be written to.

    The slots of a large model lie in a file that has no name, in memory where the system can do that; copies are
    private maps of it, whose pages the system copies when they are written to.
    """

    def __init__(self, arrays: model.Arrays) -> None:
        self._file: _Unnamed | None = None
        table = None
        if worth_sharing(arrays):
            self._file = _Unnamed(arrays.table)
            table = self._file.map(writable=False)
        self.arrays = model.copy(arrays, table)

    def copy(self) -> model.Arrays:
        """A model in this state."""
        return model.copy(self.arrays, self.slots())

    def slots(self) -> npt.NDArray[np.uint8]:
        """A copy of the slots."""
        return self.arrays.table.copy() if self._file is None else self._file.map(writable=True)


class _Unnamed:
    """Bytes in a file that goes when nobody maps it any more."""

    def __init__(self, data: npt.NDArray[np.uint8]) -> None:
        if hasattr(os, "memfd_create"):
            self._file: Any = open(os.memfd_create("compgen"), "w+b", buffering=0)  # noqa: SIM115  closed with self
        else:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        view = memoryview(data)  # type: ignore[arg-type]  # numpy's stubs do not say that it is a buffer
        start = 0
        while start < len(view):  # a system call need not write all
            start += self._file.write(view[start:])

    def __del__(self) -> None:
        self._file.close()

    def map(self, writable: bool) -> npt.NDArray[np.uint8]:
        """The bytes; what is written to them nobody else sees."""
        access = mmap.ACCESS_COPY if writable else mmap.ACCESS_READ
        return np.frombuffer(mmap.mmap(self._file.fileno(), 0, access=access), dtype=np.uint8)
