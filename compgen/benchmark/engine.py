"""What every experiment runs on: work cut in pieces that are looked up, shared out to jobs, and kept when done.

A piece is a function of picklable arguments and a key that says everything its value depends on. A run that is killed
loses the pieces that were being computed, a few seconds of work each; started again, it takes all others from the
store. Values are JSON, and are the same whether they were computed or looked up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from compgen import parallel
from compgen.benchmark.store import Key, Store
from compgen.errors import CompgenError
from compgen.interfaces import Progress
from compgen.version import __version__

#: Part of every key: changes when the meaning of a value does.
FORMAT = 1
#: Units of progress; a piece's cost is in seconds.
_UNITS_A_SECOND = 1000


@dataclass(frozen=True)
class Piece:
    """``function(*arguments)``, whose value is JSON. ``cell`` says whose it is; ``index`` its place there.

    ``cost_seconds`` is a rough guess, for the progress bar. ``alone``: run it here, not on a job (a large model is
    loaded once, and uses all cores or the accelerator itself).
    """

    cell: str
    index: int
    key: Key
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    cost_seconds: float = 0.0
    alone: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a piece: a value, or in ``error`` why there is none."""

    piece: Piece
    value: Any
    error: str | None = None
    seconds: float | None = None


@dataclass
class Run:
    """One run of the benchmark: where results are kept, and how far it has come.

    ``computed`` and ``found`` count pieces; ``seconds`` is the time of computing each cell, added over jobs.
    """

    store: Store = field(default_factory=Store)
    progress: Progress | None = None
    computed: int = 0
    found: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    _expected: float = 0.0
    _done: float = 0.0

    def expect(self, cost_seconds: float) -> None:
        """Announce work, for the progress bar."""
        self._expected += cost_seconds

    def outcomes(self, pieces: Iterable[Piece]) -> Iterator[Outcome]:
        """The outcome of each piece, in the order in which they are there. What fails is an outcome too.

        Once a piece of a cell has failed, the others of that cell are not begun.
        """
        failed: set[str] = set()
        waiting: list[Piece] = []
        ready: list[Outcome] = []

        def to_compute() -> Iterator[tuple[Callable[..., Any], tuple[Any, ...]]]:
            for piece in pieces:
                if piece.cell in failed:
                    self._advance(piece)
                    continue
                value = self.store.get(_full(piece.key))
                if value is not None:
                    self.found += 1
                    ready.append(self._finished(Outcome(piece, value)))
                elif piece.alone:
                    outcome = self._kept(piece, _attempt(piece.function, piece.arguments))
                    ready.append(outcome)
                    if outcome.error is not None:
                        failed.add(piece.cell)
                else:
                    waiting.append(piece)
                    yield piece.function, piece.arguments

        for index, result in parallel.stream(_attempt, to_compute()):
            outcome = self._kept(waiting[index], result)
            waiting[index] = _DONE
            ready.append(outcome)
            if outcome.error is not None:
                failed.add(outcome.piece.cell)
            while ready:
                yield ready.pop(0)
        yield from ready

    def values(self, pieces: Iterable[Piece]) -> list[Any]:
        """The values of the pieces of one cell, in order of their indices.

        Raises :class:`~compgen.errors.CompgenError`, once nothing of it runs any more, if any has failed.
        """
        outcomes = sorted(self.outcomes(pieces), key=lambda outcome: outcome.piece.index)
        for outcome in outcomes:
            if outcome.error is not None:
                raise CompgenError(outcome.error)
        return [outcome.value for outcome in outcomes]

    def _kept(self, piece: Piece, result: tuple[Any, str | None, float]) -> Outcome:
        value, error, seconds = result
        self.computed += 1
        self.seconds[piece.cell] = self.seconds.get(piece.cell, 0.0) + seconds
        if error is None:
            self.store.put(_full(piece.key), value)
        return self._finished(Outcome(piece, value, error, seconds))

    def _finished(self, outcome: Outcome) -> Outcome:
        self._advance(outcome.piece)
        return outcome

    def _advance(self, piece: Piece) -> None:
        self._done += piece.cost_seconds
        if self.progress is not None:
            total = max(self._expected, self._done)
            self.progress(round(self._done * _UNITS_A_SECOND), round(total * _UNITS_A_SECOND))


#: In the place of a piece whose outcome is known, so that its data need not be held.
_DONE = Piece("", 0, {}, print, ())


def _full(key: Key) -> dict[str, Any]:
    return {**key, "format": FORMAT, "compgen": __version__}


def _attempt(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, str | None, float]:
    """The value, or what went wrong in one line, and the seconds it took. A plug-in's mistake must not end the run."""
    start = time.perf_counter()
    try:
        return function(*arguments), None, time.perf_counter() - start
    except MemoryError:
        return None, "not enough memory", time.perf_counter() - start
    except CompgenError as error:
        return None, " ".join(str(error).split()), time.perf_counter() - start
    except Exception as error:
        return None, " ".join(f"{type(error).__name__}: {error}".split()), time.perf_counter() - start
