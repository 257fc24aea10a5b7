"""Table 2: bytes or tokens of byte pairs, by the size of the model.

Every chunk of 2048 bytes is tokenised on its own and coded as tokens, so that all vocabularies compress the same
bytes. (The paper's models of tokens have 2048 tokens, and so more bytes, to look back on.) Larger vocabularies put more
into a token, and into the model's first and last matrices; rates are raw, and the parameters stand beside them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

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
from compgen.benchmark.subjects import Subject, code_lengths, subject
from compgen.benchmark.trained import shipped_models
from compgen.datasets import Dataset
from compgen.errors import CompgenError, UsageError
from compgen.interfaces import Compressor, Predictor

DATASETS = ("enwik8",)
#: Chunks of each set, unless told otherwise.
CHUNKS = 64
_BATCH = 8


def tokenizers(
    datasets: str | Dataset | Iterable[str | Dataset] = DATASETS,
    models: Iterable[str | Predictor] | None = None,
    *,
    run: Run | None = None,
    **settings: Any,
) -> list[Row]:
    """Rates of transformers over bytes and over tokens: a row for each data set and model.

    :param models: ``transformer`` specs; default: those that ship, which are of bytes.
        :func:`compgen.benchmark.trained.train` makes others.
    :param run: where results are kept and progress is told; default: nowhere.
    :param settings: of :func:`compgen.datasets.load`; ``limit_chunks`` is 64 unless given.
    """
    if settings.get("limit_chunks") is None and settings.get("limit_bytes") is None:
        settings["limit_chunks"] = CHUNKS
    run, rows = run or Run(), list[Row]()
    specs = shipped_models() if models is None else list(models)
    work = [(dataset, spec) for dataset in opened(datasets, **settings) for spec in specs]
    for dataset, _ in work:
        run.expect((dataset.limit_bytes or 0) * _GUESS)
    for dataset, spec in work:
        row: Row = {"experiment": "tokenizers", "dataset": dataset.name, "modality": dataset.modality}
        row["model"] = str(getattr(spec, "spec", spec))
        try:
            rows.append({**row, **_numbers(dataset, subject(spec, dataset), run)})
        except UsageError:
            raise
        except CompgenError as error:
            rows.append({**row, "rate_percent": None, "status": "failed", "error": str(error)})
    return rows


#: Seconds a byte, for progress bars only.
_GUESS = 3e-4


def _numbers(dataset: Dataset, found: Subject, run: Run) -> Row:
    from compgen.predictors.transformer.predictor import Transformer

    model = found.predictor
    if not isinstance(model, Transformer):
        raise UsageError(f"tokenizers compares transformers of compgen, not {found.spec}")
    values = run.values(_pieces(dataset, found))
    lengths = [bits for value in values for bits in value["lengths_bits"]]
    symbols = sum(count for value in values for count in value["symbols"])
    measured, bits, error = len(lengths) * dataset.chunk_bytes, math.fsum(lengths), standard_error(lengths)
    return {
        **about_data(dataset),
        **about_subject(found),
        **about_training(found, dataset),
        "tokenizer": "bytes" if model.vocabulary == 256 else f"bpe-{model.vocabulary}",
        "vocabulary": model.vocabulary,
        "size": model.shape,
        "chunks": len(lengths),
        "measured_bytes": measured,
        "bytes_per_token": rounded(measured / symbols),
        "bits_per_token": rounded(bits / symbols),
        "rate_percent": rounded(100 * bits / 8 / measured),
        "rate_standard_error": None if error is None else rounded(100 * error / 8 / dataset.chunk_bytes),
        "status": "ok",
        "error": None,
    }


def _pieces(dataset: Dataset, found: Subject) -> Iterator[Piece]:
    for index, batch in enumerate(batches(dataset.chunks(), _BATCH)):
        key = {
            "what": "tokens",
            "data_sha256": digest(batch),
            "chunk_bytes": dataset.chunk_bytes,
            **found.identity,
        }
        cost = sum(map(len, batch)) * _GUESS
        yield Piece(f"{dataset.name}/{found.asked}", index, key, measure, (found.compressor, batch), cost)


def measure(compressor: Compressor, chunks: list[bytes]) -> dict[str, Any]:
    """What a job does: bits and tokens of each chunk."""
    model: Any = getattr(compressor, "predictor")  # noqa: B009  # a transformer, as was checked
    return {
        "lengths_bits": [rounded(bits) for bits in code_lengths(compressor, chunks)],
        "symbols": [model.symbols(chunk) for chunk in chunks],
    }
