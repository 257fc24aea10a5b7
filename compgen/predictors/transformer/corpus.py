"""Training data: files, folders and compressed files as symbols, with a part held out, and samples of it."""

from __future__ import annotations

import os
import shutil
import urllib.request
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from compgen.datasets.reading import files_below, read_file
from compgen.errors import BadInputError, UsageError
from compgen.predictors.transformer.bpe import BytePairs

#: Data sets known by name, and where they live.
HOMES = {name: f"https://mattmahoney.net/dc/{name}.zip" for name in ("enwik8", "enwik9")}
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


def sources(names: Iterable[str], held_out: float = 0.05) -> list[Source]:
    """What names mean (files, folders, named data sets), a part of each held out, weighed by their lengths."""
    if not 0 <= held_out < 1:
        raise UsageError(f"the part held out must be from 0 to below 1, not {held_out}")
    found = []
    for name in names:
        paths = [named(name)] if name in HOMES and not Path(name).exists() else list(files_below([Path(name)]))
        found += [split(str(path), np.frombuffer(read_file(path), np.uint8), None, held_out) for path in paths]
    return found


def named(name: str) -> Path:
    """A data set of :data:`HOMES`, fetched once from where it lives to the user's cache."""
    folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "compgen"
    path = folder / name
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"{name}.zip.part"
    try:
        with urllib.request.urlopen(HOMES[name], timeout=30) as remote, archive.open("wb") as local:
            shutil.copyfileobj(remote, local)
        with zipfile.ZipFile(archive) as zipped, zipped.open(name) as member, path.with_suffix(".part").open("wb") as f:
            shutil.copyfileobj(member, f)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise BadInputError(
            f"{name} cannot be fetched from {HOMES[name]} ({error}); fetch it and name the file"
        ) from None
    finally:
        archive.unlink(missing_ok=True)
    path.with_suffix(".part").replace(path)
    return path


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
