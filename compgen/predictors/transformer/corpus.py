"""Training data: files, folders and compressed files as symbols, with a part held out, and samples of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from compgen.datasets import is_named, load
from compgen.datasets.reading import files_below, read_file
from compgen.datasets.wikipedia import KNOWN, find
from compgen.errors import UsageError
from compgen.interfaces import Progress
from compgen.predictors.transformer.bpe import BytePairs

Symbols = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Source:
    """One file's symbols: to learn from, and to be judged by; ``weight`` is its share of samples."""

    name: str
    training: Symbols
    held_out: Symbols
    weight: float


def split(name: str, symbols: Symbols, weight: float | None = None, held_out: float = 0.05) -> Source:
    """Hold out the last part of a file. The weight is the number of symbols unless given."""
    cut = len(symbols) - int(len(symbols) * held_out)
    return Source(name, symbols[:cut], symbols[cut:], float(len(symbols)) if weight is None else weight)


def sources(names: Iterable[str], held_out: float = 0.05, progress: Progress | None = None) -> list[Source]:
    """What names mean (files, folders, data sets of :func:`compgen.datasets.load`), a part of each held out.

    They are weighed by their lengths. ``progress`` is told of downloads.
    """
    if not 0 <= held_out < 1:
        raise UsageError(f"the part held out must be from 0 to below 1, not {held_out}")
    found = []
    for name in names:
        if is_named(name) and not Path(name).exists():
            contents = [_named(name, progress)]
        else:
            contents = [(str(path), read_file(path)) for path in files_below([Path(name)])]
        found += [split(label, np.frombuffer(data, np.uint8), None, held_out) for label, data in contents]
    return found


def _named(name: str, progress: Progress | None) -> tuple[str, bytes]:
    """The name and the bytes of a data set. Nobody means a part of Wikipedia who writes enwik8: it is the whole."""
    if name in KNOWN:
        folder = os.environ.get("COMPGEN_DATA")
        whole = find(name, data_folder=Path(folder) if folder else None, prefix=False, progress=progress)
        name = f"{name}:path={whole.path}"
    dataset = load(name, progress=progress)
    return dataset.name, dataset.read()


def tokenised(sources: Iterable[Source], pairs: BytePairs) -> list[Source]:
    """Sources of bytes as sources of tokens; what is held out stays so."""
    return [
        Source(
            source.name, pairs.encode(source.training.tobytes()), pairs.encode(source.held_out.tobytes()), source.weight
        )
        for source in sources
    ]


class Corpus:
    """Sources, and reproducible samples of them: a batch is a function of the seed and the step alone.

    ``pairs`` is the vocabulary, if their symbols are tokens.
    """

    def __init__(self, sources: Sequence[Source], seed: int = 0, pairs: BytePairs | None = None) -> None:
        self.sources = [source for source in sources if len(source.training)]
        self.pairs = pairs
        if not self.sources:
            raise UsageError("there is nothing to train on: the files given are empty")
        weights = np.array([source.weight for source in self.sources])
        self._cumulative = np.cumsum(weights / weights.sum())
        self._seed = seed

    def batch(self, step: int, sequences: int, context: int) -> npt.NDArray[np.int64]:
        """Symbols ``(sequences, context)`` from random places; shorter sources are repeated to fill a sequence."""
        random = np.random.default_rng((self._seed, step))
        rows = np.empty((sequences, context), dtype=np.int64)
        chosen = np.minimum(np.searchsorted(self._cumulative, random.random(sequences)), len(self.sources) - 1)
        for row, index in zip(rows, chosen, strict=True):
            symbols = self.sources[index].training
            start = int(random.integers(max(len(symbols) - context, 0) + 1))
            row[:] = np.resize(symbols[start : start + context], context)
        return rows

    def bytes_of(self, symbols: npt.NDArray[np.int64]) -> int:
        """How many bytes symbols stand for."""
        return symbols.size if self.pairs is None else self.pairs.bytes_of(symbols)

    def held_out(self, context: int, chunks: int) -> dict[str, npt.NDArray[np.int64]]:
        """By source, up to ``chunks`` chunks ``(chunks, context)`` spread evenly over what is held out."""
        found = {}
        for source in self.sources:
            whole = len(source.held_out) // context
            picks: Iterable[int] = np.unique(np.linspace(0, whole - 1, min(whole, chunks)).astype(int)) if whole else []
            rows = [source.held_out[i * context : (i + 1) * context] for i in picks]
            if rows:
                found[source.name] = np.stack(rows).astype(np.int64)
        return found
