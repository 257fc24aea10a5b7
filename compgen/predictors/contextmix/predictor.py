"""``cm`` as a predictor, and as the block coder that an archive is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from compgen import numerics
from compgen.errors import UsageError
from compgen.interfaces import BlockCoder, Done, FloatArray, Predictor, Progress, Session, Symbols, byte_array
from compgen.predictors.contextmix import _fields as fields
from compgen.predictors.contextmix import _kernel as kernel
from compgen.predictors.contextmix import detect, model
from compgen.predictors.contextmix.settings import LEVELS, MEMORY_MB, MODES, Shape, recipe

#: A model reads no more than this; longer data is cut into blocks.
MAX_LENGTH = (1 << 31) - 1

_Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ContextMix(Predictor, BlockCoder):
    """Bitwise context mixing in integers: the strong model that needs no weights to be downloaded.

    ``level`` trades size for speed: 1 fast, 2 the default, 3 best. ``memory_mb`` bounds the largest table (0: 16, 256,
    512 by level); a model starts small and grows as it reads. ``mode`` says what the bytes are: ``general`` (text, and
    anything else), ``image`` (8-bit gray pixels in rows of ``width``), or ``audio`` (unsigned 8-bit samples). All of
    them are part of the code: who decodes must use the same.

    Every number on the way is an integer, so the probabilities are the same on every machine: P(byte) is the product
    over its bits, the highest first, of p/65536 with an integer p in 1..65535, multiplied in this order in float64.
    """

    level: int = 2
    memory_mb: int = 0
    mode: str = "auto"
    width: int = 64
    bits: int = 8
    channels: int = 1

    name: ClassVar[str] = "cm"
    #: Another model gets another number, and an archive says which it was made with.
    numerics = "cm model 2"
    exact = True
    batched = False

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise UsageError(f"level must be one of {', '.join(map(str, LEVELS))}, not {self.level}")
        if self.mode not in MODES:
            raise UsageError(f"mode must be one of {', '.join(MODES)}, not {self.mode!r}")
        if not 0 <= self.memory_mb <= 2048:
            raise UsageError(f"memory_mb must be from 1 to 2048, or 0 for the level's own, not {self.memory_mb}")
        if self.bits not in (8, 16):
            raise UsageError(f"bits must be 8 or 16, not {self.bits}")
        if not 1 <= self.channels <= 4:
            raise UsageError(f"channels must be from 1 to 4, not {self.channels}")
        if not 1 <= self.width <= 1 << 20:
            raise UsageError(f"width must be from 1 to {1 << 20}, not {self.width}")

    def session(self, contexts: Sequence[Symbols]) -> Session:
        """See :meth:`Predictor.session`."""
        streams = [_Stream(self) for _ in contexts]
        for stream, context in zip(streams, contexts, strict=True):
            stream.read(byte_array(context))
        return _ContextMixSession(streams)

    def code_lengths(
        self,
        streams: Sequence[Symbols],
        contexts: Sequence[Symbols] | None = None,
        progress: Progress | None = None,
    ) -> list[FloatArray]:
        """See :meth:`Predictor.code_lengths`; one compiled loop a stream."""
        lengths: list[FloatArray] = []
        for stream, context in zip(streams, [b""] * len(streams) if contexts is None else contexts, strict=True):
            reader = _Stream(self)
            reader.read(byte_array(context))
            lengths.append(-numerics.log2(reader.score(byte_array(stream))))
            if progress is not None:
                progress(sum(map(len, lengths)), sum(map(len, streams)))
        return lengths

    def encode_block(self, data: bytes, done: Done | None = None) -> bytes:
        """See :meth:`BlockCoder.encode_block`. Nothing has more than two bytes of code a byte, and one."""
        return _Stream(self).encode(np.frombuffer(data, dtype=np.uint8), done)

    def decode_block(self, code: bytes, length: int, done: Done | None = None) -> bytes:
        """See :meth:`BlockCoder.decode_block`. Takes memory for the whole length at once."""
        return _Stream(self).decode(np.frombuffer(code, dtype=np.uint8).copy(), length, done).tobytes()


#: How often to say how far the work has come.
_PIECE_BYTES = 1 << 16
#: mode=auto: where it looks first what it reads, how far apart the looks are at most, how many bytes it looks at.
FIRST_LOOK = 64
LOOK_EVERY = 1 << 16
LONG_LOOK = 1 << 14
SHORT_LOOK = 1 << 12
_TRIAL_SLOTS = 1 << 13
NEVER = 1 << 62
_NOTHING = np.zeros(1, dtype=np.uint8)
_NO_SCORES = np.zeros(1)


def _new_coder() -> npt.NDArray[np.int64]:
    return np.array([0, 0xFFFFFFFF, 0, 0], dtype=np.int64)


class _Stream:
    """One model and what it has read."""

    def __init__(self, settings: ContextMix | None) -> None:
        if settings is None:
            return
        memory = settings.memory_mb or MEMORY_MB[settings.level]
        self._max_slots = 1 << ((memory * 65536).bit_length() - 1)
        self._level = settings.level
        auto = settings.mode == "auto"
        self._shape = Shape() if auto else Shape(settings.mode, settings.width, settings.bits, settings.channels)
        self._look_at = FIRST_LOOK if auto else NEVER
        self._model = self._start(self._shape, 0, self._max_slots)
        #: The general model, put aside while another is in use.
        self._aside: model.Arrays | None = None
        self._buffer: _Bytes = np.zeros(0, dtype=np.uint8)
        self._position = 0

    def _run(
        self, mode: int, count: int, coder: npt.NDArray[np.int64], code: _Bytes, scores: FloatArray, done: Done | None
    ) -> bool:
        """Go on by ``count`` bytes; False if ``code`` has become full before."""
        stop = self._position + count
        while self._position < stop:
            self._look()
            self._model = self._with_room(self._model)
            limit = min(model.limit(self._model, self._max_slots), self._look_at)
            part = min(stop, limit, self._position + _PIECE_BYTES)
            self._position = int(kernel.code(self._model, mode, self._buffer, part, coder, code, scores))
            if done is not None:
                done(self._position)
            if self._position < part:
                return False
        return True

    def _start(self, shape: Shape, position: int, slots: int) -> model.Arrays:
        """A model for such bytes that has read nothing, and is to start at a position."""
        arrays = model.start(recipe(shape.mode, self._level, shape.bits), shape, slots)
        arrays.registers[fields.POSITION] = position
        return arrays

    def _with_room(self, arrays: model.Arrays) -> model.Arrays:
        while arrays.registers[fields.POSITION] >= model.limit(arrays, self._max_slots):
            arrays = model.grown(arrays, self._max_slots)
        return arrays

    def _look(self) -> None:
        """At certain positions: find out what the bytes are, and go on with another model if it does better."""
        position = self._position
        if position != self._look_at:
            return
        self._look_at = position + min(max(position, FIRST_LOOK), LOOK_EVERY)
        if position == FIRST_LOOK:
            shape = detect.named(self._buffer[:position].tobytes())
            if shape is not None:
                self._look_at = LOOK_EVERY
                self._go_on_as(shape)
            return
        start = position - min(position, LONG_LOOK if position <= 2 * LONG_LOOK else SHORT_LOOK)
        guesses = detect.guesses(self._buffer, start, position)
        if any(guess.same_kind(self._shape) for guess in guesses[:1]) or (
            not guesses and self._shape.mode == "general"
        ):
            return
        if self._shape.mode != "general":
            guesses.append(Shape())
        start = max(start, position - SHORT_LOOK)
        here = self._cost(self._shape, start)
        costs = [here if guess.same_kind(self._shape) else self._cost(guess, start) for guess in guesses]
        if min(costs) < 0.98 * here:
            self._go_on_as(guesses[costs.index(min(costs))])
        elif position >= LOOK_EVERY:
            self._look_at = 2 * position

    def _cost(self, shape: Shape, start: int) -> float:
        """Bits of what has been read from ``start`` on, for a model that knows nothing before."""
        scores = np.ones(self._position)
        trial = self._start(shape, start, _TRIAL_SLOTS)
        kernel.code(trial, fields.SCORE, self._buffer, self._position, _new_coder(), _NOTHING, scores)
        return float(-numerics.log2(scores[start:]).sum())

    def _go_on_as(self, shape: Shape) -> None:
        """Change the model; the new one reads the last bytes, the general one all that it has missed."""
        if self._shape.mode == "general":
            self._aside = self._model
        if shape.mode == "general" and self._aside is not None:
            arrays, self._aside = self._aside, None
        else:
            arrays = self._start(shape, max(0, self._position - LOOK_EVERY), self._max_slots)
        while arrays.registers[fields.POSITION] < self._position:
            arrays = self._with_room(arrays)
            part = min(self._position, model.limit(arrays, self._max_slots))
            kernel.code(arrays, fields.READ, self._buffer, part, _new_coder(), _NOTHING, _NO_SCORES)
        self._model, self._shape = arrays, shape

    def _room(self, count: int) -> None:
        """Make the buffer hold ``count`` bytes more."""
        needed = self._position + count
        if needed > MAX_LENGTH:
            raise UsageError(f"a cm model reads at most {MAX_LENGTH} bytes; cut the data into blocks")
        if needed > len(self._buffer):
            larger = np.zeros(needed if self._position == 0 else max(needed, 2 * len(self._buffer)), dtype=np.uint8)
            larger[: self._position] = self._buffer[: self._position]
            self._buffer = larger

    def read(self, symbols: _Bytes) -> None:
        """Learn symbols ``(n,)``."""
        self._room(len(symbols))
        self._buffer[self._position : self._position + len(symbols)] = symbols
        self._run(fields.READ, len(symbols), _new_coder(), _NOTHING, _NO_SCORES, None)

    def score(self, symbols: _Bytes) -> FloatArray:
        """The probability each symbol had: float64 ``(n,)``."""
        start = self._position
        self._room(len(symbols))
        self._buffer[start : start + len(symbols)] = symbols
        scores = np.zeros(start + len(symbols))
        self._run(fields.SCORE, len(symbols), _new_coder(), _NOTHING, scores, None)
        return scores[start:]

    def encode(self, symbols: _Bytes, done: Done | None) -> bytes:
        """The code of symbols ``(n,)``."""
        coder = _new_coder()
        self._room(len(symbols))
        self._buffer[: len(symbols)] = symbols
        code = np.zeros(len(symbols) // 2 + 64, dtype=np.uint8)
        while not self._run(fields.ENCODE, len(symbols) - self._position, coder, code, _NO_SCORES, done):
            code = np.concatenate([code, np.zeros(len(code), dtype=np.uint8)])
        # Missing bytes read as 0, so what is left of the interval needs one byte or none.
        last = bytes([(int(coder[0]) >> 24) + 1]) if coder[0] else b""
        return (code[: coder[3]].tobytes() + last).rstrip(b"\0") or b"\0"

    def decode(self, code: _Bytes, length: int, done: Done | None) -> _Bytes:
        """The ``length`` symbols that ``code`` stands for."""
        self._room(length)
        coder = _new_coder()
        start = np.zeros(4, dtype=np.uint8)
        start[: min(len(code), 4)] = code[:4]
        coder[2:] = int.from_bytes(start.tobytes(), "big"), 4
        self._run(fields.DECODE, length, coder, code, _NO_SCORES, done)
        return self._buffer[:length]

    def distribution(self, out: FloatArray) -> None:
        """Write P(next symbol) to ``out`` (256,)."""
        self._look()
        kernel.distribution(self._model, out)

    def fork(self) -> _Stream:
        twin = _Stream(None)
        twin._max_slots = self._max_slots
        twin._level, twin._shape, twin._look_at = self._level, self._shape, self._look_at
        twin._model = model.copy(self._model)
        twin._aside = None if self._aside is None else model.copy(self._aside)
        twin._buffer = self._buffer.copy()
        twin._position = self._position
        return twin


class _ContextMixSession(Session):
    def __init__(self, streams: list[_Stream]) -> None:
        self._streams = streams

    def probabilities(self) -> FloatArray:
        rows = np.empty((len(self._streams), 256))
        for stream, row in zip(self._streams, rows, strict=True):
            stream.distribution(row)
        return rows

    def push(self, symbols: Symbols) -> None:
        for stream, symbol in zip(self._streams, byte_array(symbols)[:, None], strict=True):
            stream.read(symbol)

    def fork(self) -> Session:
        return _ContextMixSession([stream.fork() for stream in self._streams])
