"""The images or recordings that files hold: one a file, or many in a tar archive or in a table, read where they are.

Nothing is unpacked to the disk, and no name or path inside an archive or a table is followed.
"""

from __future__ import annotations

import lzma
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from typing import IO, Any

from compgen.datasets.dataset import Skip
from compgen.datasets.reading import files_below, open_file, read_file
from compgen.datasets.tables import TABLES, batches
from compgen.errors import BadInputError

_ARCHIVES = (".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst")
#: What lies beside images and recordings in the usual layouts, such as LibriSpeech's transcripts: no part of a set.
_COMPANIONS = frozenset((".txt", ".md", ".json", ".csv", ".tsv", ".xml", ".html"))
#: Rows of a table that are in memory at once.
_ROWS = 16


def contents(paths: Iterable[Path], columns: tuple[str, ...], skip: Skip) -> Iterator[tuple[str, bytes]]:
    """The name and the content of every image or recording below ``paths``.

    In a table (Arrow, Parquet) they are in the first of ``columns`` that it has. Raises
    :class:`~compgen.errors.BadInputError` for archives and tables that are damaged, once all before that is served.
    """
    for path in in_turn(paths):
        name = path.name.lower()
        if name.endswith(_ARCHIVES):
            yield from _members(path)
        elif name.endswith(TABLES):
            yield from _cells(path, columns, skip)
        elif not _is_companion(path.name):
            try:
                content = read_file(path)
            except BadInputError as error:
                skip(str(path), str(error).removeprefix(f"{path}: "))
            else:
                yield str(path), content


def in_turn(paths: Iterable[Path]) -> Iterator[Path]:
    """The files below ``paths``: the first of each folder, in order of the folders, then the second of each, and so on.

    Within a folder they are in order of their names; so a flat folder is served in that order. Folders are classes in
    ImageNet and chapters in LibriSpeech, and the first few thousand chunks shall not all come from one of them.
    """
    folders: dict[Path, list[Path]] = {}
    for file in files_below(paths):
        folders.setdefault(file.parent, []).append(file)
    for turn in zip_longest(*folders.values()):
        yield from (file for file in turn if file is not None)


def _is_companion(name: str) -> bool:
    return name.startswith(".") or PurePosixPath(name).suffix.lower() in _COMPANIONS


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """The files of a tar archive, packed or not, in its order."""
    count = 0
    try:
        with open_file(path) as file:
            for member in _unpacked(file, str(path)):
                yield member
                count += 1
    except (tarfile.TarError, BadInputError, OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        text = str(error).removeprefix(f"{path}: ")
        raise BadInputError(f"{path} is damaged or not whole after {count:,} files ({text}); fetch it again") from None


def _unpacked(file: IO[bytes], name: str) -> Iterator[tuple[str, bytes]]:
    """The files of a tar archive, and of those in it, of which ImageNet's has one a class."""
    with tarfile.open(fileobj=file, mode="r|*") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is None or _is_companion(PurePosixPath(member.name).name):
                continue
            if member.name.endswith(".tar"):
                yield from _unpacked(content, f"{name}/{member.name}")
            else:
                yield f"{name}/{member.name}", content.read()


def _cells(path: Path, columns: tuple[str, ...], skip: Skip) -> Iterator[tuple[str, bytes]]:
    """The cells of a table's column: bytes, or with Hugging Face's ``datasets`` ``{"bytes": ..., "path": ...}``."""

    def wanted(names: list[str], path: Path) -> list[str]:
        found = [column for column in columns if column in names]
        if not found:
            raise BadInputError(f"{path} has no column {' or '.join(columns)}; it has: {', '.join(names)}")
        return found[:1]

    number = 0
    for rows in batches(path, wanted, _ROWS):
        for row in rows:
            number += 1
            cell: Any = next(iter(row.values()))
            content = cell.get("bytes") if isinstance(cell, dict) else cell
            if isinstance(content, bytes):
                yield f"{path}:{number}", content
            else:
                skip(f"{path}:{number}", "no bytes; make a table that holds the files, not their paths")
