"""The numbers of Lester et al. 2024 (``lester2024.csv``), and ours beside them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

#: Sizes of M2 that the paper reports, by column.
SIZES = ("25m", "113m", "403m", "2b")


@cache
def table() -> tuple[dict[str, str], ...]:
    """The rows of the paper's tables: ``method``, ``vocab``, ``bytes_per_token``, ``bpb_25m``, ..."""
    text = files("compgen.neuraltext").joinpath("lester2024.csv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return tuple(csv.DictReader(lines))


def method(described: Mapping[str, Any]) -> str | None:
    """What the paper calls an encoder, given as JSON; None for what it has not."""
    kind = described["kind"]
    if kind == "equal-info":
        plain = not described["delay"] and described["reset_model"] == "every"
        return f"equal-info-{described['window_bits']}" if plain else None
    return "sentencepiece" if kind == "bpe" else str(kind)


def row(described: Mapping[str, Any], vocab_size: int) -> dict[str, str]:
    """The paper's row for an encoder; empty if there is none."""
    name = method(described)
    vocabularies = {str(vocab_size)} if name != "sentencepiece" else {"32000"}
    return next((r for r in table() if r["method"] == name and r["vocab"] in vocabularies), {})


def beside(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Results of M2 (:data:`compgen.neuraltext.learning.RESULT`), each with the paper's numbers."""
    rows = []
    for result in results:
        theirs = row(result["encoder"], result["vocab_size"])
        rows.append(
            {
                **result,
                "part_of_uniform": result["bits_per_token"] / result["uniform_bits_per_token"],
                "paper_bytes_per_token": _number(theirs.get("bytes_per_token")),
                **{f"paper_bits_per_byte_{size}": _number(theirs.get(f"bpb_{size}")) for size in SIZES},
            }
        )
    return rows


def _number(text: str | None) -> float | None:
    return float(text) if text else None
