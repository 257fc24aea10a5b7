"""Labelled texts in files: CSV, TSV, JSON lines, and folders with a folder a class.

``.csv`` and ``.tsv`` have a header, or two columns without one: label, text. ``.jsonl`` and ``.ndjson`` have an object
a line. Any other file has a text a line, without labels. ``.xz``, ``.gz`` and ``.zst`` are unpacked. In a folder, the
files of each subfolder are texts, as bytes, and its name is their label.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compgen.datasets.reading import PACKED, files_below, read_file
from compgen.errors import BadInputError

#: Names of columns and fields that may hold the label and the text, in order of preference.
LABELS = ("label", "class", "category", "target", "y")
TEXTS = ("text", "content", "document", "sentence")


@dataclass(frozen=True)
class Table:
    """Texts, with the label of each or None where the file has none."""

    texts: list[bytes]
    labels: list[str] | None
    name: str

    def labelled(self) -> list[str]:
        """The labels. Raises :class:`~compgen.errors.BadInputError` where there are none."""
        if self.labels is None:
            raise BadInputError(f"{self.name} has no labels; it needs a column of the name {' or '.join(LABELS[:2])}")
        return self.labels


def read_table(name: str, text_field: str | None = None, label_field: str | None = None) -> Table:
    """The texts of a file or folder, or of standard input for ``-``, a line each.

    Raises :class:`~compgen.errors.BadInputError` for what cannot be read, naming the line.
    """
    path = Path(name)
    if name != "-" and path.is_dir():
        return _folder(path)
    data = sys.stdin.buffer.read() if name == "-" else read_file(path)
    suffixes = [suffix for suffix in path.suffixes if suffix not in PACKED]
    kind = "" if name == "-" or not suffixes else suffixes[-1].lower()
    if kind not in (".csv", ".tsv", ".jsonl", ".ndjson"):
        table = Table([line for line in data.splitlines() if line.strip()], None, name)
    else:
        text = _decoded(data, name)
        rows = _json_rows(text, name) if "json" in kind or kind == ".ndjson" else _rows(text, name, kind)
        table = _table(rows, name, text_field, label_field)
    if not table.texts:
        raise BadInputError(f"{'standard input' if name == '-' else name} has no texts")
    return table


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInputError(f"{name}: not UTF-8 (byte {error.start:,}); convert it, as with iconv") from None


def _rows(text: str, name: str, kind: str) -> list[tuple[int, dict[str, Any]]]:
    """The rows of a table, with the line that each ends on."""
    csv.field_size_limit(sys.maxsize if sys.maxsize < 1 << 62 else 1 << 31)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if kind == ".tsv" else ",", strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        rows.extend((reader.line_num, row) for row in reader if row)
    except csv.Error as error:
        raise BadInputError(f"{name}, line {reader.line_num}: {error}") from None
    if not rows:
        return []
    header = [field.strip() for field in rows[0][1]]
    known = {field.lower() for field in header} & {*LABELS, *TEXTS}
    if not known and len(header) == 2:
        header = [LABELS[0], TEXTS[0]]
    else:
        rows = rows[1:]
    for line, row in rows:
        if len(row) != len(header):
            raise BadInputError(f"{name}, line {line}: {len(row)} fields where the header has {len(header)}")
    return [(line, dict(zip(header, row, strict=True))) for line, row in rows]


def _json_rows(text: str, name: str) -> list[tuple[int, dict[str, Any]]]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadInputError(f"{name}, line {number}: not JSON ({error})") from None
        if not isinstance(row, dict):
            raise BadInputError(f"{name}, line {number}: not an object with fields for text and label")
        rows.append((number, row))
    return rows


def _table(rows: list[tuple[int, dict[str, Any]]], name: str, text_field: str | None, label_field: str | None) -> Table:
    if not rows:
        return Table([], None, name)
    fields = rows[0][1]
    text_name = _field(fields, TEXTS, text_field, name, "--text-field")
    if text_name is None:
        raise BadInputError(f"{name} has no field {' or '.join(TEXTS)}, but {_names(fields)}; name it: --text-field")
    label_name = _field(fields, LABELS, label_field, name, "--label-field")
    texts, labels = [], []
    for line, row in rows:
        text, label = row.get(text_name), row.get(label_name) if label_name is not None else None
        if not isinstance(text, str) or not text:
            raise BadInputError(f"{name}, line {line}: the field {text_name} holds no text")
        if label_name is not None and (label is None or label == "" or isinstance(label, list | dict)):
            raise BadInputError(f"{name}, line {line}: the field {label_name} holds no label")
        texts.append(text.encode("utf-8", "surrogatepass"))
        labels.append(str(label))
    return Table(texts, labels if label_name is not None else None, name)


def _field(fields: dict[str, Any], usual: tuple[str, ...], given: str | None, name: str, option: str) -> str | None:
    if given is not None:
        if given not in fields:
            raise BadInputError(f"{name} has no field {given!r} ({option}), but {_names(fields)}")
        return given
    lowered = {field.lower(): field for field in fields}
    return next((lowered[field] for field in usual if field in lowered), None)


def _names(fields: dict[str, Any]) -> str:
    return ", ".join(map(str, list(fields)[:8])) or "none"


def _folder(folder: Path) -> Table:
    texts, labels = [], []
    for group in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        for path in files_below([group]):
            data = read_file(path)
            if not data:
                raise BadInputError(f"{path} is empty; give at least one byte")
            texts.append(data)
            labels.append(group.name)
    if not texts:
        raise BadInputError(f"{folder} has no folders with texts; it needs one a class")
    return Table(texts, labels, str(folder))
