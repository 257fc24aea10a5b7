"""Where streams start: with nothing learnt, or with what was learnt from a file.

A state is learnt once in a process. Blocks borrow a model in that state and give it back, which takes back what they
taught it; so thousands of short blocks need not copy hundreds of megabytes each.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from compgen import files
from compgen.errors import UsageError
from compgen.predictors.contextmix import _kernel as kernel
from compgen.predictors.contextmix import model
from compgen.predictors.contextmix.settings import Recipe
from compgen.predictors.contextmix.snapshot import Snapshot, worth_sharing
from compgen.predictors.contextmix.stream import MAX_LENGTH, Stream

#: States kept, those used last. Each takes two or three times ``memory_mb``.
_KEPT = 4
#: Models kept for blocks to come, at most.
_IDLE = 16


class Start:
    """A state to start from, and the models that were in it and can be so again."""

    def __init__(self, arrays: model.Arrays, max_slots: int, past: npt.NDArray[np.uint8]) -> None:
        self._snapshot = Snapshot(arrays)
        self._max_slots = max_slots
        self._past = past
        self._idle: list[Stream] = []

    def stream(self) -> Stream:
        """A stream of one's own."""
        arrays = self._snapshot.copy()
        if worth_sharing(arrays):
            arrays = model.noting(arrays)
        return Stream(arrays, self._max_slots, self._past, self._snapshot)

    @contextmanager
    def lent(self) -> Iterator[Stream]:
        """A stream for a block. Any number of blocks may have one at once."""
        try:
            stream = self._idle.pop()
        except IndexError:
            own = model.noting(model.copy(self._snapshot.arrays))
            stream = Stream(own, self._max_slots, self._past, self._snapshot)
        yield stream
        if len(self._idle) < _IDLE and stream.rewind():
            self._idle.append(stream)


def read_file(path: str) -> bytes:
    """What a model is to learn from. Raises :class:`~compgen.errors.UsageError` if there is too much of it."""
    with files.reading(path) as file:
        data = file.read(MAX_LENGTH)
    if len(data) >= MAX_LENGTH // 2:
        raise UsageError(f"{path} is too long to start from; give at most {MAX_LENGTH // 2} bytes")
    return data


_Key = tuple[Recipe, int, int, str]
_starts: OrderedDict[_Key, Start] = OrderedDict()
_learning = threading.Lock()


def start(recipe: Recipe, width: int, max_slots: int, prime: str, sha256: str) -> Start:
    """The state after the file ``prime``, which must have that hash; without a file, that of a model which has read
    nothing.
    """
    key = (recipe, width, max_slots, sha256)
    with _learning:
        if key not in _starts:
            _starts[key] = _learnt(recipe, width, max_slots, _verified(prime, sha256) if prime else b"")
            if len(_starts) > _KEPT:
                _starts.popitem(last=False)
        _starts.move_to_end(key)
        return _starts[key]


def _verified(path: str, sha256: str) -> bytes:
    data = read_file(path)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise UsageError(f"{path} has changed since it was named to start from; name it again")
    return data


def _learnt(recipe: Recipe, width: int, max_slots: int, data: bytes) -> Start:
    stream = Stream(model.start(recipe, width, max_slots), max_slots, np.zeros(0, dtype=np.uint8))
    stream.read(np.frombuffer(data, dtype=np.uint8))
    arrays = model.primed(stream.arrays, recipe, width, max_slots) if data else stream.arrays
    return Start(arrays, max_slots, stream.past[: arrays.registers[kernel.POSITION]].copy())
