"""M2: the transformers of ``compgen train`` over the tokens of prepared shards, with PyTorch (the extra ``lm``)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from compgen import files
from compgen.errors import BadInputError, UsageError
from compgen.neuraltext.corpus import Shards
from compgen.predictors.transformer import runs
from compgen.predictors.transformer.config import Config, preset
from compgen.predictors.transformer.corpus import Corpus, Source, split
from compgen.predictors.transformer.training import Recipe, Trainer

RESULT = "result.json"


class TokenCorpus(Corpus):
    """Tokens of one encoder, of which it is known how many bytes they stand for on average.

    ``before``: of each source, how many tokens of its shard stand before those held out.
    """

    def __init__(self, sources: Sequence[Source], seed: int, bytes_per_token: float, before: dict[str, int]) -> None:
        super().__init__(sources, seed)
        self.bytes_per_token, self.before = bytes_per_token, before

    def bytes_of(self, symbols: npt.NDArray[np.int64]) -> int:
        """See :meth:`Corpus.bytes_of`."""
        return round(symbols.size * self.bytes_per_token)


def corpus_of(shards: Shards, held_out: Shards | None, seed: int) -> TokenCorpus:
    """What M2 learns from, and is judged by: other shards, or else the last twentieth of each. Shards stay on disk."""
    names = [str(shards.folder / entry["name"]) for entry in shards.manifest["shards"]]
    parts = [shards.shard(number)[0] for number in range(len(names))]
    if held_out is None:
        sources = [split(name, part) for name, part in zip(names, parts, strict=True)]
        before = {source.name: len(source.training) for source in sources}
        return TokenCorpus(sources, seed, shards.bytes_per_token, before)
    if held_out.described != shards.described:
        raise UsageError(f"{held_out.folder} was made with another encoder than {shards.folder}")
    sources = [Source(name, part, part[:0], float(len(part))) for name, part in zip(names, parts, strict=True)]
    sources[0] = dataclasses.replace(sources[0], name=str(held_out.folder), held_out=held_out.tokens())
    return TokenCorpus(sources, seed, held_out.bytes_per_token, {str(held_out.folder): 0})


def shape(size: str, vocab_size: int, changes: str | None = None) -> Config:
    """A preset of ``compgen train`` for a vocabulary."""
    return dataclasses.replace(preset(size, changes), vocabulary=vocab_size)


def batch_tokens(vocab_size: int) -> int:
    """How many tokens a batch has by default: their logits over all tokens must fit in memory, three times over."""
    return 8192 if vocab_size <= 1 << 14 else 2048


def recipe(steps: int, batch_tokens: int, context: int, seed: int = 0) -> Recipe:
    """A recipe of so many steps, all of them with the whole context."""
    return Recipe(
        steps=steps,
        batch_symbols=batch_tokens,
        context=context,
        short_context=context,
        warmup=min(100, max(steps // 10, 1)),
        seed=seed,
    )


def trainer(
    shards: Shards,
    held_out: Shards | None = None,
    *,
    size: str = "200k",
    changes: str | None = None,
    recipe: Recipe | None = None,
    device: str = "cpu",
) -> Trainer:
    """A trainer of M2, as of any transformer."""
    recipe = recipe or Recipe(context=512)
    corpus = corpus_of(shards, held_out, recipe.seed)
    longest = max(len(source.held_out) for source in corpus.sources)
    if longest < recipe.context:
        raise BadInputError(
            f"{longest} tokens are held out, less than a context of {recipe.context}: prepare "
            "more data, or take a shorter context"
        )
    return Trainer(shape(size, shards.vocab_size, changes), corpus, recipe, device=device)


def run(
    made: Trainer,
    shards: Shards,
    folder: Path,
    *,
    tell: Callable[[runs.Status], None] | None = None,
    chunks: int = 64,
) -> dict[str, Any]:
    """Train M2 in ``folder``, going on from a checkpoint there; returns and writes the result, :data:`RESULT`."""
    card = {"encoder": shards.described, "tokens": shards.manifest["tokens"]}
    intervals = runs.Intervals(evaluation_chunks=chunks, evaluate_steps=max(made.recipe.steps // 4, 1))
    runs.run(made, folder, card=card, intervals=intervals, tell=tell)
    result = {**measured(made, shards, chunks), "encoder": summary(shards)}
    files.write(folder / RESULT, (json.dumps(result, indent=2) + "\n").encode())
    return result


def summary(shards: Shards) -> dict[str, Any]:
    """The encoder without what is long."""
    described = {**shards.described}
    for long in ("merges", "frequencies"):
        described.pop(long, None)
    return described


def measured(made: Trainer, shards: Shards, chunks: int = 64) -> dict[str, Any]:
    """Rates of M2 on what is held out, and by the position of tokens in their window."""
    assert isinstance(made.corpus, TokenCorpus)
    period = period_of(shards)
    rows, places = _held_out(made.corpus, made.recipe.context, chunks, period)
    bits, hits = predicted(made, rows)
    config, ratio = made.network.config, made.corpus.bytes_per_token
    per_token = float(bits.mean())
    return {
        "vocab_size": config.vocabulary,
        "bytes_per_token": ratio,
        "parameters": config.parameters,
        "steps": made.step,
        "trained_tokens": made.step * made.recipe.batch_symbols,
        "held_out_tokens": int(rows.size),
        "bits_per_token": per_token,
        "uniform_bits_per_token": float(np.log2(config.vocabulary)),
        "bits_per_byte": per_token / ratio,
        "uniform_bits_per_byte": float(np.log2(config.vocabulary)) / ratio,
        "accuracy": float(hits.mean()),
        "flops_per_byte": flops_per_byte(config, ratio, shards),
        "by_position": [
            {
                "position": place,
                "bits_per_token": float(bits[places == place].mean()),
                "accuracy": float(hits[places == place].mean()),
            }
            for place in range(period)
        ],
    }


def period_of(shards: Shards) -> int:
    """Tokens of a window; 1 where there are no windows, or no whole number of tokens in one."""
    described = shards.described
    if described["kind"] != "equal-info" or described["window_bits"] % described["token_bits"]:
        return 1
    return int(described["window_bits"] // described["token_bits"])


def flops_per_byte(config: Config, bytes_per_token: float, shards: Shards) -> float:
    """Of a forward pass: two for each parameter but those that are looked up, of M2 a token, of M1 a byte."""
    own = 2 * (config.parameters - (config.vocabulary + 1) * config.width) / bytes_per_token
    model = shards.encoder().model
    return own + (_model_flops(model) if model is not None else 0.0)


def _model_flops(model: Any) -> float:
    from compgen.predictors.transformer.predictor import Transformer

    if not isinstance(model, Transformer):
        return 0.0
    config = model.config
    return 2.0 * (config.parameters - (config.vocabulary + 1) * config.width)


@torch.no_grad()
def predicted(made: Trainer, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Bits of each token ``(chunks, context)``, and whether M2 thought it the likeliest."""
    bits, hits = np.empty(rows.shape), np.empty(rows.shape, bool)
    step = max(1, min(16, (1 << 25) // rows.shape[1] // made.network.config.vocabulary))
    for first in range(0, len(rows), step):
        symbols = torch.from_numpy(rows[first : first + step]).to(made.device)
        logits = made.network(symbols).float()
        nats = torch.nn.functional.cross_entropy(logits.flatten(0, 1), symbols.flatten(), reduction="none")
        bits[first : first + step] = nats.view(symbols.shape).cpu().numpy() / np.log(2)
        hits[first : first + step] = (logits.argmax(-1) == symbols).cpu().numpy()
    return bits, hits


def _held_out(
    corpus: TokenCorpus, context: int, chunks: int, period: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """About ``chunks`` held-out chunks ``(n, context)``, and which token of its window each token is."""
    rows, places = [], []
    judges = [source for source in corpus.sources if len(source.held_out) >= context]
    for source in judges:
        whole = len(source.held_out) // context
        picks = np.unique(np.linspace(0, whole - 1, min(whole, max(1, chunks // len(judges)))).astype(int))
        at = picks[:, None] * context + np.arange(context)
        rows.append(source.held_out[at].astype(np.int64))
        places.append((corpus.before[source.name] + at) % period)
    return np.concatenate(rows), np.concatenate(places)
