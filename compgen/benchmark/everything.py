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
from compgen.bridge import PredictorCompressor
from compgen.datasets import Dataset
from compgen.errors import CompgenError, UsageError


@dataclass(frozen=True)
class Sizes:
    """How much of each: chunks of each data set for rates, of codecs and others without weights and of models with
    weights; sequences for in-context rates; chunks for scaling and tokenizers; what is generated.
    """

    chunks: int = rates.CHUNKS
    model_chunks: int = rates.CHUNKS
    sequences: int = in_context.SEQUENCES
    trained_chunks: int = scaling.CHUNKS
    excerpts: int = 1
    image_width: int = generation.IMAGE_WIDTH

    def at_most(self, chunks: int) -> Sizes:
        """No more than so many chunks of anything."""
        return replace(
            self,
            chunks=chunks,
            model_chunks=chunks,
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
    rows = {"rates": list[Row]()}
    for specs, chunks in zip(_by_weights(models or rates.MODELS), (sizes.chunks, sizes.model_chunks), strict=True):
        if specs:
            rows["rates"] += rates.rates(names, specs, whole=whole, charge=charge, limit_chunks=chunks, **common)
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


def _by_weights(models: Sequence[str]) -> tuple[list[str], list[str]]:
    """Codecs and predictors that learn from the data alone, which are quick, and models with weights, which are not."""
    heavy = [spec for spec in models if _has_weights(spec)]
    return [spec for spec in models if spec not in heavy], heavy


def _has_weights(spec: str) -> bool:
    try:
        return subject(spec).parameters > 0
    except UsageError:
        raise
    except CompgenError:
        return False  # it will be a failed row


def _modalities(names: Sequence[str], settings: dict[str, Any]) -> dict[str, str]:
    return {name: dataset.modality for name, dataset in zip(names, opened(names, **settings), strict=True)}


def fitting(
    minutes: float,
    datasets: str | Iterable[str | Dataset] = rates.DATASETS,
    models: Sequence[str] | None = None,
    **settings: Any,
) -> Sizes:
    """Sizes with which :func:`everything` takes about so many minutes here, with one job.

    Every model is timed on a few chunks. Half of the time goes to rates, an eighth each to in-context rates, scaling
    and tokenizers, and the rest to samples.
    """
    if not minutes > 0:
        raise UsageError(f"a budget is more than 0 minutes, not {minutes}")
    sets = opened(datasets, limit_chunks=_TIMED, **settings)
    of_quick, of_models = (_seconds_a_chunk(sets, specs) for specs in _by_weights(models or rates.MODELS))
    of_context = _seconds_a_chunk(sets, models or in_context.MODELS)
    of_trained = _seconds_a_chunk(sets[:1], shipped_models())
    part = 60 * minutes / 8
    steps = part / 1e-3  # bytes sampled from gzip; a picture has 3/8 of its width's square
    return Sizes(
        chunks=_between(4, part / of_quick, 10**6),
        model_chunks=_between(4, 3 * part / of_models, 10**6),
        sequences=_between(2, part / of_context, in_context.SEQUENCES),
        trained_chunks=_between(1, part / of_trained / (len(scaling.SIZES_BYTES) / 2), scaling.CHUNKS),
        image_width=_between(32, (steps / 4) ** 0.5, generation.IMAGE_WIDTH),
    )


#: Chunks that a model is timed on.
_TIMED = 3


def _between(least: int, value: float, most: int) -> int:
    return max(least, min(most, round(value)))


def _seconds_a_chunk(sets: Sequence[Dataset], models: Sequence[str]) -> float:
    """Of all models on a chunk of each set, once they run; a model that fails takes no time."""
    total = 1e-6
    for spec in models:
        for dataset in sets:
            try:
                compressor = subject(spec, dataset).compressor
                chunks = list(islice(dataset.chunks(), _TIMED))
                code_lengths(compressor, [chunks[0][:64]])  # loads and compiles
                start = time.perf_counter()
                code_lengths(compressor, chunks)
            except CompgenError:
                continue
            seconds = (time.perf_counter() - start) / len(chunks)
            if isinstance(compressor, PredictorCompressor) and compressor.predictor.batched:
                total += seconds * len(sets)  # all data are alike to it, and timing it takes long
                break
            total += seconds
    return total
