"""The paper's own numbers, to stand beside ours: Deletang et al. 2024, Tables 1 and 2, Figure 2."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files

#: Our data sets and the paper's columns. enwik8 is the first tenth of enwik9.
_COLUMNS = {"enwik8": "enwik9", "enwik9": "enwik9", "imagenet": "imagenet", "librispeech": "librispeech"}
_COLUMNS["random"] = "random"
#: Our specs and the paper's rows, where the names differ.
_MODELS = {
    "transformer:size=200k": "transformer-200k",
    "transformer:size=800k": "transformer-800k",
    "transformer:size=3.2m": "transformer-3.2m",
}
_PAPER_CHUNK_BYTES = 2048


def table1(model: str, dataset: str, chunk_bytes: int | None, adjusted: bool = False) -> float | None:
    """The rate in percent that the paper prints for a model on a data set, if it has one.

    ``chunk_bytes`` None is unchunked; other chunks than the paper's have no counterpart. A model of Hugging Face goes
    by the end of its name (``.../Llama-2-7b-hf``).
    """
    column = next((column for name, column in _COLUMNS.items() if dataset.startswith(name)), None)
    if column is None or chunk_bytes not in (None, _PAPER_CHUNK_BYTES):
        return None
    chunk = "inf" if chunk_bytes is None else str(chunk_bytes)
    name = _MODELS.get(model, model)
    if model.startswith("hf:"):
        name = model.rpartition("/")[2].partition(",")[0].lower().removesuffix("-hf")
    row = _rows("table1").get((chunk, name))
    return None if row is None else float(row[("adjusted_" if adjusted else "") + column])


def table2(tokenizer: str, size: str) -> float | None:
    """The raw rate on enwik9 in percent for a tokenizer (``ascii``, ``bpe-1000``) and a size (``200k``)."""
    row = _rows("table2").get((tokenizer,))
    return float(row[size]) if row and size in row else None


def figure2() -> list[dict[str, float]]:
    """The points of Figure 2, by number of parameters."""
    return [{key: float(value) for key, value in row.items()} for row in _rows("fig2").values()]


@cache
def _rows(name: str) -> Mapping[tuple[str, ...], Mapping[str, str]]:
    """The rows of a table by the cells that name them."""
    keys = {"table1": ("chunk", "compressor"), "table2": ("tokenizer",), "fig2": ("params",)}[name]
    text = files("compgen.benchmark").joinpath("published", f"lmic_{name}.csv").read_text(encoding="utf-8")
    return {tuple(row[key] for key in keys): row for row in csv.DictReader(_uncommented(text))}


def _uncommented(text: str) -> Iterator[str]:
    return (line for line in text.splitlines() if line and not line.startswith("#"))
