"""What a run leaves in its folder: rows as JSON lines and CSV, tables as Markdown, and one page for a browser.

``rates.jsonl`` and ``rates.csv`` (and so on for each experiment) hold the rows, ``report.md`` and ``report.html`` all
experiments of the folder together, whenever they were run. ``seconds.json`` has the times of what was computed last,
apart from the rows, which are the same whenever and wherever they are made.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from compgen import files
from compgen.benchmark.page import page
from compgen.benchmark.rows import Row
from compgen.benchmark.tables import Table, failures, skipped, tables
from compgen.errors import BadInputError

#: The experiments, in the order in which a report has them, and what it calls them.
EXPERIMENTS = {
    "rates": "Compression rates",
    "scaling": "Scaling",
    "in-context": "In-context compression",
    "tokenizers": "Tokenizers",
    "generation": "Generation",
}


def prepare(folder: Path) -> None:
    """Make the folder of a report. Raises :class:`~compgen.errors.BadInputError` now and not when the work is done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(f"cannot make the folder {folder}: {files.reason(error)}") from None
    files.check_writable(folder / "report.md")


def write(folder: Path, experiments: Mapping[str, Sequence[Row]], seconds: Mapping[str, float] | None = None) -> None:
    """Write the rows of some experiments, and the report of all that the folder has."""
    prepare(folder)
    for name, rows in experiments.items():
        files.write(folder / f"{name}.jsonl", as_json_lines(rows))
        files.write(folder / f"{name}.csv", as_csv(rows))
    if seconds:
        files.write(folder / "seconds.json", json.dumps(dict(seconds), indent=1).encode())
    every = read(folder)
    files.write(folder / "report.md", markdown(every).encode())
    files.write(folder / "report.html", page(every, EXPERIMENTS).encode())


def read(folder: Path) -> dict[str, list[Row]]:
    """The rows of each experiment that a folder has."""
    found = {}
    for name in EXPERIMENTS:
        path = folder / f"{name}.jsonl"
        if path.exists():
            try:
                found[name] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            except ValueError:
                raise BadInputError(f"{path} is damaged; remove it, or run the experiment again") from None
    return {name: rows for name, rows in found.items() if rows}


def as_json_lines(rows: Sequence[Row]) -> bytes:
    """A JSON object a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def as_csv(rows: Sequence[Row]) -> bytes:
    """Comma-separated values with a header; columns that hold lists or long texts of samples are in the JSON only."""
    columns = [key for key in dict.fromkeys(key for row in rows for key in row) if not _is_long(rows, key)]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _is_long(rows: Sequence[Row], key: str) -> bool:
    return key.endswith("_base64") or any(isinstance(row.get(key), list | dict) for row in rows)


def markdown(experiments: Mapping[str, Sequence[Row]]) -> str:
    """All tables, with what failed and what was skipped."""
    parts = ["# Compression benchmark"]
    for name, rows in experiments.items():
        parts.append(f"## {EXPERIMENTS[name]}")
        for table in tables(rows):
            parts += [f"### {table.title}", table.caption, markdown_table(table)]
        if lines := failures(rows):
            parts.append("Failed, and in no average:\n\n" + "\n".join(f"- {line}" for line in lines))
        if lines := skipped(rows):
            parts.append("Files that could not be used:\n\n" + "\n".join(f"- {line}" for line in lines))
    return "\n\n".join(parts) + "\n"


def markdown_table(table: Table) -> str:
    """A pipe table, its columns padded so that it can be read as it is."""
    body = [table.columns, *(tuple(cell.replace("|", "\\|") for cell in row) for row in table.rows)]
    widths = [max(3, *(len(row[column]) for row in body)) for column in range(len(table.columns))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if column < table.left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [("-" * width) if column < table.left else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    return "\n".join([line(body[0]), line(rule), *map(line, body[1:])])
