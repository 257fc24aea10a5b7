"""Documents, one after the other, in bounded memory: from text, JSON lines, Arrow and Parquet, packed or not.

What a name means:

- ``*.jsonl``, ``*.ndjson``, ``*.json``: JSON lines, a document each. The text is in the field ``text`` or ``content``,
  or in the one that is named; a line may also be a string.
- ``*.parquet``, ``*.arrow``, and folders that ``save_to_disk`` of Hugging Face's ``datasets`` made: a row each, with
  the text in a column of such a name.
- any other file: its content, as one document of bytes; what is longer than :data:`PART_BYTES` comes in parts.
- a folder: all that lies in it, in order of names, without what is hidden.

.xz, .gz and .zst are unpacked. Every document knows where it comes from and to which domain it belongs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compgen.datasets.reading import PACKED, open_file
from compgen.errors import BadInputError, MissingExtraError
from compgen.files import reason

#: Fields that may hold the text, in order of preference.
TEXT_FIELDS = ("text", "content")
#: A plain file longer than this comes in parts of at most so many bytes, cut after a line end where there is one.
PART_BYTES = 1 << 26
_LINES, _TABLES = (".jsonl", ".ndjson", ".json"), (".parquet", ".arrow")
#: Rows that are read from a table at once.
_ROWS = 256


@dataclass(frozen=True)
class Document:
    """A text, where it was found (``data.jsonl:17``), and the name of what it belongs to.

    ``text`` is a str where the format says so (JSON, tables) and bytes where it does not; ``part`` counts from 0 the
    parts of a plain file that is too long to be read at once.
    """

    text: str | bytes
    source: str
    domain: str
    part: int = 0

    @property
    def data(self) -> bytes:
        """The text as bytes, str in UTF-8."""
        return self.text if isinstance(self.text, bytes) else self.text.encode()

    def characters(self) -> str:
        """The text as str. Raises :class:`~compgen.errors.BadInputError` where the bytes are not UTF-8."""
        if isinstance(self.text, str):
            return self.text
        try:
            return self.text.decode()
        except UnicodeDecodeError as error:
            looks = "; it looks like UTF-16" if self.text[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
            place = f"byte 0x{self.text[error.start]:02x} at {error.start:,}"
            raise BadInputError(f"{self.source}: not UTF-8 ({place}){looks}; convert it, as with iconv") from None


@dataclass(frozen=True)
class Origin:
    """A file or folder, and the domain of what is in it."""

    path: Path
    domain: str

    @classmethod
    def parse(cls, name: str | Path) -> Origin:
        """``DOMAIN=PATH``, or a path, whose domain is its name without suffixes.

        >>> Origin.parse("code=data/python.jsonl.xz").domain, Origin.parse("data/python.jsonl.xz").domain
        ('code', 'python')
        """
        text = str(name)
        domain, equals, path = text.partition("=")
        if not isinstance(name, Path) and equals and domain and "/" not in domain and not Path(text).exists():
            return cls(Path(path), domain)
        return cls(Path(text), _stem(Path(text).resolve() if Path(text).name in ("", "..") else Path(text)))


def documents(
    names: Iterable[str | Path | Origin], *, field: str | None = None, domain_field: str | None = None
) -> Iterator[Document]:
    """All documents of files and folders, in order; see the top of this module for what may be named, and how.

    ``field`` names where JSON lines and tables have the text; ``domain_field`` one whose value is a document's domain.
    Raises :class:`~compgen.errors.BadInputError` that names file and line, :class:`~compgen.errors.MissingExtraError`
    for tables without the extra ``arrow``.
    """
    reader = _Reader(field, domain_field)
    for name in names:
        origin = name if isinstance(name, Origin) else Origin.parse(name)
        yield from reader.read(origin.path, origin.domain, named=True)


def _stem(path: Path) -> str:
    """A name without its suffixes for formats and packing: ``a.b.jsonl.xz`` is ``a.b``."""
    name = path.name
    for suffixes in (PACKED, (*_LINES, *_TABLES, ".txt")):
        for suffix in suffixes:
            if name.lower().endswith(suffix) and len(name) > len(suffix):
                name = name[: -len(suffix)]
                break
    return name


@dataclass(frozen=True)
class _Reader:
    field: str | None
    domain_field: str | None

    def read(self, path: Path, domain: str, named: bool = False) -> Iterator[Document]:
        if not path.is_dir():
            yield from self._file(path, domain)
        elif (path / "dataset_dict.json").is_file():
            for split in _listed(path / "dataset_dict.json", "splits"):
                yield from self._dataset(path / str(split), f"{domain}/{split}")
        elif (path / "state.json").is_file():
            yield from self._dataset(path, domain)
        else:
            inside = sorted(part for part in path.iterdir() if not part.name.startswith("."))
            if named and not inside:
                raise BadInputError(f"{path} is an empty folder")
            for part in inside:
                yield from self.read(part, domain)

    def _file(self, path: Path, domain: str) -> Iterator[Document]:
        suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in PACKED]
        kind = suffixes[-1] if suffixes else ""
        if kind in _LINES:
            yield from self._lines(path, domain)
        elif kind in _TABLES and path.suffix.lower() == kind:
            yield from self._table(path, domain)
        else:
            yield from _parts(path, domain)

    def _lines(self, path: Path, domain: str) -> Iterator[Document]:
        with open_file(path) as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield self._row(_parsed(line, number, path), f"{path}:{number}", domain)

    def _dataset(self, folder: Path, domain: str) -> Iterator[Document]:
        state = folder / "state.json"
        if _json(state).get("_indices_data_files"):
            raise BadInputError(f"{folder} has rows in another order than its files; save it again with save_to_disk")
        for entry in _listed(state, "_data_files"):
            yield from self._table(folder / str(entry["filename"]), domain)

    def _table(self, path: Path, domain: str) -> Iterator[Document]:
        number = 0
        for rows in _batches(path, self._wanted):
            for row in rows:
                number += 1
                yield self._row(row, f"{path}:{number}", domain)

    def _wanted(self, columns: list[str], path: Path) -> list[str]:
        """The columns of a table that are read."""
        found = [self._text_field(columns, str(path))]
        if self.domain_field is not None and self.domain_field in columns:
            found.append(self.domain_field)
        return found

    def _text_field(self, fields: Iterable[str], source: str) -> str:
        fields = list(fields)
        choices = TEXT_FIELDS if self.field is None else (self.field,)
        for choice in choices:
            if choice in fields:
                return choice
        has = ", ".join(map(repr, fields[:12])) or "none"
        wanted = " or ".join(map(repr, choices))
        raise BadInputError(f"{source}: no field {wanted}; name the one with the text, of {has}")

    def _row(self, row: Any, source: str, domain: str) -> Document:
        if isinstance(row, str):
            row = {TEXT_FIELDS[0] if self.field is None else self.field: row}
        if not isinstance(row, Mapping):
            raise BadInputError(f"{source}: a line is an object with a field for the text, not {type(row).__name__}")
        field = self._text_field(row, source)
        text = row[field]
        if not isinstance(text, str | bytes):
            raise BadInputError(f"{source}: the field {field!r} holds no text but {type(text).__name__}")
        if isinstance(text, str):
            _require_text(text, source)
        if self.domain_field is not None:
            if not isinstance(row.get(self.domain_field), str | int):
                raise BadInputError(f"{source}: no field {self.domain_field!r} that names a domain")
            domain = str(row[self.domain_field])
        return Document(text, source, domain)


def _parsed(line: bytes, number: int, path: Path) -> Any:
    try:
        return json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        raise BadInputError(f"{path}:{number}: not UTF-8 (byte 0x{line[error.start]:02x}); convert the file") from None
    except (ValueError, RecursionError) as error:
        more = "; an array over several lines is no JSON lines" if number == 1 and line.strip() in (b"[", b"{") else ""
        raise BadInputError(f"{path}:{number}: not JSON ({str(error).splitlines()[0]}){more}") from None


def _require_text(text: str, source: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        code = f"U+{ord(text[error.start]):04X}"
        raise BadInputError(f"{source}: half of a surrogate pair, {code}, is no character; mend or leave out") from None


def _parts(path: Path, domain: str) -> Iterator[Document]:
    """A plain file as one document, or as parts that are cut after a line end, or at least between characters."""
    with open_file(path) as file:
        data, number = file.read(PART_BYTES + 1), 0
        while len(data) > PART_BYTES:
            place = data.rfind(b"\n", PART_BYTES // 2, PART_BYTES) + 1 or PART_BYTES
            while place > PART_BYTES - 4 and 0x80 <= data[place] < 0xC0:
                place -= 1
            yield Document(data[:place], str(path), domain, number)
            data, number = data[place:] + file.read(place), number + 1
        yield Document(data, str(path), domain, number)


def _json(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_bytes())
    except OSError as error:
        raise BadInputError(f"{path}: {reason(error)}") from None
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise BadInputError(f"{path}: not what save_to_disk writes")
    return read


def _listed(path: Path, key: str) -> list[Any]:
    found = _json(path).get(key)
    if not isinstance(found, list):
        raise BadInputError(f"{path}: not what save_to_disk writes: {key} is missing")
    return found


def _batches(path: Path, wanted: Any) -> Iterator[list[dict[str, Any]]]:
    """Some rows of an Arrow or Parquet file at a time, with the columns that ``wanted(columns, path)`` chooses."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtraError(f"reading {path.name}", "arrow") from None
    if not path.is_file():
        raise BadInputError(f"{path}: no such file")
    try:
        if path.suffix.lower() == ".parquet":
            with parquet.ParquetFile(path, memory_map=True) as file:
                columns = wanted(file.schema_arrow.names, path)
                for batch in file.iter_batches(_ROWS, columns=columns):
                    yield batch.to_pylist()
            return
        with pyarrow.memory_map(str(path)) as source, pyarrow.ipc.open_stream(source) as batches:
            columns = wanted(batches.schema.names, path)
            for batch in batches:
                kept = batch.select(columns)
                for first in range(0, kept.num_rows, _ROWS):
                    yield kept.slice(first, _ROWS).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise BadInputError(f"{path}: not a whole {path.suffix} file ({str(error).splitlines()[0]})") from None
