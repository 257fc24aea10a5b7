"""Scoring the windows of a domain: task after task on the jobs that there are, each written down as it is done."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from compgen import parallel, registry
from compgen.evaluation.corpus import Partial, Symbols
from compgen.evaluation.scorers import Piece, Scorer
from compgen.interfaces import Done, FloatArray, IntArray

#: Batches that a job gets at once where windows are of many lengths, so that those of like length go together.
_BATCHES = 16
#: Symbols that are in memory at once for a job, unless one window alone has more.
_SYMBOLS = 1 << 22
#: What codes the bytes that are no tokens, and how many of them at once.
_PLAIN, _PLAIN_BYTES = "order2", 1 << 24


class Scoring:
    """The windows of a domain, the first of which are done: their nats by document, and what else was counted.

    Windows are done in their order, and so are the sums: they do not depend on jobs or interruptions.
    """

    def __init__(self, scorer: Scorer, symbols: Symbols, plan: IntArray, partial: Partial) -> None:
        self._scorer, self._symbols, self._plan, self._partial = scorer, symbols, plan, partial
        self.nats = np.zeros(len(symbols.offsets) - 1)
        self.special_tokens, self.special_nats = 0, 0.0
        self._count = 0
        for line in partial.read():
            if line["window"] == self._count:
                self._add(line)

    def finish(self, batch_size: int, done: Done) -> None:
        """Score what is left."""
        done(self._symbols_of(0, self._count))
        lengths = self._plan[:, 2] - self._plan[:, 0]
        alike = len(self._plan) < 3 or bool((lengths[1:-1] == lengths[1]).all())
        share = batch_size * (1 if alike else _BATCHES)
        while self._count < len(self._plan):
            tasks = self._tasks(share)
            pieces = [[self._piece(number) for number in task] for task in tasks]
            if len(tasks) == 1:
                results = [score(self._scorer, pieces[0], batch_size, done)]
            else:
                results = parallel.run(score, [(self._scorer, part, batch_size) for part in pieces])
                done(self._symbols_of(tasks[0].start, tasks[-1].stop))
            for task, found in zip(tasks, results, strict=True):
                lines = [self._line(number, nats) for number, nats in zip(task, found, strict=True)]
                self._partial.append(lines)
                for line in lines:
                    self._add(line)

    def _tasks(self, share: int) -> list[range]:
        """The next windows: a range for each job, of so many windows unless they are large or few are left."""
        jobs, first, tasks = parallel.n_jobs(), self._count, list[range]()
        share = min(share, -(-(len(self._plan) - first) // jobs))
        while first < len(self._plan) and len(tasks) < jobs:
            beyond = first + 1
            while beyond < min(len(self._plan), first + share) and self._symbols_of(first, beyond + 1) <= _SYMBOLS:
                beyond += 1
            tasks.append(range(first, beyond))
            first = beyond
        return tasks

    def _symbols_of(self, first: int, beyond: int) -> int:
        part = self._plan[first:beyond]
        return int((part[:, 2] - part[:, 1]).sum())

    def _piece(self, number: int) -> Piece:
        first, scored, end, start = self._plan[number]
        symbols = self._symbols.symbols
        return Piece(np.array(symbols[first : end - 1]), np.array(symbols[scored:end]), bool(start))

    def _line(self, number: int, nats: FloatArray) -> dict[str, Any]:
        """The nats of a window by document, the first of which is named."""
        _, scored, end, _ = self._plan[number]
        offsets = self._symbols.offsets
        documents = np.searchsorted(offsets, np.arange(scored, end), "right") - 1
        first = int(documents[0])
        special = self._scorer.is_special(self._symbols.symbols[scored:end])
        return {
            "window": number,
            "document": first,
            "nats": np.bincount(documents - first, nats).tolist(),
            "special": int(special.sum()),
            "special_nats": float(nats[special].sum()),
        }

    def _add(self, line: dict[str, Any]) -> None:
        self.nats[line["document"] : line["document"] + len(line["nats"])] += line["nats"]
        self.special_tokens += line["special"]
        self.special_nats += line["special_nats"]
        self._count += 1

    def counts(self) -> dict[str, Any]:
        """What belongs in the row of the domain beside its nats."""
        return {
            "tokens": int(self._symbols.offsets[-1]),
            "scored": self._symbols_of(0, len(self._plan)),
            "windows": len(self._plan),
            "special_tokens": self.special_tokens,
            "special_nats": self.special_nats,
        }


def score(scorer: Scorer, pieces: Sequence[Piece], batch_size: int, done: Done | None = None) -> list[FloatArray]:
    """The nats of each piece; those of like length are read together."""
    order = sorted(range(len(pieces)), key=lambda i: len(pieces[i].inputs))
    results: list[FloatArray] = [np.empty(0)] * len(pieces)
    for first in range(0, len(order), batch_size):
        batch = order[first : first + batch_size]
        for i, nats in zip(batch, scorer.score([pieces[i] for i in batch], done), strict=True):
            results[i] = nats
    return results


def plain_bits(symbols: Symbols) -> FloatArray:
    """What the bytes cost that are no tokens, by document: as archives code them, and where they stand."""
    bits, plain = symbols.place_bits.copy(), symbols.plain
    if not len(plain):
        return bits
    predictor, sums = registry.predictor(_PLAIN), np.zeros(len(plain) + 1)
    for first in range(0, len(plain), _PLAIN_BYTES):
        part = plain[first : first + _PLAIN_BYTES]
        sums[first + 1 : first + 1 + len(part)] = sums[first] + np.cumsum(predictor.code_lengths([part.tobytes()])[0])
    stored = 8.0 * np.diff(symbols.plain_offsets)
    modelled = np.diff(sums[symbols.plain_offsets])
    return bits + (modelled if math.fsum(modelled) < math.fsum(stored) else stored)
