"""Transformers of the sizes that an experiment asks for: those that were trained before, and others on request."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compgen.datasets import Dataset
from compgen.errors import MissingExtraError, UsageError
from compgen.interfaces import Progress


@dataclass(frozen=True)
class Training:
    """What to train where a model is missing: presets of ``compgen train`` and how long.

    :param data: what to learn from, all of it but the last ``held_out`` part.
    :param folder: each model gets a folder in it, with checkpoints from which a stopped training goes on.
    :param steps: batches of ``batch_symbols`` symbols.
    """

    data: Dataset
    folder: Path
    steps: int = 2000
    batch_symbols: int = 16_384
    context: int = 2048
    held_out: float = 0.05
    seed: int = 0
    device: str | None = None


def shipped_models() -> tuple[str, ...]:
    """Specs of the transformers that come with the package, the smallest first."""
    from compgen.predictors.transformer.predictor import shipped

    return tuple(f"transformer:size={name}" for name in shipped())


def train(
    training: Training, sizes: Sequence[str], vocabularies: Sequence[int] = (256,), progress: Progress | None = None
) -> list[str]:
    """Specs of models of each size and vocabulary (256: bytes), trained now unless the folder has them already."""
    try:
        import torch  # noqa: F401  # what the rest is made of
    except ImportError:
        raise MissingExtraError("training models for the benchmark", "lm") from None
    return list(_trained(training, [(size, v) for v in vocabularies for size in sizes], progress))


def _trained(training: Training, wanted: list[tuple[str, int]], progress: Progress | None) -> Iterator[str]:
    from compgen.predictors.transformer import runs

    for number, (size, vocabulary) in enumerate(wanted):
        name = size if vocabulary == 256 else f"{size}-bpe-{vocabulary}"
        folder = training.folder / f"{name}-{training.steps}x{training.batch_symbols}-{training.data.sha256[:8]}"

        def tell(status: Any, number: int = number) -> None:
            if progress is not None:
                progress(number * training.steps + status.step, len(wanted) * training.steps)

        if not (folder / runs.WEIGHTS).exists():
            card = {"data": [training.data.name], "data_sha256": training.data.sha256}
            runs.run(_trainer(training, size, vocabulary), folder, card=card, tell=tell)
        yield f"transformer:{folder / runs.WEIGHTS}"


def _trainer(training: Training, size: str, vocabulary: int) -> Any:
    import torch

    from compgen.predictors.transformer.bpe_training import learn
    from compgen.predictors.transformer.config import preset
    from compgen.predictors.transformer.corpus import Corpus, split, tokenised
    from compgen.predictors.transformer.training import Recipe, Trainer

    if vocabulary < 256:
        raise UsageError(f"a vocabulary has 256 bytes at least, not {vocabulary}")
    config = preset(size)
    symbols = np.frombuffer(training.data.read(), np.uint8)
    files, pairs = [split(training.data.name, symbols, None, training.held_out)], None
    if vocabulary > 256:
        pairs = learn((source.training for source in files), vocabulary)
        files, config = tokenised(files, pairs), dataclasses.replace(config, vocabulary=len(pairs))
    recipe = Recipe(
        steps=training.steps,
        batch_symbols=training.batch_symbols,
        context=training.context,
        short_context=min(512, training.context),
        seed=training.seed,
    )
    device = training.device or ("cuda" if torch.cuda.is_available() else "cpu")
    return Trainer(config, Corpus(files, training.seed, pairs), recipe, device=device)
