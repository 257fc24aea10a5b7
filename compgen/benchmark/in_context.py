"""Figures 4 and 6: how the compression rate falls as a sequence grows.

At each position n the rate is that of the first n bytes of a sequence, compressed on their own: their code length over
8n, averaged over sequences. Codecs compress each prefix; for predictors it is the sum of the code lengths of its bytes.
Containers are left out, since they are the same for all prefixes. ``bits_per_byte_since`` is what the bytes since the
position before cost in the sequence, which shows sooner than the average what a model has learnt from the context.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from compgen.benchmark.engine import Piece, Run
from compgen.benchmark.rows import (
    Row,
    about_data,
    about_subject,
    about_training,
    batches,
    digest,
    opened,
    rounded,
    standard_error,
)
from compgen.benchmark.subjects import Subject, require_lengths, subject
from compgen.bridge import PredictorCompressor
from compgen.datasets import Dataset
from compgen.errors import CompgenError, UsageError
from compgen.interfaces import Compressor, Predictor

DATASETS = ("enwik8", "imagenet", "librispeech")
MODELS = ("gzip", "lzma2", "cm", "transformer:size=200k", "transformer:size=800k")
#: Sequences averaged over, as in the paper.
SEQUENCES = 100
#: Sequences of one piece of work.
_BATCH = 8


def default_positions(length: int) -> tuple[int, ...]:
    """Powers of two up to 32, then every 32 bytes up to a sequence's length."""
    return tuple(n for n in sorted({1, 2, 4, 8, 16, *range(32, length + 1, 32), length}) if n <= length)


def in_context(
    datasets: str | Dataset | Iterable[str | Dataset] = DATASETS,
    models: Iterable[str | Compressor | Predictor] = MODELS,
    *,
    positions: Sequence[int] | None = None,
    run: Run | None = None,
    **settings: Any,
) -> list[Row]:
    """Rate against position within sequences (the data sets' chunks): a row for each data set, model and position.

    :param positions: in bytes, from 1 to the length of a sequence; default: :func:`default_positions`.
    :param run: where results are kept and progress is told; default: nowhere.
    :param settings: of :func:`compgen.datasets.load`; ``limit_chunks`` is how many sequences, 100 unless given.

    A model that fails has one row, with ``status`` ``failed`` and no position.

    >>> rows = in_context("random:bytes=4096", ["order0"], positions=[8, 2048], limit_chunks=2)
    >>> [row["position_bytes"] for row in rows]
    [8, 2048]
    """
    if settings.get("limit_chunks") is None and settings.get("limit_bytes") is None:
        settings["limit_chunks"] = SEQUENCES
    run, rows, specs = run or Run(), list[Row](), list(models)
    cells = [(dataset, spec) for dataset in opened(datasets, **settings) for spec in specs]
    made = [_subject(spec, dataset) for dataset, spec in cells]
    for (dataset, _), found in zip(cells, made, strict=True):
        if isinstance(found, Subject):
            run.expect((dataset.limit_bytes or 0) * _seconds_a_byte(found))
    for (dataset, spec), found in zip(cells, made, strict=True):
        row = {"experiment": "in-context", "dataset": dataset.name, "modality": dataset.modality}
        row["model"] = str(getattr(spec, "spec", spec))
        places = tuple(positions or default_positions(dataset.chunk_bytes))
        if list(places) != sorted(set(places)) or not 1 <= places[0] <= places[-1] <= dataset.chunk_bytes:
            raise UsageError(f"positions must rise from 1 at least to {dataset.chunk_bytes} at most")
        try:
            if not isinstance(found, Subject):
                raise found
            rows += _rows(row, dataset, found, places, run)
        except CompgenError as error:
            rows.append({**row, "position_bytes": None, "status": "failed", "error": str(error)})
    return rows


def _subject(spec: Any, dataset: Dataset) -> Subject | CompgenError:
    try:
        return subject(spec, dataset)
    except UsageError:
        raise
    except CompgenError as error:
        return error


def _seconds_a_byte(found: Subject) -> float:
    return found.guessed_seconds_a_byte * (40 if found.predictor is None else 1)


def _rows(row: Row, dataset: Dataset, found: Subject, places: tuple[int, ...], run: Run) -> Iterator[Row]:
    row = {**row, **about_data(dataset), **about_subject(found), **about_training(found, dataset)}
    parts = run.values(_pieces(row["model"], dataset, found, places))
    table = [prefixes for part in parts for prefixes in part]
    for place, position in enumerate(places):
        before = (place and places[place - 1]) or 0
        rates = [100 * prefixes[place] / (8 * position) for prefixes in table]
        since = [prefixes[place] - (prefixes[place - 1] if place else 0.0) for prefixes in table]
        error = standard_error(rates)
        yield {
            **row,
            "sequences": len(table),
            "position_bytes": position,
            "rate_percent": rounded(math.fsum(rates) / len(rates)),
            "rate_standard_error": None if error is None else rounded(error),
            "bits_per_byte_since": rounded(math.fsum(since) / len(since) / (position - before)),
            "status": "ok",
            "error": None,
        }


def _pieces(asked: str, dataset: Dataset, found: Subject, places: tuple[int, ...]) -> Iterator[Piece]:
    for index, batch in enumerate(batches(dataset.chunks(), _BATCH)):
        key = {
            "what": "prefix lengths",
            "data_sha256": digest(batch),
            "chunk_bytes": dataset.chunk_bytes,
            "positions": list(places),
            **found.identity,
        }
        cost = sum(map(len, batch)) * _seconds_a_byte(found)
        arguments = (found.compressor, batch, places)
        yield Piece(f"{dataset.name}/{asked}", index, key, prefix_lengths, arguments, cost, found.alone)


def prefix_lengths(compressor: Compressor, sequences: list[bytes], positions: Sequence[int]) -> list[list[float]]:
    """What a job does: for each sequence the bits of its prefixes."""
    if isinstance(compressor, PredictorCompressor):
        lengths = compressor.predictor.code_lengths(sequences)
        table = [[float(np.cumsum(bits)[n - 1]) for n in positions] for bits in lengths]
    else:
        table = [[compressor.code_length(sequence[:n]) for n in positions] for sequence in sequences]
    return [[rounded(bits) for bits in require_lengths(compressor, row)] for row in table]
