"""M1 reading many streams in step, each of which may start anew at any time."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from compgen.interfaces import FloatArray, IntArray, Predictor, Session
from compgen.predictors.transformer.sessions import TransformerSession


class Streams(ABC):
    """Streams of one predictor, from its start."""

    @abstractmethod
    def probabilities(self) -> FloatArray:
        """P(next byte) of each stream, float64 ``(streams, 256)``."""

    @abstractmethod
    def push(self, symbols: IntArray) -> None:
        """A byte for each stream: ``(streams,)``."""

    @abstractmethod
    def restart(self, streams: IntArray) -> None:
        """Let some streams start anew, as if they had read nothing."""

    @abstractmethod
    def copies(self, streams: IntArray) -> Streams:
        """Some streams, in this order, independent of these."""


def start(predictor: Predictor, count: int) -> Streams:
    """``count`` streams that have read nothing."""
    session = predictor.session([b""] * count if count else [])
    if isinstance(session, TransformerSession):
        return _InStep(session)
    return _OneByOne(predictor.session([b""]), [None] * count)


class _InStep(Streams):
    """A transformer over bytes: all streams in one session."""

    def __init__(self, session: TransformerSession) -> None:
        self._session = session

    def probabilities(self) -> FloatArray:
        return self._session.next

    def push(self, symbols: IntArray) -> None:
        self._session.push(symbols)

    def restart(self, streams: IntArray) -> None:
        self._session.restart(streams)

    def copies(self, streams: IntArray) -> Streams:
        return _InStep(self._session.select(streams))


class _OneByOne(Streams):
    """Any predictor: a session for each stream, copied from one that has read nothing."""

    def __init__(self, fresh: Session, sessions: list[Session | None]) -> None:
        self._fresh = fresh
        self._root = fresh.probabilities()[0]
        self._sessions = sessions  # None: nothing read yet

    def probabilities(self) -> FloatArray:
        rows = np.empty((len(self._sessions), 256))
        for row, session in zip(rows, self._sessions, strict=True):
            row[:] = self._root if session is None else session.probabilities()[0]
        return rows

    def push(self, symbols: IntArray) -> None:
        for i, symbol in enumerate(symbols):
            session = self._sessions[i]
            if session is None:
                session = self._sessions[i] = self._fresh.fork()
            session.push([int(symbol)])

    def restart(self, streams: IntArray) -> None:
        for i in streams:
            self._sessions[i] = None

    def copies(self, streams: IntArray) -> Streams:
        chosen = [self._sessions[i] for i in streams]
        return _OneByOne(self._fresh, [None if session is None else session.fork() for session in chosen])
