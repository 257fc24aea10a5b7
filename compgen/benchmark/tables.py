"""Rows as the tables that people read, the same on a terminal, in Markdown and on the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from compgen.benchmark import published
from compgen.benchmark.rows import Row

#: What stands where there is no number.
NONE, FAILED = "", "failed"
#: Beside the rate of a model on data of which it has learnt a part.
SEEN = "†"


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
    makers: dict[str, Callable[[Sequence[Row]], list[Table]]] = {
        "rates": _rates,
        "scaling": _scaling,
        "in-context": _in_context,
        "tokenizers": _tokenizers,
        "generation": _generation,
    }
    return makers[rows[0]["experiment"]](rows) if rows else []


def failures(rows: Iterable[Row]) -> list[str]:
    """One line for each row that failed."""
    return [
        f"{row.get('model') or ''} on {row.get('dataset')}: {row['error']}" for row in rows if row["status"] != "ok"
    ]


def _seen(rows: Iterable[Row]) -> str:
    some = any(row.get("seen_in_training") for row in rows)
    return f" {SEEN}: the model has learnt from some of these data." if some else ""


def skipped(rows: Iterable[Row]) -> list[str]:
    """One line for each file that could not be used, and for those that are too many to list."""
    lines = list[str]()
    for listed, count in unique((tuple(row.get("skipped") or ()), row.get("skipped_files") or 0) for row in rows):
        more = count - len(listed)
        lines += [*listed, *([f"and {more:,} more"] if more else [])]
    return unique(lines)


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
            ours += SEEN if row.get("seen_in_training") else ""
        return ours, number(published.table1(model, dataset, chunk_bytes))

    what = "the whole as one stream" if chunk_bytes is None else f"chunks of {chunk_bytes:,} bytes"
    caption = "Compressed size / raw size in percent, lower is better; what a container adds is counted once."
    if chunk_bytes is not None:
        caption += " ± is the standard error of the mean over chunks."
        counts = sorted({row["chunks"] for row in rows if row.get("chunks")})
        caption += f" Chunks of each set: {' or '.join(f'{count:,}' for count in counts)}." if counts else ""
    caption += _seen(rows)
    return _pivot(f"Compression rate (%), {what}", caption, rows, cells)


def _adjusted(rows: Sequence[Row], chunk_bytes: int | None) -> Table:
    def cells(row: Row | None, model: str, dataset: str) -> tuple[str, str]:
        ours = NONE
        if row is not None:
            ours = FAILED if row["status"] != "ok" else number(row["adjusted_1gb_percent"])
            ours += SEEN if row.get("seen_in_training") else ""
        return ours, number(published.table1(model, dataset, chunk_bytes, adjusted=True))

    by = {"parameters": "2 bytes a parameter", "files": "the size of its files"}[rows[0]["charge"]]
    caption = (
        f"With the model added, {by}, to 1 GB of data as the paper does; the rows also have what it adds to the bytes "
        "that were measured. Codecs and models without learnt weights have their raw rates."
    )
    what = "the whole as one stream" if chunk_bytes is None else f"chunks of {chunk_bytes:,} bytes"
    return _pivot(f"Adjusted rate (%), {what}", caption + _seen(rows), rows, cells)


def _pivot(
    title: str,
    caption: str,
    rows: Sequence[Row],
    cells: Callable[[Row | None, str, str], tuple[str, str]],
) -> Table:
    """Models down, data sets across; a column of the paper's numbers where there are any.

    Beginnings of one set are one column, though models may have been measured on more or less of it.
    """
    models, sets = unique(row["model"] for row in rows), unique(set_name(row) for row in rows)
    by_place = {(row["model"], set_name(row)): row for row in rows}
    columns, body = ["model"], [[short(model)] for model in models]
    for dataset in sets:
        filled = [cells(by_place.get((model, dataset)), model, dataset) for model in models]
        for place, name in enumerate((dataset, "paper")):
            if any(row[place] for row in filled):
                columns.append(name)
                for line, row in zip(body, filled, strict=True):
                    line.append(row[place])
    return Table(title, caption, tuple(columns), [tuple(line) for line in body])


def set_name(row: Row) -> str:
    """Without how much of it was taken."""
    return str(row["dataset"]).partition("[")[0]


# --- the other experiments -------------------------------------------------------------------------------------------


def _scaling(rows: Sequence[Row]) -> list[Table]:
    made = []
    for dataset in unique(row["dataset"] for row in rows):
        some = [row for row in rows if row["dataset"] == dataset]
        sizes = unique(row["set_bytes"] for row in some)
        by_place = {(row["model"], row["set_bytes"]): row for row in some}
        body = []
        for model in unique(row["model"] for row in some):
            line = [by_place[model, size] for size in sizes]
            cells = [_marked(line[-1], "rate_percent"), *(_marked(row, "adjusted_percent") for row in line)]
            body.append((short(model), number(line[-1].get("parameters"), 0), *cells))
        by = {"parameters": "2 bytes a parameter", "files": "the weight files"}[some[-1].get("charge", "parameters")]
        caption = f"Raw rate on the largest set, and rates with {by} added to data sets of so many bytes."
        if any(row.get("extrapolated") for row in some):
            caption += " *: there are fewer bytes here; the rate on what there is stands for it."
        caption += _seen(some)
        columns = ("model", "parameters", "raw", *map(size_name, sizes))
        made.append(Table(f"Adjusted rate (%) by size of the data set, {dataset}", caption, columns, body))
    return made


def _marked(row: Row, key: str) -> str:
    if row["status"] != "ok":
        return FAILED
    marks = SEEN * bool(row.get("seen_in_training")) + "*" * bool(row["extrapolated"])
    return number(row[key]) + marks


def _in_context(rows: Sequence[Row]) -> list[Table]:
    made = []
    for dataset in unique(row["dataset"] for row in rows):
        some = [row for row in rows if row["dataset"] == dataset]
        known = unique(row["position_bytes"] for row in some if row["position_bytes"])
        positions = [n for n in (16, 64, 256, 512, 1024, 2048) if n in known] or known[-6:]
        by_place = {(row["model"], row["position_bytes"]): row for row in some}
        body = []
        for model in unique(row["model"] for row in some):
            found = [by_place.get((model, n)) for n in positions]
            cells = [
                FAILED if row is None else number(row["rate_percent"]) + SEEN * bool(row.get("seen_in_training"))
                for row in found
            ]
            body.append((short(model), *cells))
        sequences = max((row.get("sequences") or 0 for row in some), default=0)
        caption = f"Rate of the first n bytes of a sequence, without container, averaged over {sequences:,} sequences."
        caption += _seen(some)
        made.append(
            Table(
                f"In-context rate (%) by position, {dataset}", caption, ("model", *(f"{n:,}" for n in positions)), body
            )
        )
    return made


def _tokenizers(rows: Sequence[Row]) -> list[Table]:
    body: list[tuple[str, ...]] = []
    for row in rows:
        if row["status"] != "ok":
            body.append((row["dataset"], short(row["model"]), NONE, NONE, FAILED, NONE, NONE, NONE))
            continue
        paper = published.table2("ascii" if row["tokenizer"] == "bytes" else row["tokenizer"], row["size"])
        error = row.get("rate_standard_error")
        rate = number(row["rate_percent"]) + (f" ±{error:.1f}" if error else "")
        rate += SEEN * bool(row.get("seen_in_training"))
        body.append(
            (
                *(row["dataset"], row["tokenizer"], row["size"], number(row["parameters"], 0), rate),
                *(number(row["bytes_per_token"], 2), number(row["bits_per_token"], 2), number(paper)),
            )
        )
    columns = ("data", "tokenizer", "size", "parameters", "rate (%)", "bytes/token", "bits/token", "paper (%)")
    caption = (
        "Raw rates. Size is the preset of width and depth; parameters count the vocabulary's too. The paper's models "
        "learnt much longer, and were measured on what they had learnt."
    ) + _seen(rows)
    return [Table("Rates by tokenizer and size", caption, columns, body, left=3)]


def _generation(rows: Sequence[Row]) -> list[Table]:
    body: list[tuple[str, ...]] = [
        (
            row["dataset"],
            f"{row['excerpt'] + 1}" if "excerpt" in row else NONE,
            short(row["model"]),
            number(row.get("context_bytes"), 0),
            number(row.get("sampled_bytes"), 0),
            FAILED
            if row["status"] != "ok"
            else number(row["truth_bits_per_byte"], 3) + SEEN * bool(row.get("seen_in_training")),
        )
        for row in rows
    ]
    caption = "What the true continuation costs under each predictor, teacher-forced, in bits a byte; lower is better."
    caption += _seen(rows)
    columns = ("data", "excerpt", "model", "bytes given", "bytes sampled", "bits/byte")
    return [Table("The true continuation", caption, columns, body, left=3)]


def short(model: str) -> str:
    """A spec without the folders of its files; a training's own file by the name of its folder."""
    name, colon, rest = model.partition(":")
    path, comma, options = rest.partition(",")
    if "/" in path:
        parts = path.split("/")
        path = parts[-2] if parts[-1] == "weights.safetensors" else parts[-1]
    return name + colon + path + comma + options


def size_name(size_bytes: int) -> str:
    """1 MB, 10 MB, 1 GB."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:g} {unit}"
    return f"{size_bytes:,} B"
