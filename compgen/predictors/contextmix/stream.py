"""One model and what it has read: reading, scoring, coding, branching off, and going back to where it started."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from compgen.errors import UsageError
from compgen.interfaces import Done, FloatArray
from compgen.jit import compiled
from compgen.predictors.contextmix import _fields as fields
from compgen.predictors.contextmix import _kernel as kernel
from compgen.predictors.contextmix import model
from compgen.predictors.contextmix.auto import LOOK_EVERY, Finder
from compgen.predictors.contextmix.snapshot import Snapshot, worth_sharing

#: A model reads no more than this; longer data is cut into blocks.
MAX_LENGTH = (1 << 31) - 1
#: Bytes after which a stream has changed so many pages that are shared that it is better off with its own slots.
SHARED_BYTES = 256
#: How often to say how far the work has come.
_PIECE_BYTES = 1 << 16
#: A buffer with more room than that is given up when a stream goes back.
_KEPT_BYTES = 1 << 20
_NOTHING = np.zeros(1, dtype=np.uint8)
_NO_SCORES = np.zeros(1)
#: Bytes that guides read ahead, and the most code that as many can take.
_AHEAD = 2048
_AHEAD_CODE_BYTES = 16 * _AHEAD + 64
#: What guides say that are not asked.
_NO_ADVICE = np.zeros((0, 1, 256))

_Bytes = npt.NDArray[np.uint8]


def _no_advice(arrays: model.Arrays) -> FloatArray | None:
    """What a model is told that asks for guides, and has none, or does not."""
    return _NO_ADVICE if arrays.settings[fields.GUIDES] else None


def _new_coder() -> npt.NDArray[np.int64]:
    return np.array([0, 0xFFFFFFFF, 0, 0], dtype=np.int64)


class Guides(Protocol):
    """Predictors whose opinions a model takes as inputs, in step with it."""

    def next(self) -> FloatArray:
        """P(next byte), float64 ``(1, guides, 256)``."""

    def push(self, byte: int) -> None:
        """Move on by a byte."""

    def read(self, symbols: _Bytes) -> FloatArray:
        """Move on by symbols ``(n,)``; returns P(byte) before each, float64 ``(n, guides, 256)``."""

    def fork(self) -> Guides:
        """An independent copy."""


class Stream:
    """A model, the bytes it has read, and where that began.

    ``origin`` is a state that the stream was in; while the model's journal is complete, the stream can go back to it
    (:meth:`rewind`) and can be copied by what has changed since (:meth:`fork`). A stream ``shares`` if its slots are a
    private map of those of its origin. With a ``finder``, it goes on with another model where that finds what is read;
    the one it began with, which the origin is about, is put aside until it is wanted again. ``guides`` read what a
    model reads that asks for them, and nothing else.
    """

    def __init__(
        self,
        arrays: model.Arrays,
        max_slots: int,
        past: _Bytes,
        origin: Snapshot | None = None,
        shares: bool = False,
        finder: Finder | None = None,
    ) -> None:
        self._model = arrays
        self._max_slots = max_slots
        self._buffer = past
        self._position = self._start = int(arrays.registers[fields.POSITION])
        self._origin = origin
        self._shares = shares
        self._finder = finder
        self._first = finder and finder.copy()
        self._aside: model.Arrays | None = None
        self.guides: Guides | None = None

    @property
    def arrays(self) -> model.Arrays:
        """The model as it is."""
        return self._model

    @property
    def past(self) -> _Bytes:
        """The bytes read."""
        return self._buffer[: self._position]

    def _run(
        self, mode: int, count: int, coder: npt.NDArray[np.int64], code: _Bytes, scores: FloatArray, done: Done | None
    ) -> bool:
        """Go on by ``count`` bytes; False if ``code`` has become full before."""
        stop = self._position + count
        while self._position < stop:
            self._look()
            limit = model.limit(self._model, self._max_slots)
            if self._position == limit:
                self._grow()
                continue
            part = min(stop, limit, self._position + _PIECE_BYTES)
            if self._finder is not None:
                part = min(part, self._finder.look_at)
            if model.is_noting(self._model):
                part = min(part, self._position + model.room_to_note(self._model))
                if part == self._position:
                    self._stop_noting()
                    continue
            if mode == fields.ENCODE and self._asks and len(code) - coder[3] < _AHEAD_CODE_BYTES:
                return False
            if mode == fields.DECODE and self._asks:
                self._decode_guided(part, coder, code)
            else:
                part, advice = self._advised(part)
                self._position = int(kernel.code(self._model, mode, self._buffer, part, coder, code, scores, advice))
            if done is not None:
                done(self._position - self._start)
            if self._position < part:
                return False
        return True

    @property
    def _asks(self) -> bool:
        """Does the model want to know what guides say, and are there any?"""
        return self.guides is not None and self._model.settings[fields.GUIDES] > 0

    def _advised(self, stop: int) -> tuple[int, FloatArray | None]:
        """How far to go with what the guides say of bytes that are known, and that."""
        if not self._asks:
            return stop, _no_advice(self._model)
        assert self.guides is not None
        stop = min(stop, self._position + _AHEAD)
        return stop, self.guides.read(self._buffer[self._position : stop])

    def _decode_guided(self, stop: int, coder: npt.NDArray[np.int64], code: _Bytes) -> None:
        """Decode, asking the guides before each byte."""
        assert self.guides is not None
        decode: Callable[..., object] | None = None
        for position in range(self._position, stop):
            advice = self.guides.next()
            given = (self._model, fields.DECODE, self._buffer, position + 1, coder, code, _NO_SCORES, advice)
            decode = decode or compiled(kernel.code, given)
            decode(*given)
            self.guides.push(int(self._buffer[position]))
        self._position = stop

    def _grow(self) -> None:
        self._model = model.grown(self._model, self._max_slots)
        if self._aside is None:
            self._origin = None

    def _look(self) -> None:
        """At certain positions: find out what is read, and go on with a model for that."""
        finder = self._finder
        if finder is None or self._position != finder.look_at:
            return
        if not finder.look(self._buffer, self._position, self._remembered):
            return
        if finder.shape.mode == "general" and self._aside is not None:
            self._remembered(self._position)
            self._model, self._aside = self._aside, None
        else:
            self._aside = self._model if self._aside is None else self._aside
            fresh = finder.start(finder.shape, self._max_slots, max(0, self._position - LOOK_EVERY))
            self._model, _ = self._gone_on(fresh, self._position, fields.READ)

    def _remembered(self, start: int) -> int:
        """Let the model that is put aside read what it has missed; the bits, in 4096ths, of what is from start on."""
        assert self._aside is not None
        model.stop_noting(self._aside)
        self._origin = None
        self._aside, _ = self._gone_on(self._aside, start, fields.READ)
        self._aside, length = self._gone_on(self._aside, self._position, fields.SCORE)
        return length

    def _gone_on(self, arrays: model.Arrays, stop: int, mode: int) -> tuple[model.Arrays, int]:
        """A model that has read up to a position, or scored that; and the bits, in 4096ths, that this took."""
        coder = np.zeros(4, dtype=np.int64)
        while (at := int(arrays.registers[fields.POSITION])) < stop:
            limit = model.limit(arrays, self._max_slots)
            if at >= limit:
                arrays = model.grown(arrays, self._max_slots)
                continue
            part = min(stop, limit)
            scores = np.zeros(part - at if mode == fields.SCORE else 1)
            coder[3] = 0
            kernel.code(arrays, mode, self._buffer, part, coder, _NOTHING, scores, _no_advice(arrays))
        return arrays, int(coder[2])

    def _stop_noting(self) -> None:
        """The journal is full: so much changes that sharing does not pay any more."""
        model.stop_noting(self._model)
        if self._shares:
            self._model = model.copy(self._model)
            self._origin, self._shares = None, False

    def _room(self, count: int) -> None:
        """Make the buffer hold ``count`` bytes more."""
        needed = self._position + count
        if needed > MAX_LENGTH:
            raise UsageError(f"a cm model reads at most {MAX_LENGTH} bytes; cut the data into blocks")
        if needed > len(self._buffer):
            larger = np.zeros(needed if self._position == 0 else max(needed, 2 * len(self._buffer)), dtype=np.uint8)
            larger[: self._position] = self._buffer[: self._position]
            self._buffer = larger

    def _put(self, symbols: _Bytes) -> None:
        """Lay symbols ``(n,)`` behind what has been read."""
        self._room(len(symbols))
        self._buffer[self._position : self._position + len(symbols)] = symbols

    def read(self, symbols: _Bytes) -> None:
        """Learn symbols ``(n,)``."""
        self._put(symbols)
        self._run(fields.READ, len(symbols), _new_coder(), _NOTHING, _NO_SCORES, None)

    def score(self, symbols: _Bytes) -> FloatArray:
        """The probability each symbol had: float64 ``(n,)``."""
        self._put(symbols)
        scores = np.zeros(len(symbols))
        self._run(fields.SCORE, len(symbols), _new_coder(), _NOTHING, scores, None)
        return scores

    def encode(self, symbols: _Bytes, done: Done | None) -> bytes:
        """The code of symbols ``(n,)``."""
        coder = _new_coder()
        self._put(symbols)
        stop = self._position + len(symbols)
        code = np.zeros(len(symbols) // 2 + 64, dtype=np.uint8)
        while not self._run(fields.ENCODE, stop - self._position, coder, code, _NO_SCORES, done):
            code = np.concatenate([code, np.zeros(len(code) + _AHEAD_CODE_BYTES, dtype=np.uint8)])
        # Missing bytes read as 0, so what is left of the interval needs one byte or none.
        last = bytes([(int(coder[0]) >> 24) + 1]) if coder[0] else b""
        return (code[: coder[3]].tobytes() + last).rstrip(b"\0") or b"\0"

    def decode(self, code: _Bytes, length: int, done: Done | None) -> bytes:
        """The ``length`` symbols that ``code`` stands for."""
        start = self._position
        self._room(length)
        coder = _new_coder()
        first = np.zeros(4, dtype=np.uint8)
        first[: min(len(code), 4)] = code[:4]
        coder[2:] = int.from_bytes(first.tobytes(), "big"), 4
        self._run(fields.DECODE, length, coder, code, _NO_SCORES, done)
        return self._buffer[start : self._position].tobytes()

    def distribution(self, out: FloatArray) -> None:
        """Write P(next symbol) to ``out`` (256,)."""
        self._look()
        advice = self.guides.next() if self.guides is not None and self._asks else _no_advice(self._model)
        kernel.distribution(self._model, out, advice)

    def rewind(self) -> bool:
        """Go back to the origin; False if the stream has none any more, as its model has grown."""
        if self._origin is None:
            return False
        if self._aside is not None:
            self._model, self._aside = self._aside, None
        self._finder, self.guides = self._first and self._first.copy(), None
        model.restore(self._model, self._origin.arrays)
        self._position = int(self._model.registers[fields.POSITION])
        if len(self._buffer) > 2 * self._position + _KEPT_BYTES:
            self._buffer = self.past.copy()
        return True

    def fork(self) -> Stream:
        """An independent copy. Where the model is large, the two share what neither changes."""
        twin = self._branch()
        twin.guides = self.guides and self.guides.fork()
        return twin

    def _branch(self) -> Stream:
        past = self.past.copy()
        finder = self._finder and self._finder.copy()
        if self._aside is not None or not worth_sharing(self._model):
            twin = Stream(model.copy(self._model), self._max_slots, past, finder=finder)
            twin._aside = None if self._aside is None else model.copy(self._aside)
            return twin
        if self._origin is None or not model.is_noting(self._model):
            self._origin = Snapshot(self._model)
            self._model = model.noting(self._model, SHARED_BYTES)
        branch = model.branched(self._model, self._origin.slots())
        return Stream(branch, self._max_slots, past, self._origin, shares=True, finder=finder)
