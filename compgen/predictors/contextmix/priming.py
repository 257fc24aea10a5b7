"""Where streams start: with nothing learnt, or with what was learnt from a file.

A state is learnt once in a process. Blocks borrow a model in that state and give it back, which takes back what they
taught it; so thousands of short blocks need not copy hundreds of megabytes each.
"""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from compgen import files
from compgen.errors import UsageError
from compgen.predictors.contextmix import _fields as fields
from compgen.predictors.contextmix import model
from compgen.predictors.contextmix.auto import Finder
from compgen.predictors.contextmix.settings import Recipe, Shape, recipe
from compgen.predictors.contextmix.snapshot import Snapshot, worth_sharing
from compgen.predictors.contextmix.stream import MAX_LENGTH, SHARED_BYTES, Stream

#: States learnt from files that are kept, those used last. Each takes two or three times ``memory_mb``.
_KEPT = 4
#: Slots of the models that are kept for blocks to come, at most, if it is more than one.
_IDLE_BYTES = 1 << 30
#: Bytes of a block that are taken back one by one; to copy everything takes no longer than to read more than that.
_NOTED_BYTES = 1 << 14


class Start:
    """A state to start from, and the models that were in it and can be so again."""

    def __init__(
        self, arrays: model.Arrays, max_slots: int, past: npt.NDArray[np.uint8], finder: Finder | None = None
    ) -> None:
        self._snapshot = Snapshot(arrays)
        self._max_slots = max_slots
        self._past = past
        self._finder = finder
        self._idle: list[Stream] = []

    def stream(self) -> Stream:
        """A stream of one's own."""
        arrays = self._snapshot.copy()
        finder = self._finder and self._finder.copy()
        if not worth_sharing(arrays):
            return Stream(arrays, self._max_slots, self._past, finder=finder)
        arrays = model.noting(arrays, SHARED_BYTES)
        return Stream(arrays, self._max_slots, self._past, self._snapshot, shares=True, finder=finder)

    @contextmanager
    def lent(self) -> Iterator[Stream]:
        """A stream for a block. Any number of blocks may have one at once."""
        try:
            stream = self._idle.pop()
        except IndexError:
            own = model.noting(model.copy(self._snapshot.arrays), _NOTED_BYTES)
            finder = self._finder and self._finder.copy()
            stream = Stream(own, self._max_slots, self._past, self._snapshot, finder=finder)
        yield stream
        if len(self._idle) * stream.arrays.table.nbytes < _IDLE_BYTES and stream.rewind():
            self._idle.append(stream)


def read_file(path: str) -> bytes:
    """What a model is to learn from. Raises :class:`~compgen.errors.UsageError` if there is too much of it."""
    with files.reading("./-" if path == "-" else path) as file:
        data = file.read(_MOST + 1)
    if len(data) > _MOST:
        raise UsageError(f"{path} is too long to start from; give at most {_MOST} bytes")
    return data


_MOST = MAX_LENGTH // 2
_primed: OrderedDict[tuple[Recipe, Shape, int, int, str], Start] = OrderedDict()
_learning = threading.Lock()


def primed(made: Recipe, shape: Shape, finding: int, max_slots: int, prime: str, sha256: str) -> Start:
    """The state after the file ``prime``, which must have that hash."""
    key = (made, shape, finding, max_slots, sha256)
    with _learning:
        if key not in _primed:
            _primed[key] = learnt(made, shape, finding, max_slots, _verified(prime, sha256))
            if len(_primed) > _KEPT:
                _primed.popitem(last=False)
        _primed.move_to_end(key)
        return _primed[key]


@lru_cache(maxsize=64)
def unprimed(made: Recipe, shape: Shape, finding: int, max_slots: int) -> Start:
    """The state in which nothing has been read. ``finding``: 0, or the level of the models to find one among."""
    return Start(model.start(made, shape, max_slots), max_slots, _NOTHING, Finder(finding) if finding else None)


_NOTHING = np.zeros(0, dtype=np.uint8)


def _verified(path: str, sha256: str) -> bytes:
    data = read_file(path)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise UsageError(f"{path} has changed since it was named to start from; name it again")
    return data


def learnt(made: Recipe, shape: Shape, finding: int, max_slots: int, data: bytes) -> Start:
    """The state after some data; :func:`primed` keeps those of files."""
    finder = Finder(finding) if finding else None
    stream = Stream(model.start(made, shape, max_slots), max_slots, _NOTHING, finder=finder)
    stream.read(np.frombuffer(data, dtype=np.uint8))
    if finder is not None and finder.shape.mode != "general":  # what comes then is of the kind found last
        shape = dataclasses.replace(finder.shape, phase=0)
        made = recipe(shape.mode, finding, shape.bits)
    arrays = model.primed(stream.arrays, made, shape, max_slots)
    return Start(arrays, max_slots, stream.past[: arrays.registers[fields.POSITION]].copy())
