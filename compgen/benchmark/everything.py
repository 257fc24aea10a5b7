"""All experiments in one go, of a size that is chosen, or that fits a budget of time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from compgen.benchmark import generation, in_context, rates, scaling, tokenizers
from compgen.benchmark.engine import Run
from compgen.benchmark.rows import Row, opened
from compgen.benchmark.subjects import code_lengths, subject
from compgen.benchmark.trained import shipped_models
from compgen.datasets import Dataset
from compgen.errors import CompgenError


@dataclass(frozen=True)
class Sizes:
    """How much of each: chunks of each data set for rates, sequences for in-context rates, chunks that trained models
    are measured on, and what is generated.
    """

    chunks: int = rates.CHUNKS
    sequences: int = in_context.SEQUENCES
    trained_chunks: int = scaling.CHUNKS
    excerpts: int = 1
    image_width: int = generation.IMAGE_WIDTH

    def at_most(self, chunks: int) -> Sizes:
        """No more than so many chunks of anything."""
        return replace(
            self,
            chunks=chunks,
            sequences=min(self.sequences, chunks),
            trained_chunks=min(self.trained_chunks, chunks),
        )


def everything(
    datasets: str | Iterable[str] = rates.DATASETS,
    models: Sequence[str] | None = None,
    *,
    sizes: Sizes | None = None,
    trained: Sequence[str] = (),
    whole: str = "weightless",
    charge: str = "parameters",
    run: Run | None = None,
    **settings: Any,
) -> dict[str, list[Row]]:
    """The rows of every experiment, by its name.

    :param datasets: rates are of all of them, scaling and tokenizers of those that are text, the others of all but
        noise.
    :param models: for rates and in-context rates; default: those of each experiment.
    :param sizes: how much of each data set is used.
    :param trained: specs of transformers to join those that ship in scaling and tokenizers.
    :param run: where results are kept and progress is told; default: nowhere.
    :param settings: of :func:`compgen.datasets.load`, without limits.
    """
    sizes, run = sizes or Sizes(), run or Run()
    names = [datasets] if isinstance(datasets, str) else list(datasets)
    modalities = _modalities(names, settings)
    real = [name for name in names if modalities[name] != "random"]
    texts = [name for name in names if modalities[name] == "text"]
    shipped = [*shipped_models(), *trained]
    chosen: dict[str, Any] = {"models": models} if models else {}
    common: dict[str, Any] = {"run": run, **settings}
    rows = {
        "rates": rates.rates(names, **chosen, whole=whole, charge=charge, limit_chunks=sizes.chunks, **common),
    }
    if texts:
        rows["scaling"] = scaling.scaling(texts, shipped, chunks=sizes.trained_chunks, charge=charge, **common)
    if real:
        rows["in-context"] = in_context.in_context(real, **chosen, limit_chunks=sizes.sequences, **common)
    if texts:
        rows["tokenizers"] = tokenizers.tokenizers(texts, shipped, limit_chunks=sizes.trained_chunks, **common)
    if real:
        rows["generation"] = generation.generation(
            real, excerpts=sizes.excerpts, image_width=sizes.image_width, **common
        )
    return rows


def _modalities(names: Sequence[str], settings: dict[str, Any]) -> dict[str, str]:
    return {name: dataset.modality for name, dataset in zip(names, opened(names, **settings), strict=True)}


def fitting(
    minutes: float,
    datasets: Iterable[str | Dataset] = rates.DATASETS,
    models: Sequence[str] = rates.MODELS,
    **settings: Any,
) -> Sizes:
    """Sizes with which :func:`everything` takes about so many minutes here, one job.

    Each model is timed on a few chunks of each data set. Half of the time goes to rates, a quarter to in-context rates,
    the rest to what trained models and samples need.
    """
    seconds = [_seconds_a_chunk(one, models) for one in opened(datasets, limit_chunks=_TIMED, **settings)]
    by_chunk = max(sum(seconds), 1e-6)
    of_models = max(max(seconds), 1e-6)
    chunks = max(4, round(30 * minutes / by_chunk))
    return Sizes(
        chunks=min(chunks, 50_000),
        sequences=max(2, min(in_context.SEQUENCES, round(chunks / 2))),
        trained_chunks=max(2, min(scaling.CHUNKS, round(60 * minutes / 16 / of_models))),
        image_width=max(32, min(generation.IMAGE_WIDTH, round(16 * minutes**0.5 * 2))),
    )


#: Chunks that a model is timed on.
_TIMED = 4


def _seconds_a_chunk(dataset: Dataset, models: Sequence[str]) -> float:
    """Of all models together, once they run."""
    chunks, total = list(islice(dataset.chunks(), _TIMED)), 0.0
    for spec in models:
        try:
            compressor = subject(spec, dataset).compressor
            code_lengths(compressor, chunks[:1])  # loads and compiles
            start = time.perf_counter()
            code_lengths(compressor, chunks)
            total += (time.perf_counter() - start) / len(chunks)
        except CompgenError:
            continue  # it will be a failed row
    return total
