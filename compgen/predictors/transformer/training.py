"""Training of byte transformers: Muon for the matrices, AdamW for the rest, checkpoints, a log.

The recipe: batches of ``batch_symbols`` symbols; a constant learning rate after a short warm-up, then a linear way down
to nothing over the last ``cooldown`` of the steps (Hagele et al. 2024), so that a run can be prolonged from any
checkpoint made before; short contexts first, the whole context while the rate falls. Muon (Jordan et al. 2024)
orthogonalises the update of every matrix, which at these sizes learns about twice as much from a byte as AdamW.
"""

from __future__ import annotations

import dataclasses
import json
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from compgen.errors import BadInputError, UsageError
from compgen.predictors.transformer.config import Config
from compgen.predictors.transformer.corpus import Corpus
from compgen.predictors.transformer.devices import usable
from compgen.predictors.transformer.network import Network

#: Bits a symbol, or a byte, by what they were measured on.
Rates = dict[str, float]
#: Logits that an evaluation has in memory at once.
_LOGITS = 1 << 24


@dataclass(frozen=True)
class Recipe:
    """How to train. ``steps`` of ``batch_symbols`` symbols each."""

    steps: int = 20_000
    batch_symbols: int = 8192
    context: int = 2048
    short_context: int = 512
    warmup: int = 100
    cooldown: float = 0.3
    matrix_rate: float = 0.02
    other_rate: float = 0.004
    weight_decay: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.short_context <= self.context or self.batch_symbols < self.context:
            raise UsageError("contexts must grow, and a batch must hold at least one whole context")
        if self.steps < 1 or not 0 <= self.cooldown <= 1:
            raise UsageError("steps must be 1 or more, and cooldown from 0 to 1")

    @property
    def cooldown_start(self) -> int:
        """The step at which the learning rate begins to fall."""
        return self.steps - int(self.steps * self.cooldown)

    def rate(self, step: int) -> float:
        """The learning rate at a step, as a part of the highest."""
        up = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        falling = max(self.steps - self.cooldown_start, 1)
        return up * min(1.0, (self.steps - step) / falling) if step >= self.cooldown_start else up

    def context_at(self, step: int) -> int:
        """The length of the sequences at a step."""
        return self.context if step >= self.cooldown_start else self.short_context


class Trainer:
    """A network, its optimisers, and how far they have come.

    ``save`` and ``load`` keep all of it, so that a run that was stopped goes on as if it had not been.
    """

    def __init__(self, config: Config, corpus: Corpus, recipe: Recipe, *, device: str = "cpu", compiled: bool = False):
        torch.manual_seed(recipe.seed)
        self.corpus, self.recipe, self.device = corpus, recipe, usable(device)
        self.network = Network(config).to(self.device)
        self.step = 0
        matrices = [p for name, p in self.network.named_parameters() if _is_matrix(name)]
        others = [p for name, p in self.network.named_parameters() if not _is_matrix(name)]
        self._optimisers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(matrices, lr=recipe.matrix_rate, weight_decay=recipe.weight_decay, momentum=0.95),
            torch.optim.AdamW(others, lr=recipe.other_rate, betas=(0.9, 0.99), weight_decay=0.0),
        ]
        self._highest = [recipe.matrix_rate, recipe.other_rate]
        lengths = self.network.code_lengths
        self._code_lengths: Callable[[torch.Tensor], torch.Tensor] = torch.compile(lengths) if compiled else lengths

    def run(self, until: int) -> Iterator[float]:
        """Train up to a step; yields the mean bits a symbol of each batch."""
        while self.step < until:
            context = self.recipe.context_at(self.step)
            batch = self.corpus.batch(self.step, self.recipe.batch_symbols // context, context)
            for optimiser, highest in zip(self._optimisers, self._highest, strict=True):
                optimiser.zero_grad(set_to_none=True)
                for group in optimiser.param_groups:
                    group["lr"] = highest * self.recipe.rate(self.step)
            with self._precision():
                bits = self._code_lengths(torch.from_numpy(batch).to(self.device)).mean()
            bits.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
            for optimiser in self._optimisers:
                optimiser.step()
            self.step += 1
            yield float(bits.detach())

    def _precision(self) -> Any:
        if self.device.type == "cuda":
            return torch.autocast("cuda", torch.bfloat16)
        return nullcontext()

    @torch.no_grad()
    def evaluate(self, chunks: int = 64) -> Rates:
        """Bits a symbol on held-out chunks of a whole context each, by source."""
        rates, batch = {}, max(1, min(8, _LOGITS // self.recipe.context // self.network.config.vocabulary))
        for name, rows in self.corpus.held_out(self.recipe.context, chunks).items():
            total = 0.0
            for first in range(0, len(rows), batch):
                part = torch.from_numpy(rows[first : first + batch]).to(self.device)
                with self._precision():
                    total += float(self.network.code_lengths(part).double().sum())
            rates[name] = total / rows.size
        return rates

    def per_byte(self, rates: Rates, chunks: int = 64) -> Rates:
        """Rates that :meth:`evaluate` found on as many chunks, in bits a byte: the same where symbols are bytes."""
        rows = self.corpus.held_out(self.recipe.context, chunks)
        return {name: rate * rows[name].size / self.corpus.bytes_of(rows[name]) for name, rate in rates.items()}

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        state = {
            "config": self.network.config.as_dict(),
            "recipe": dataclasses.asdict(self.recipe),
            "step": self.step,
            "merges": None if self.corpus.pairs is None else self.corpus.pairs.merges,
            "network": self.network.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
        }
        temporary = path.with_name(path.name + ".part")
        torch.save(state, temporary)
        temporary.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint. The number of steps may have changed, the network not."""
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
        except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
            reason = str(error).partition("\n")[0][:100]
            raise BadInputError(f"{path}: not a readable checkpoint ({reason}); remove it to begin anew") from None
        if state["config"] != self.network.config.as_dict():
            raise UsageError(f"{path} is a checkpoint of another network: {state['config']}")
        if state.get("merges") != (None if self.corpus.pairs is None else self.corpus.pairs.merges):
            raise UsageError(f"{path} is a checkpoint of another vocabulary: the data or their order have changed")
        self.network.load_state_dict(state["network"])
        for optimiser, saved in zip(self._optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step = int(state["step"])


def _is_matrix(name: str) -> bool:
    return name.rsplit(".", 1)[-1] in ("qkv", "out", "up", "down")


@contextmanager
def log_to(path: Path) -> Iterator[Callable[..., None]]:
    """A function that appends JSON lines to a file, with the time of day in seconds."""
    with path.open("a", encoding="utf-8") as file:

        def write(**numbers: object) -> None:
            file.write(json.dumps({"time": round(time.time(), 1), **numbers}) + "\n")
            file.flush()

        yield write


def log_entries(path: Path) -> list[dict[str, Any]]:
    """What :func:`log_to` wrote."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
