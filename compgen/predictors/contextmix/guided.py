"""``guided(cm,a,b,...)``: context mixing that takes what other predictors say into account.

Where ``mix`` weighs finished opinions, here each of the predictors after the first becomes one more input of the mixers
of ``cm``, whose weights are chosen by what is around. That is how a language model helps a context-mixing compressor
most (paq8's and cmix's recurrent networks, Knoll and de Freitas 2012), and as nothing but the bits of the byte at hand
is looked at, it costs ``cm`` next to no time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compgen.errors import UsageError
from compgen.interfaces import FloatArray, Session
from compgen.predictors._composite import Composite
from compgen.predictors.contextmix.predictor import ContextMix, StreamPredictor
from compgen.predictors.contextmix.stream import Stream


@dataclass(frozen=True)
class Guided(Composite, StreamPredictor):
    """``cm`` guided by other predictors over bytes: ``guided(cm,transformer)``.

    The first part must be ``cm``, with whatever options; the others are its guides. They are asked while ``cm`` reads
    text, or anything that is no image and no sound: its models for these do without.

    >>> import compgen
    >>> text = b"abracadabra, abracadabra! " * 3
    >>> specs = ("guided(cm:level=1,order2)", "cm:level=1")
    >>> guided, alone = (compgen.predictor(spec).code_lengths([text])[0].sum() for spec in specs)
    >>> bool(guided < alone)
    True
    """

    name = "guided"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.parts[0], ContextMix) or len(self.parts) < 2:
            raise UsageError("guided needs cm and at least one guide: write guided(cm,transformer)")
        if self.alphabet_size != 256:
            raise UsageError(f"guided: guides must predict bytes, not {self.alphabet_size} symbols")

    @property
    def numerics(self) -> str:  # type: ignore[override]
        """That of the parts, and of guiding, which gets another number when it changes."""
        return f"{super().numerics}; guides 1"

    @property
    def batched(self) -> bool:  # type: ignore[override]
        """No: each stream is a loop of its own."""
        return False

    def _streams(self, count: int) -> list[Stream]:
        start = self._model().start(len(self.parts) - 1)
        streams = [start.stream() for _ in range(count)]
        for stream in streams:
            stream.guides = self._guides()
        return streams

    def _lender(self) -> Callable[[], AbstractContextManager[Stream]]:
        start = self._model().start(len(self.parts) - 1)

        @contextmanager
        def lent() -> Iterator[Stream]:
            with start.lent() as stream:
                stream.guides = self._guides()
                yield stream

        return lent

    def _model(self) -> ContextMix:
        assert isinstance(self.parts[0], ContextMix)
        return self.parts[0]

    def _guides(self) -> _Guides:
        return _Guides([part.session([b""]) for part in self.parts[1:]], self.exact)


class _Guides:
    """Sessions of one stream each. Those that are not all exact are asked in the same way by encoder and decoder."""

    def __init__(self, sessions: list[Session], exact: bool) -> None:
        self._sessions = sessions
        self._exact = exact

    def next(self) -> FloatArray:
        advice = np.empty((1, len(self._sessions), 256))
        for i, session in enumerate(self._sessions):
            advice[:, i] = session.probabilities()
        return advice

    def push(self, byte: int) -> None:
        for session in self._sessions:
            session.push([byte])

    def read(self, symbols: npt.NDArray[np.uint8]) -> FloatArray:
        if self._exact:
            return np.stack([session.read(symbols[None])[0] for session in self._sessions], axis=1)
        rows = []
        for symbol in symbols:
            rows.append(self.next())
            self.push(int(symbol))
        return np.concatenate(rows)

    def fork(self) -> _Guides:
        return _Guides([session.fork() for session in self._sessions], self._exact)
