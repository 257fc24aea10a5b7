"""Figure 2: adjusted rate against the size of the model, for data sets of several sizes.

A model of P parameters adds 2 P bytes to whatever it compresses. On little data a small model is best, on more a larger
one: the adjusted rate has its lowest point where the next parameter costs as much as it saves.

    adjusted  =  raw  +  2 P / bytes of the data set

The raw rate on the first N bytes is measured on chunks spread evenly over them. Where there are fewer than N bytes the
rate on what there is stands for it, and the row says ``extrapolated``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from compgen.benchmark.engine import Piece, Run
from compgen.benchmark.rates import measure
from compgen.benchmark.rows import (
    Row,
    about_subject,
    about_training,
    batches,
    digest,
    model_bytes,
    opened,
    percent,
    rounded,
    standard_error,
)
from compgen.benchmark.subjects import Subject, subject
from compgen.benchmark.trained import shipped_models
from compgen.datasets import Dataset
from compgen.errors import CompgenError, UsageError
from compgen.interfaces import Compressor, Predictor

DATASETS = ("enwik8",)
#: Bytes of the data sets: the paper's are the first 10^7, 10^8 and 10^9 of Wikipedia.
SIZES_BYTES = (10**6, 10**7, 10**8, 10**9)
#: Chunks measured of each.
CHUNKS = 64


def scaling(
    datasets: str | Dataset | Iterable[str | Dataset] = DATASETS,
    models: Iterable[str | Compressor | Predictor] | None = None,
    *,
    sizes_bytes: Sequence[int] = SIZES_BYTES,
    chunks: int = CHUNKS,
    charge: str = "parameters",
    run: Run | None = None,
    **settings: Any,
) -> list[Row]:
    """Raw and adjusted rates: a row for each data set, size of data set, and model.

    :param models: trained models, by spec; default: the transformers that ship. :func:`compgen.benchmark.trained.train`
        makes others.
    :param sizes_bytes: sizes of data sets, in bytes.
    :param chunks: how many chunks of each are measured.
    :param charge: see :func:`compgen.benchmark.rates`.
    :param run: where results are kept and progress is told; default: nowhere.
    :param settings: of :func:`compgen.datasets.load`.

    >>> rows = scaling("random:bytes=8192", ["order0"], sizes_bytes=[4096, 10**6], chunks=2)
    >>> [(row["set_bytes"], row["extrapolated"]) for row in rows]
    [(4096, False), (1000000, True)]
    """
    if chunks < 1 or not sizes_bytes or min(sizes_bytes) < 1:
        raise UsageError("scaling needs at least one chunk and one size of a data set, of a byte or more")
    run, rows = run or Run(), list[Row]()
    settings.pop("limit_chunks", None)
    specs = shipped_models() if models is None else list(models)
    work = []
    for whole in opened(datasets, **settings):
        beginnings = [
            (replace(whole, limit_bytes=min(size, whole.limit_bytes or size)), size)
            for size in sorted(set(sizes_bytes))
        ]
        work += [(beginning, size, spec) for spec in specs for beginning, size in beginnings]
    for dataset, *_ in work:
        run.expect(chunks * dataset.chunk_bytes * _GUESS)
    for dataset, size, spec in work:
        row: Row = {"experiment": "scaling", "dataset": dataset.name, "modality": dataset.modality}
        row |= {"set_bytes": size, "model": str(getattr(spec, "spec", spec))}
        try:
            rows.append({**row, **_numbers(dataset, size, subject(spec, dataset), chunks, charge, run)})
        except UsageError:
            raise
        except CompgenError as error:
            rows.append(
                {**row, "rate_percent": None, "adjusted_percent": None, "status": "failed", "error": str(error)}
            )
    return rows


#: Seconds a byte, for progress bars only.
_GUESS = 3e-4


def _numbers(dataset: Dataset, size: int, found: Subject, chunks: int, charge: str, run: Run) -> Row:
    values = run.values(_pieces(dataset, found, chunks))
    lengths = [bits for value in values for bits in value["lengths_bits"]]
    measured, added = len(lengths) * dataset.chunk_bytes, model_bytes(found, charge)
    raw, error = math.fsum(lengths) / 8 / measured, standard_error(lengths)
    return {
        "data_sha256": dataset.sha256,
        **about_subject(found),
        **about_training(found, dataset),
        "chunks": len(lengths),
        "measured_bytes": measured,
        "extrapolated": dataset.size_bytes < size - dataset.chunk_bytes,
        "model_bytes": added,
        "charge": charge,
        "rate_percent": rounded(100 * raw),
        "rate_standard_error": None if error is None else percent(error / 8, dataset.chunk_bytes),
        "adjusted_percent": rounded(100 * (raw + added / size)),
        "status": "ok",
        "error": None,
    }


def spread(dataset: Dataset, chunks: int) -> Iterator[bytes]:
    """Up to so many chunks of a data set, as evenly spread as may be."""
    count = dataset.chunk_count
    wanted = {number * count // chunks for number in range(min(chunks, count))} if count > chunks else range(count)
    for number, chunk in enumerate(dataset.chunks()):
        if number in wanted:
            yield chunk


def _pieces(dataset: Dataset, found: Subject, chunks: int) -> Iterator[Piece]:
    size = min(8, found.batch_chunks)
    for index, batch in enumerate(batches(spread(dataset, chunks), size)):
        key = {
            "what": "code lengths",
            "data_sha256": digest(batch),
            "chunk_bytes": dataset.chunk_bytes,
            "container": False,
            **found.identity,
        }
        cell = f"{dataset.name}/{found.asked}"
        cost = len(batch) * dataset.chunk_bytes * _GUESS
        yield Piece(cell, index, key, measure, (found.compressor, batch, False), cost, found.alone)
