"""Documents to Equal-Info Windows and back: many at once, in step with M1. ``windows.py`` tells what is computed.

The windows of a document depend on each other, as each begins where the one before it ends; documents do not. So as
many documents as there are slots advance together, a byte of each for a step of M1, and a slot that is done takes the
next document. Windows that are to be decoded are all known, and M1 starts anew with them: there the slots share the
windows of all documents.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compgen.coding import quantise
from compgen.errors import UsageError
from compgen.interfaces import Done, IntArray, Predictor
from compgen.neuraltext import _kernel as kernel
from compgen.neuraltext import streams
from compgen.neuraltext.windows import RESETS, Bytes, Windows

#: Streams that M1 reads in step: more would not make it faster.
SLOTS = 256
#: Windows that a slot takes at a time when it decodes; even, as M1 may start anew at every other one.
_SHARE = 64


def require_model(predictor: Predictor) -> None:
    """M1 must predict bytes, and the same on every machine."""
    if predictor.alphabet_size != 256:
        raise UsageError(f"{predictor.spec} predicts {predictor.alphabet_size} symbols, not bytes; it cannot be M1")
    if not predictor.exact:
        raise UsageError(
            f"{predictor.spec} is not exact: its probabilities may differ from machine to machine, and then tokens "
            "mean something else; take a transformer of compgen's, cm or an order-n model"
        )


def encode(predictor: Predictor, windows: Windows, documents: Sequence[bytes], done: Done | None = None) -> list[Bytes]:
    """The windows of each document, uint8 ``(n * window_bytes,)``; an empty one has none. ``done`` counts bytes."""
    require_model(predictor)
    order = sorted(range(len(documents)), key=lambda i: -len(documents[i]))  # so that slots end at about the same time
    order = [i for i in order if documents[i]]
    data = np.frombuffer(b"".join(documents[i] for i in order), np.uint8)
    ends = np.cumsum([len(documents[i]) for i in order], dtype=np.int64)
    work = _Encoding(predictor, windows, data, ends, done)
    work.run()
    found = [np.zeros(0, np.uint8)] * len(documents)
    for i, code in zip(order, work.written, strict=True):
        found[i] = np.frombuffer(code, np.uint8)
    return found


def decode(predictor: Predictor, windows: Windows, codes: Sequence[Bytes], done: Done | None = None) -> list[bytes]:
    """The inverse of :func:`encode`, of windows of any origin. ``done`` counts windows."""
    require_model(predictor)
    share = _SHARE if RESETS[windows.reset_model] else max(map(len, codes), default=0)
    table = [code.reshape(-1, windows.window_bytes) for code in codes]
    ends, owners, total = list[int](), list[int](), 0
    for number, rows in enumerate(table):
        for first in range(0, len(rows), max(share, 1)):
            total += len(rows[first : first + share])
            ends.append(total)
            owners.append(number)
    work = _Decoding(predictor, windows, np.concatenate(table) if table else None, np.array(ends, np.int64), done)
    work.run()
    found = [bytearray() for _ in codes]
    for number, part in zip(owners, work.written, strict=True):
        found[number] += part
    return [bytes(part) for part in found]


class _Work:
    """Some pieces of data, from where the one before ends to their own ends, worked off by slots in step with M1."""

    def __init__(self, predictor: Predictor, windows: Windows, ends: IntArray, done: Done | None) -> None:
        self._windows, self._ends, self._done = windows, ends, done
        self._starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
        self.written = [bytearray() for _ in ends]
        slots = min(SLOTS, len(ends))
        limbs = windows.window_bits // 32 + 2
        self._streams = streams.start(predictor, slots)
        self._intervals = np.zeros((slots, 4, limbs), np.int64)
        self._counters = np.zeros((slots, 6), np.int64)
        self._rounds = np.zeros((slots, limbs), np.int64)
        self._pieces = np.arange(slots)  # the piece of each slot
        self._given = slots
        self._begin(np.arange(slots))
        self._root = quantise(streams.start(predictor, 1).probabilities()[0], windows.precision_bits)

    def _begin(self, slots: IntArray) -> None:
        pieces = self._pieces[slots]
        starts, ends = self._starts[pieces], self._ends[pieces]
        kernel.begin(self._intervals, self._counters, slots, starts, ends, self._windows.window_bits)

    def run(self) -> None:
        """Work everything off."""
        busy = np.ones(len(self._pieces), bool)
        while busy.any():
            if busy.sum() <= len(busy) // 2:
                busy = self._shrink(busy)
            active = np.flatnonzero(busy)
            before = self._counters[active, kernel.NEXT]
            rows = quantise(self._streams.probabilities(), self._windows.precision_bits)
            answers = self._step(active, rows)
            self._move(answers, active)
            if self._done is not None:
                self._done(int((self._counters[active, kernel.NEXT] - before).sum()))
            ended = active[self._counters[active, kernel.NEXT] == self._counters[active, kernel.END]]
            self._refill(ended, busy)

    def _step(self, active: IntArray, rows: IntArray) -> IntArray:
        """Call the kernel, keep what it writes, and return its answers ``(slots, 3)``."""
        raise NotImplementedError

    def _settings(self) -> tuple[int, int, bool, int]:
        windows = self._windows
        return windows.window_bits, windows.precision_bits, windows.delay, RESETS[windows.reset_model]

    def _move(self, answers: IntArray, active: IntArray) -> None:
        """Let M1 read what the kernel says."""
        anew = active[(answers[active, 1] == kernel.ANEW) & (answers[active, 2] != kernel.NOTHING)]
        if len(anew):
            self._streams.restart(anew)
        if (answers[active, 2] != kernel.NOTHING).any():
            self._streams.push(np.maximum(answers[:, 2], 0))
        idle = active[answers[active, 2] == kernel.NOTHING]
        if len(idle):
            self._streams.restart(idle)

    def _refill(self, ended: IntArray, busy: np.typing.NDArray[np.bool_]) -> None:
        """Give slots that are done the next pieces, as long as there are any."""
        more = min(len(ended), len(self._ends) - self._given)
        self._pieces[ended[:more]] = np.arange(self._given, self._given + more)
        self._given += more
        self._begin(ended[:more])
        busy[ended[more:]] = False

    def _shrink(self, busy: np.typing.NDArray[np.bool_]) -> np.typing.NDArray[np.bool_]:
        """Drop the slots that have nothing to do."""
        kept = np.flatnonzero(busy)
        self._streams = self._streams.copies(kept)
        for name in ("_intervals", "_counters", "_rounds", "_pieces"):
            setattr(self, name, getattr(self, name)[kept])
        return busy[kept]


class _Encoding(_Work):
    """Pieces are documents in ``data``."""

    def __init__(self, predictor: Predictor, windows: Windows, data: Bytes, ends: IntArray, done: Done | None) -> None:
        super().__init__(predictor, windows, ends, done)
        self._data = data

    def _step(self, active: IntArray, rows: IntArray) -> IntArray:
        bits, precision, delay, resets = self._settings()
        out = np.empty((len(rows), 4, self._windows.window_bytes), np.uint8)
        answers = np.zeros((len(rows), 3), np.int64)
        kernel.encode(
            self._intervals, self._counters, active, self._data, rows, self._root, bits, precision, delay, resets,
            self._rounds, out, answers,
        )  # fmt: skip
        for slot in np.flatnonzero(answers[:, 0]):
            self.written[self._pieces[slot]] += out[slot, : answers[slot, 0]].tobytes()
        return answers


class _Decoding(_Work):
    """Pieces are windows in ``code`` ``(windows, window_bytes)``."""

    def __init__(
        self, predictor: Predictor, windows: Windows, code: Bytes | None, ends: IntArray, done: Done | None
    ) -> None:
        super().__init__(predictor, windows, ends, done)
        self._code = code

    def _step(self, active: IntArray, rows: IntArray) -> IntArray:
        bits, precision, delay, resets = self._settings()
        out = np.empty((len(rows), 16), np.uint8)
        answers = np.zeros((len(rows), 3), np.int64)
        kernel.decode(
            self._intervals, self._counters, active, self._code, rows, self._root, bits, precision, delay, resets,
            out, answers,
        )  # fmt: skip
        for slot in active:
            self.written[self._pieces[slot]] += out[slot, : answers[slot, 0]].tobytes()
        return answers
