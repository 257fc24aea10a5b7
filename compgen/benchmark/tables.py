"""Rows as the tables that people read, the same on a terminal, in Markdown and on the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from compgen.benchmark import published
from compgen.benchmark.rows import Row

#: What stands where there is no number.
NONE, FAILED = "", "failed"


@dataclass(frozen=True)
class Table:
    """A title, a sentence on what the numbers are, and cells as text; after the first ``left`` columns, numbers."""

    title: str
    caption: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    left: int = 1


def tables(rows: Sequence[Row]) -> list[Table]:
    """The tables of one experiment."""
    makers: dict[str, Callable[[Sequence[Row]], list[Table]]] = {"rates": _rates}
    return makers[rows[0]["experiment"]](rows) if rows else []


def failures(rows: Iterable[Row]) -> list[str]:
    """One line for each row that failed."""
    return [
        f"{row.get('model') or ''} on {row.get('dataset')}: {row['error']}" for row in rows if row["status"] != "ok"
    ]


def number(value: float | None, digits: int = 1) -> str:
    """A number with so many digits after the point."""
    return NONE if value is None else f"{value:,.{digits}f}"


def unique(values: Iterable[Any]) -> list[Any]:
    """Each value once, in order of its first appearance."""
    return list(dict.fromkeys(values))


# --- rates -----------------------------------------------------------------------------------------------------------


def _rates(rows: Sequence[Row]) -> list[Table]:
    made = []
    for chunk_bytes in unique(row["chunk_bytes"] for row in rows):
        some = [row for row in rows if row["chunk_bytes"] == chunk_bytes]
        made.append(_raw(some, chunk_bytes))
        if any(row.get("model_bytes") for row in some):
            made.append(_adjusted([row for row in some if row.get("model_bytes")], chunk_bytes))
    return made


def _raw(rows: Sequence[Row], chunk_bytes: int | None) -> Table:
    def cells(row: Row | None, model: str, dataset: str) -> tuple[str, str]:
        ours = NONE
        if row is not None:
            error = row.get("rate_standard_error")
            ours = FAILED if row["status"] != "ok" else number(row["rate_percent"])
            ours += f" ±{error:.1f}" if error is not None and error >= 0.05 else ""
        return ours, number(published.table1(model, dataset, chunk_bytes))

    what = "the whole as one stream" if chunk_bytes is None else f"chunks of {chunk_bytes:,} bytes"
    caption = "Compressed size / raw size in percent, lower is better; what a container adds is counted once."
    if chunk_bytes is not None:
        caption += " ± is the standard error of the mean over chunks."
    return _pivot(f"Compression rate (%), {what}", caption, rows, cells)


def _adjusted(rows: Sequence[Row], chunk_bytes: int | None) -> Table:
    def cells(row: Row | None, model: str, dataset: str) -> tuple[str, str, str]:
        paper = number(published.table1(model, dataset, chunk_bytes, adjusted=True))
        if row is None or row["status"] != "ok":
            return NONE if row is None else FAILED, NONE, paper
        return number(row["adjusted_percent"]), number(row["adjusted_1gb_percent"]), paper

    by = {"parameters": "2 bytes a parameter", "files": "the size of its files"}[rows[0]["charge"]]
    caption = (
        f"With the model added, {by}: to the bytes that were measured, and to 1 GB of data as the paper does. "
        "Codecs and models without learnt weights have their raw rates."
    )
    what = "the whole as one stream" if chunk_bytes is None else f"chunks of {chunk_bytes:,} bytes"
    return _pivot(f"Adjusted rate (%), {what}", caption, rows, cells, ("", " at 1 GB"))


def _pivot(
    title: str,
    caption: str,
    rows: Sequence[Row],
    cells: Callable[[Row | None, str, str], tuple[str, ...]],
    ours: tuple[str, ...] = ("",),
) -> Table:
    """Models down, data sets across; a column of the paper's numbers where there are any."""
    models, sets = unique(row["model"] for row in rows), unique(row["dataset"] for row in rows)
    by_place = {(row["model"], row["dataset"]): row for row in rows}
    columns, body = ["model"], [[model] for model in models]
    for dataset in sets:
        filled = [cells(by_place.get((model, dataset)), model, dataset) for model in models]
        names = [dataset + suffix for suffix in ours] + ["paper"]
        for place, name in enumerate(names):
            if any(row[place] for row in filled):
                columns.append(name)
                for line, row in zip(body, filled, strict=True):
                    line.append(row[place])
    return Table(title, caption, tuple(columns), [tuple(line) for line in body])
