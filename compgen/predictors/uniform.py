"""The predictor that knows nothing: every symbol has the same probability. The baseline, and a fixture for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from compgen.interfaces import FloatArray, Predictor, Progress, Session, Symbols


@dataclass(frozen=True)
class Uniform(Predictor):
    """1/256 for every byte: 8 bits a byte, whatever the data."""

    name: ClassVar[str] = "uniform"
    exact = True

    def session(self, contexts: Sequence[Symbols]) -> Session:
        """See :meth:`Predictor.session`."""
        return _UniformSession(len(contexts), self.alphabet_size)

    def code_lengths(
        self,
        streams: Sequence[Symbols],
        contexts: Sequence[Symbols] | None = None,
        progress: Progress | None = None,
    ) -> list[FloatArray]:
        """See :meth:`Predictor.code_lengths`: 8 everywhere."""
        return [np.full(len(stream), 8.0) for stream in streams]


class _UniformSession(Session):
    def __init__(self, streams: int, alphabet_size: int) -> None:
        self._shape = (streams, alphabet_size)

    def probabilities(self) -> FloatArray:
        return np.full(self._shape, 1.0 / self._shape[1])

    def push(self, symbols: Symbols) -> None:
        pass  # nothing to learn

    def fork(self) -> Session:
        return self
