"""Streams that a transformer reads in step, symbol by symbol or many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from compgen.interfaces import FloatArray, IntArray, Predictor, Session, Symbols, symbol_array
from compgen.predictors.transformer.config import Config

#: Probabilities of all streams together that are computed at once.
_PIECE = 8192 * 256

_C = TypeVar("_C")


class ModelEngine(Protocol[_C]):
    """What a backend offers: caches of streams, and moving them on. See :class:`~.engine.Engine`."""

    config: Config

    def start(self, streams: int) -> _C:
        """Caches of streams that have read nothing."""

    def select(self, caches: _C, streams: IntArray) -> _C:
        """A copy of the caches of some streams."""

    def join(self, parts: list[_C]) -> _C:
        """Caches of several groups of streams as one."""

    def put(self, caches: _C, streams: IntArray, one: _C) -> None:
        """Let some streams go on from where the only stream of ``one`` is; it has read the start symbol only."""

    def advance(self, symbols: IntArray, caches: _C) -> FloatArray:
        """Read symbols ``(streams, n)``: P(next) after each, float64 ``(streams, n, vocabulary)``."""


def piece_of(engine: ModelEngine[object], streams: int) -> int:
    """Positions of each of some streams that are read at once, so that memory stays bounded."""
    return max(1, _PIECE // engine.config.vocabulary // streams)


@dataclass(frozen=True)
class EnginePredictor(Predictor):
    """One engine over its own symbols: bytes or tokens."""

    engine: ModelEngine[object]
    exact = True

    name = "transformer"

    @property
    def alphabet_size(self) -> int:  # type: ignore[override]
        """The model's vocabulary."""
        return self.engine.config.vocabulary

    def session(self, contexts: Sequence[Symbols]) -> TransformerSession:
        """See :meth:`Predictor.session`."""
        return session(self.engine, contexts)


def session(engine: ModelEngine[object], contexts: Sequence[Symbols]) -> TransformerSession:
    """Streams that have read their contexts, those of one length together."""
    by_length: dict[int, list[int]] = {}
    for i, context in enumerate(contexts):
        by_length.setdefault(len(context), []).append(i)
    parts, order = [], np.empty(len(contexts), np.int64)
    place = 0
    for group in by_length.values():
        part = TransformerSession(engine, engine.start(len(group)), np.empty(0))
        part.push(np.full(len(group), engine.config.vocabulary))
        table = np.stack([symbol_array(contexts[i]) for i in group])
        piece = piece_of(engine, len(group))
        for first in range(0, table.shape[1], piece):
            part.read(table[:, first : first + piece])
        parts.append(part)
        order[group] = np.arange(place, place + len(group))
        place += len(group)
    if len(parts) == 1:
        return parts[0]
    joined = engine.select(engine.join([part.caches for part in parts]), order)
    return TransformerSession(engine, joined, np.concatenate([part.next for part in parts])[order])


class TransformerSession(Session):
    """Streams of symbols: ``caches`` of what they have read, and ``next``, P(next symbol) ``(streams, vocabulary)``."""

    def __init__(self, engine: ModelEngine[object], caches: object, following: FloatArray) -> None:
        self._engine = engine
        self.caches = caches
        self.next = following
        self._fresh: TransformerSession | None = None

    def probabilities(self) -> FloatArray:
        """See :meth:`Session.probabilities`."""
        return self.next.copy()

    def push(self, symbols: Symbols) -> None:
        """See :meth:`Session.push`."""
        self.next = self._engine.advance(symbol_array(symbols)[:, None], self.caches)[:, 0]

    def read(self, symbols: np.typing.ArrayLike) -> FloatArray:
        """See :meth:`Session.read`."""
        table = np.ascontiguousarray(symbols, np.int64)
        if not table.shape[1]:
            return self.next[:, None][:, :0]
        after = self._engine.advance(table, self.caches)
        before = np.concatenate([self.next[:, None], after[:, :-1]], axis=1)
        self.next = after[:, -1].copy()
        return before

    def fork(self) -> Session:
        """See :meth:`Session.fork`."""
        return self.select(np.arange(len(self.next)))

    def select(self, streams: IntArray) -> TransformerSession:
        """Copies of some streams ``(n,)``, in this order."""
        return TransformerSession(self._engine, self._engine.select(self.caches, streams), self.next[streams])

    def restart(self, streams: IntArray) -> None:
        """Let some streams ``(n,)`` start anew, as if they had read nothing."""
        if self._fresh is None:
            self._fresh = session(self._engine, [b""])
        self._engine.put(self.caches, streams, self._fresh.caches)
        self.next[streams] = self._fresh.next
