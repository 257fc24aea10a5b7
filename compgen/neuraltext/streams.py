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
    def select(self, streams: IntArray) -> Streams:
        """Copies of some streams, in this order; this object is not to be used any more."""


def start(predictor: Predictor, count: int) -> Streams:
    """``count`` streams that have read nothing."""
    session = predictor.session([b""] * count if count else [])
    if isinstance(session, TransformerSession):
        return _InStep(session)
    return _OneByOne(predictor, count)


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

    def select(self, streams: IntArray) -> Streams:
        return _InStep(self._session.select(streams))


class _OneByOne(Streams):
    """Any predictor: a session for each stream, copied from one that has read nothing."""

    def __init__(self, predictor: Predictor, count: int) -> None:
        self._fresh = predictor.session([b""])
        self._root = self._fresh.probabilities()[0]
        self._sessions: list[Session | None] = [None] * count  # None: nothing read yet

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

    def select(self, streams: IntArray) -> Streams:
        chosen, seen = [], set[int]()
        for i in streams.tolist():
            session = self._sessions[i]
            chosen.append(session.fork() if session is not None and i in seen else session)
            seen.add(i)
        self._sessions = chosen
        return self
