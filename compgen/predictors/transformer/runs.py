"""A training run in a folder: checkpoints to go on from, a log, weights ready for use, a picture of the curve."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from compgen.errors import MissingExtraError, UsageError
from compgen.predictors.transformer import weights
from compgen.predictors.transformer.export import to_fixed
from compgen.predictors.transformer.training import Rates, Trainer, log_entries, log_to

CHECKPOINT, LOG, WEIGHTS, CURVE = "checkpoint.pt", "log.jsonl", "weights.safetensors", "curve.png"


@dataclass(frozen=True)
class Intervals:
    """How often a run writes down how far it has come."""

    log_steps: int = 100
    evaluate_steps: int = 1000
    save_seconds: float = 60.0
    evaluation_chunks: int = 16


@dataclass(frozen=True)
class Status:
    """How far a run has come: bits a symbol of the last batches, and on what is held out, if that was measured.

    ``held_out_per_byte`` is the latter in bits a byte, the same unless symbols are tokens.
    """

    step: int
    steps: int
    bits: float | None
    held_out: Rates
    held_out_per_byte: Rates


def run(
    trainer: Trainer,
    folder: Path,
    *,
    card: dict[str, Any] | None = None,
    intervals: Intervals | None = None,
    tell: Callable[[Status], None] | None = None,
) -> Status:
    """Train to the recipe's end, going on from the folder's checkpoint where there is one.

    Whatever stops it, the last checkpoint is whole, and the same call goes on from it. At the end the folder holds
    ``weights.safetensors``, which ``transformer:PATH`` takes, with ``card`` and the rates in its metadata.
    """
    intervals = intervals or Intervals()
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / CHECKPOINT
    if checkpoint.exists():
        trainer.load(checkpoint)
    steps, bits, held_out, per_byte = trainer.recipe.steps, None, Rates(), Rates()
    if trainer.step > steps:
        raise UsageError(f"{checkpoint} is at step {trainer.step} already; ask for more steps, or for another folder")
    saved, recent = time.monotonic(), list[float]()
    with log_to(folder / LOG) as log:
        if trainer.step == steps:  # nothing is left to do, and the weights come out as they did
            held_out = trainer.evaluate(intervals.evaluation_chunks)
            per_byte = trainer.per_byte(held_out, intervals.evaluation_chunks)
        for last in trainer.run(steps):
            recent.append(last)
            step = trainer.step
            if step % intervals.log_steps == 0 or step == steps:
                bits, recent = sum(recent) / len(recent), []
                log(step=step, bits=bits, rate=trainer.recipe.rate(step))
            if step % intervals.evaluate_steps == 0 or step == steps:
                held_out = trainer.evaluate(intervals.evaluation_chunks)
                per_byte = trainer.per_byte(held_out, intervals.evaluation_chunks)
                log(step=step, held_out=held_out, held_out_bits_per_byte=per_byte)
            if time.monotonic() - saved > intervals.save_seconds or step == steps:
                trainer.save(checkpoint)
                saved = time.monotonic()
            if tell is not None:
                tell(Status(step, steps, bits, held_out, per_byte))
    about = {**(card or {}), **({"held_out_bits_per_byte": _rounded(per_byte)} if trainer.corpus.pairs else {})}
    export(trainer, folder / WEIGHTS, held_out, about)
    return Status(trainer.step, steps, bits, held_out, per_byte)


def export(trainer: Trainer, path: Path, held_out: Rates, card: dict[str, Any] | None = None) -> None:
    """Write the weights in fixed point, with what they were made from; ``held_out`` is bits a symbol."""
    recipe = trainer.recipe
    sample = torch.from_numpy(trainer.corpus.batch(recipe.steps, 16, recipe.context))
    tensors, bits = to_fixed(trainer.network, sample)
    about = {
        **(card or {}),
        "recipe": dataclasses.asdict(recipe),
        "steps": trainer.step,
        "parameters": trainer.network.config.parameters,
        "held_out_bits_per_symbol": _rounded(held_out),
    }
    weights.save(path, trainer.network.config, tensors, bits, about, trainer.corpus.pairs)


def _rounded(rates: Rates) -> Rates:
    return {name: round(rate, 4) for name, rate in rates.items()}


def draw_curve(folder: Path) -> Path:
    """A picture of the run's log: bits a symbol in training, and on what is held out."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("the curve", "plots") from None
    entries = log_entries(folder / LOG)
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    training = [(entry["step"], entry["bits"]) for entry in entries if "bits" in entry]
    axes.plot(*zip(*training, strict=True), color="0.7", linewidth=1.2, label="training")
    for name in sorted({name for entry in entries for name in entry.get("held_out", {})}):
        points = [(e["step"], e["held_out"][name]) for e in entries if name in e.get("held_out", {})]
        axes.plot(*zip(*points, strict=True), marker=".", linewidth=1.4, label=f"held out: {name}")
    lowest = min(value for _, value in training)
    axes.set(xlabel="step", ylabel="bits per symbol", ylim=(None, min(training[0][1], 2 * lowest)))
    axes.grid(color="0.93")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small")
    path = folder / CURVE
    figure.savefig(path, dpi=150)
    return path
