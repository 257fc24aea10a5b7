"""Table 1: compression rates of codecs and models on text, images, audio and noise, chunked and whole.

The rate is compressed size / raw size in percent, lower is better. In chunks of 2048 bytes, each is coded on its own,
and what a container adds is counted once for all of them, as the paper does for classical codecs; whole, the data are
one stream. The adjusted rate adds the model: 2 bytes a parameter, or the size of its files.

    raw       =  (sum of code lengths / 8  +  container)          / bytes
    adjusted  =  (sum of code lengths / 8  +  container + model)  / bytes

``adjusted_percent`` divides by the bytes that were measured, ``adjusted_1gb_percent`` charges the model to 10^9 bytes,
as the paper's Table 1 does, whatever was measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from compgen.benchmark.engine import Piece, Run
from compgen.benchmark.rows import (
    PAPER_BYTES,
    Row,
    about_data,
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
from compgen.benchmark.subjects import Subject, code_lengths, overhead_bytes, subject
from compgen.datasets import Dataset
from compgen.errors import CompgenError, UsageError
from compgen.interfaces import Compressor, Predictor

#: What is measured unless told otherwise: the paper's data and codecs, and models of its two smaller sizes.
DATASETS = ("enwik8", "imagenet", "librispeech", "random")
MODELS = ("gzip", "lzma2", "png", "flac", "zstd", "brotli", "cm", "transformer:size=200k", "transformer:size=800k")
#: Chunks of each set, unless told otherwise; the paper takes 488,281.
CHUNKS = 512
#: What is coded as one stream too.
WHOLE = ("none", "weightless", "all")
_BATCH = 512


@dataclass
class _Cell:
    """One number of the table as it is being made."""

    dataset: Dataset
    subject: Subject | None
    asked: str
    chunked: bool
    lengths_bits: list[float] = field(default_factory=list)
    container_bytes: int | None = None
    error: str | None = None

    @property
    def name(self) -> str:
        return f"{self.dataset.name}/{self.asked}/{'chunks' if self.chunked else 'whole'}"


def rates(
    datasets: str | Dataset | Iterable[str | Dataset] = DATASETS,
    models: Iterable[str | Compressor | Predictor] = MODELS,
    *,
    chunked: bool = True,
    whole: str = "weightless",
    charge: str = "parameters",
    run: Run | None = None,
    **settings: Any,
) -> list[Row]:
    """Rates of every model on every data set: a row each, chunked, and as one stream.

    :param datasets: names, paths or :class:`~compgen.datasets.Dataset` objects.
    :param models: specs or objects of codecs and predictors.
    :param whole: what is coded as one stream too: ``none``, ``weightless`` (codecs, and predictors that learn from the
        data alone), or ``all``.
    :param charge: what adjusted rates add for a model: 2 bytes a learnt number (``parameters``), or its ``files``.
    :param run: where results are kept and progress is told; default: nowhere.
    :param settings: of :func:`compgen.datasets.load`: ``chunk_bytes``, ``limit_chunks``, ``layout``, ...

    A row that could not be had has ``status`` ``failed`` and says why in ``error``; a spec that makes no sense raises
    :class:`~compgen.errors.UsageError`.

    >>> import compgen.datasets
    >>> [row] = rates("random:bytes=20480", ["gzip"], whole="none")
    >>> row["chunks"], round(row["rate_percent"], 1)
    (10, 100.2)
    """
    if whole not in WHOLE:
        raise UsageError(f"whole must be one of {', '.join(WHOLE)}, not {whole!r}")
    if not (chunked or whole != "none"):
        raise UsageError("neither chunks nor whole streams are to be measured; ask for one of them")
    run, specs = run or Run(), list({str(getattr(model, "spec", model)): model for model in models}.values())
    sets, rows = opened(datasets, **settings), list[Row]()
    tables = [_cells(dataset, specs, chunked, whole) for dataset in sets]
    for cells in tables:
        _announce(cells, run)
    for cells in tables:
        _measure(cells, run)
        rows += [_row(cell, charge) for cell in cells]
    return rows


def _cells(dataset: Dataset, specs: Sequence[Any], chunked: bool, whole: str) -> list[_Cell]:
    cells = []
    for spec in specs:
        asked, made, error = str(getattr(spec, "spec", spec)), None, None
        try:
            made = subject(spec, dataset)
            weightless = made.parameters == 0
        except UsageError:
            raise
        except CompgenError as failure:
            error, weightless = str(failure), True
        if chunked:
            cells.append(_Cell(dataset, made, asked, True, error=error))
        if whole == "all" or (whole == "weightless" and weightless):
            cells.append(_Cell(dataset, made, asked, False, error=error))
    return cells


def _announce(cells: list[_Cell], run: Run) -> None:
    """Read through the data once, and say how much work there is."""
    for cell in cells:
        try:
            size = cell.dataset.size_bytes
            if cell.chunked and not cell.dataset.chunk_count:
                next(cell.dataset.chunks())  # which says why there is none
        except CompgenError as failure:
            cell.error = str(failure)
        else:
            if cell.error is None and cell.subject is not None:
                run.expect(size * cell.subject.guessed_seconds_a_byte)


def _measure(cells: list[_Cell], run: Run) -> None:
    """Fill the cells of one data set. Models that are large share no pass with others, and are loaded once."""
    able = [cell for cell in cells if cell.error is None and cell.subject is not None]
    apart = [[cell] for cell in able if cell.subject is not None and cell.subject.alone]
    together = [cell for cell in able if cell.subject is not None and not cell.subject.alone]
    for group in [together, *apart]:
        if group:
            try:
                _fill(group, run)
            except CompgenError as failure:  # of the data, as those of a model are outcomes
                for cell in group:
                    cell.error = str(failure)


def _fill(cells: list[_Cell], run: Run) -> None:
    by_name = {cell.name: cell for cell in cells}
    parts: dict[str, dict[int, list[float]]] = {name: {} for name in by_name}
    for outcome in run.outcomes(_pieces(cells)):
        cell = by_name[outcome.piece.cell]
        if outcome.error is not None:
            cell.error = cell.error or outcome.error
        else:
            parts[cell.name][outcome.piece.index] = outcome.value["lengths_bits"]
            if outcome.piece.index == 0:
                cell.container_bytes = outcome.value["container_bytes"]
    for name, found in parts.items():
        by_name[name].lengths_bits = [bits for index in sorted(found) for bits in found[index]]


def _pieces(cells: list[_Cell]) -> Iterator[Piece]:
    """All chunks of a data set for each cell in turn, some at a time; then whole streams."""
    dataset = cells[0].dataset
    chunked = [cell for cell in cells if cell.chunked]
    if chunked:
        for number, batch in enumerate(batches(dataset.chunks(), _BATCH)):
            digests: dict[tuple[int, int], str] = {}
            for cell in chunked:
                assert cell.subject is not None
                size = min(_BATCH, max(1, cell.subject.batch_chunks * 2048 // dataset.chunk_bytes))
                for first in range(0, len(batch), size):
                    some = batch[first : first + size]
                    place = (first, size)
                    digests[place] = digests.get(place) or digest(some)
                    yield _piece(cell, cell.subject, number * _BATCH + first, some, digests[place])
    whole = [cell for cell in cells if not cell.chunked]
    if whole:
        data = dataset.read()
        for cell in whole:
            assert cell.subject is not None
            yield _piece(cell, cell.subject, 0, [data], dataset.sha256)


def _piece(cell: _Cell, subject: Subject, index: int, chunks: list[bytes], sha256: str) -> Piece:
    key = {
        "what": "code lengths",
        "data_sha256": sha256,
        "chunk_bytes": len(chunks[0]),
        "container": index == 0,
        **subject.identity,
    }
    cost = sum(map(len, chunks)) * subject.guessed_seconds_a_byte
    arguments = (subject.compressor, chunks, index == 0)
    return Piece(cell.name, index, key, measure, arguments, cost, subject.alone)


def measure(compressor: Compressor, chunks: list[bytes], container: bool) -> dict[str, Any]:
    """What a job does: bits of each chunk on its own, and with ``container`` also what a container adds in bytes."""
    return {
        "lengths_bits": [rounded(length) for length in code_lengths(compressor, chunks)],
        "container_bytes": overhead_bytes(compressor, chunks[0]) if container else None,
    }


def _row(cell: _Cell, charge: str) -> Row:
    """The row of a cell; nothing is averaged over what failed."""
    row: Row = {"experiment": "rates", "dataset": cell.dataset.name, "modality": cell.dataset.modality}
    row["model"] = cell.asked
    failed = cell.error is not None or not cell.lengths_bits
    try:
        row |= about_data(cell.dataset)
        if cell.subject is not None:
            row |= about_subject(cell.subject) | about_training(cell.subject, cell.dataset)
    except CompgenError as failure:
        cell.error, failed = cell.error or str(failure), True
    row["chunk_bytes"] = cell.dataset.chunk_bytes if cell.chunked else None
    row |= dict.fromkeys(_NUMBERS)
    if not failed and cell.subject is not None:
        row |= _numbers(cell, cell.subject, charge)
    row["charge"] = charge
    row["status"], row["error"] = ("failed", cell.error or "nothing was measured") if failed else ("ok", None)
    return row


_NUMBERS = (
    *("chunks", "measured_bytes", "code_bits", "container_bytes", "model_bytes", "rate_percent", "rate_standard_error"),
    *("bits_per_byte", "adjusted_percent", "adjusted_1gb_percent"),
)


def _numbers(cell: _Cell, subject: Subject, charge: str) -> Row:
    chunk_bytes = cell.dataset.chunk_bytes
    measured = len(cell.lengths_bits) * chunk_bytes if cell.chunked else cell.dataset.size_bytes
    bits = math.fsum(cell.lengths_bits)
    container, model = cell.container_bytes or 0, model_bytes(subject, charge)
    error = standard_error(cell.lengths_bits) if cell.chunked else None
    coded = bits / 8 + container
    return {
        "chunks": len(cell.lengths_bits) if cell.chunked else 1,
        "measured_bytes": measured,
        "code_bits": rounded(bits),
        "container_bytes": container,
        "model_bytes": model,
        "rate_percent": percent(coded, measured),
        "rate_standard_error": None if error is None else percent(error / 8, chunk_bytes),
        "bits_per_byte": rounded(8 * coded / measured),
        "adjusted_percent": percent(coded + model, measured),
        "adjusted_1gb_percent": rounded(100 * coded / measured + 100 * model / PAPER_BYTES),
    }
