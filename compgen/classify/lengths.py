"""Code lengths of pairs of texts, and the distances made of them.

All take texts (str or bytes) and give float64 matrices, in bits. A pair is coded as the first text, the separator, the
second text; swapping them gives another length, on most pairs by a few bits.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np

from compgen import memory, registry
from compgen.classify._texts import as_bytes
from compgen.interfaces import Compressor, FloatArray, Progress, adding

#: Called with C(xy) ``(n, m)``, C(x) ``(n, 1)`` and C(y) ``(1, m)``, in bits; returns distances ``(n, m)``.
DistanceFunction = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
Distance = Literal["ncd", "cdm", "clm", "conditional"] | DistanceFunction

#: First texts of one piece of work: enough to make up for preparing the second ones.
_FIRSTS, _SECONDS = 640, 4096


def _ncd(pair: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Normalised compression distance (Li, Chen, Li, Ma, Vitanyi 2004)."""
    return (pair - np.minimum(x, y)) / np.maximum(x, y)


def _cdm(pair: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Compression-based dissimilarity measure (Keogh, Lonardi, Ratanamahatana 2004)."""
    return pair / (x + y)


def _clm(pair: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Chain-letter measure: 1 less the information that two texts share, as a part of all (Bennett, Li, Ma 2003)."""
    return 1 - (x + y - pair) / pair


def _conditional(pair: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Bits that the first text costs once the second is known, for each bit that it costs alone."""
    return (pair - y) / x


DISTANCES: dict[str, DistanceFunction] = {"ncd": _ncd, "cdm": _cdm, "clm": _clm, "conditional": _conditional}


@dataclasses.dataclass(frozen=True)
class Lengths:
    """How pairs are coded: by which compressor, in exact bits or the whole bytes of its files, with what between."""

    compressor: Compressor
    whole_bytes: bool = False
    separator: bytes = b" "

    @classmethod
    def of(cls, compressor: str | Compressor, whole_bytes: bool, separator: str | bytes) -> Lengths:
        """The same from what users give."""
        between = separator.encode() if isinstance(separator, str) else bytes(separator)
        return cls(registry.compressor(compressor), whole_bytes, between)

    def alone(self, texts: Sequence[bytes]) -> FloatArray:
        """Bits of each text: ``(n,)``."""
        lengths: FloatArray = self._lengths([b""], texts)[0]
        return lengths

    def pairs(self, firsts: Sequence[bytes], seconds: Sequence[bytes]) -> FloatArray:
        """Bits of each pair: ``(len(firsts), len(seconds))``."""
        return self._lengths([first + self.separator for first in firsts], seconds)

    def _lengths(self, firsts: Sequence[bytes], seconds: Sequence[bytes]) -> FloatArray:
        memory.keep_freed()
        if not self.whole_bytes:
            return self.compressor.pair_lengths(firsts, seconds)
        if "whole_bytes" in getattr(self.compressor, "__dataclass_fields__", {}):  # no need to compress
            rounded: Any = dataclasses.replace(self.compressor, whole_bytes=True)  # type: ignore[type-var]
            lengths: FloatArray = rounded.pair_lengths(firsts, seconds) + 8.0 * rounded.overhead_bytes
            return lengths
        sizes = [[8.0 * len(self.compressor.compress(x + y)) for y in seconds] for x in firsts]
        return np.array(sizes).reshape(len(firsts), len(seconds))


def warn_beyond_window(compressor: Compressor, *groups: Sequence[bytes]) -> None:
    """Warn, once for all, of texts so long that a compressor has forgotten their start where their like begins."""
    window = compressor.window_bytes
    sizes = [len(text) for texts in groups for text in texts]
    if window is not None and (beyond := sum(size >= window for size in sizes)):
        warnings.warn(
            f"{beyond:,} of {len(sizes):,} texts are longer than the {window:,} bytes that {compressor.spec} looks "
            f"back (the longest has {max(sizes):,}): their pairs are compared in part only",
            UserWarning,
            stacklevel=3,
        )


def row_chunks(rows: int, columns: int, matrices: int = 2) -> Iterator[slice]:
    """Slices of rows so that some matrices fit into scikit-learn's ``working_memory``."""
    import sklearn

    most = int(sklearn.get_config()["working_memory"] * 2**20) // max(1, 8 * columns * matrices)
    for start in range(0, rows, max(1, most)):
        yield slice(start, min(rows, start + max(1, most)))


def pieces(firsts: int, seconds: int) -> list[tuple[slice, slice]]:
    """The pieces of work that :func:`matrix` cuts so many texts into."""
    return [
        (slice(i, min(i + _FIRSTS, firsts)), slice(j, min(j + _SECONDS, seconds)))
        for j in range(0, seconds, _SECONDS)
        for i in range(0, firsts, _FIRSTS)
    ]


def matrix(
    lengths: Lengths,
    firsts: Sequence[bytes],
    seconds: Sequence[bytes],
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> FloatArray:
    """Bits of all pairs, cut into pieces for joblib's workers: threads, unless a backend is set."""
    import joblib

    out = np.empty((len(firsts), len(seconds)))
    cut = pieces(len(firsts), len(seconds))
    done = adding(progress, out.size)
    parallel = joblib.Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")
    results = parallel(joblib.delayed(lengths.pairs)(firsts[rows], seconds[columns]) for rows, columns in cut)
    for (rows, columns), piece in zip(cut, results, strict=True):
        out[rows, columns] = piece
        done(piece.size)
    return out


def distance_function(distance: Distance) -> DistanceFunction:
    """The distance of a name. Raises ValueError for one that is not known."""
    if callable(distance):
        return distance
    if distance not in DISTANCES:
        raise ValueError(f"distance must be one of {', '.join(DISTANCES)}, or a function, not {distance!r}")
    return DISTANCES[distance]


def ordered(
    distance: Distance,
) -> bool:
    """Is the text that a distance is asked for coded first? Not where it is to be predicted from the other."""
    return distance != "conditional"


def distances_between(
    lengths: Lengths,
    distance: Distance,
    x: Sequence[bytes],
    y: Sequence[bytes],
    alone: tuple[FloatArray, FloatArray],
    *,
    symmetric: bool = False,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> FloatArray:
    """Distances ``(len(x), len(y))``, given the code lengths of the texts alone."""
    pair = matrix(lengths, x, y, n_jobs, progress) if ordered(distance) or symmetric else None
    if pair is None or symmetric:
        swapped = matrix(lengths, y, x, n_jobs, progress).T
        pair = swapped if pair is None else (pair + swapped) / 2
    return distance_function(distance)(pair, alone[0][:, None], alone[1][None, :])


def pairwise_code_lengths(
    X: Any,
    Y: Any = None,
    compressor: str | Compressor = "gzip",
    *,
    bytes: bool = False,  # noqa: A002  as the estimators call it
    separator: str | bytes = " ",
    symmetric: bool = False,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> FloatArray:
    """Bits of each text of X, the separator, and each text of Y (X if None): float64 ``(len(X), len(Y))``.

    :param compressor: a spec or an object; predictors do as well.
    :param bytes: count the whole bytes of the files that the compressor writes, in bits, as published work does.
    :param symmetric: the mean of both orders.
    :param n_jobs: joblib's workers; threads, unless ``joblib.parallel_config`` sets another backend.
    :param progress: is told how many pairs are done, and how many there are.

    >>> pairwise_code_lengths(["to be or not to be", "abc"], ["to be or not to be"]).shape
    (2, 1)
    """
    lengths = Lengths.of(compressor, bytes, separator)
    x = as_bytes(X)
    y = x if Y is None else as_bytes(Y)
    warn_beyond_window(lengths.compressor, x, *([] if Y is None else [y]))
    pairs = matrix(lengths, x, y, n_jobs, progress)
    if symmetric:
        pairs = (pairs + (pairs if Y is None else matrix(lengths, y, x, n_jobs)).T) / 2
    return pairs


def pairwise_distances(
    X: Any,
    Y: Any = None,
    compressor: str | Compressor = "gzip",
    distance: Distance = "ncd",
    *,
    bytes: bool = False,  # noqa: A002
    separator: str | bytes = " ",
    symmetric: bool = False,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> FloatArray:
    """Distances of the texts of X to those of Y (X if None): float64 ``(len(X), len(Y))``.

    ``distance``: ``ncd``, ``cdm``, ``clm``, ``conditional`` (how much of x is left when y is known), or a function
    of C(xy) ``(n, m)``, C(x) ``(n, 1)`` and C(y) ``(1, m)``. With ``symmetric``, C(xy) is the mean of both orders, and
    a matrix of X with itself has zeros on its diagonal, as clustering wants with ``metric="precomputed"``.
    The other parameters are those of :func:`pairwise_code_lengths`.
    """
    distance_function(distance)
    lengths = Lengths.of(compressor, bytes, separator)
    x = as_bytes(X)
    y = x if Y is None else as_bytes(Y)
    warn_beyond_window(lengths.compressor, x, *([] if Y is None else [y]))
    alone = lengths.alone(x)
    other = alone if Y is None else lengths.alone(y)
    if symmetric and Y is None:
        pair = matrix(lengths, x, x, n_jobs, progress)
        out = distance_function(distance)((pair + pair.T) / 2, alone[:, None], alone[None, :])
        if distance == "conditional":
            out = (out + out.T) / 2
        np.fill_diagonal(out, 0.0)
        return out
    return distances_between(
        lengths, distance, x, y, (alone, other), symmetric=symmetric, n_jobs=n_jobs, progress=progress
    )
