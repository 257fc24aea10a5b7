"""Text, or any bytes: the content of files, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from compgen.datasets.dataset import Skip
from compgen.datasets.reading import PACKED, files_below, open_file
from compgen.errors import BadInputError
from compgen.files import MAGIC_BYTES, modality_of

BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Texts:
    """The files named or below the folders named, in order of their names, joined with nothing between.

    Packed files are unpacked to their end before anything of them is served, so that nothing of a damaged one is.
    ``text_only``: skip images and recordings.
    """

    joined: ClassVar[bool] = True

    paths: tuple[Path, ...]
    text_only: bool = False

    def pieces(self, chunk_bytes: int, skip: Skip) -> Iterator[bytes]:
        """See :meth:`Source.pieces`."""
        for path in files_below(self.paths):
            reason = unusable(path) or (not_text(path) if self.text_only else None)
            if reason is None:
                with open_file(path) as file:
                    yield from iter(lambda: file.read(BLOCK_BYTES), b"")
            else:
                skip(str(path), reason)


def not_text(path: Path) -> str | None:
    """Why a file is no text, or None."""
    with open_file(path) as file:
        modality = modality_of(file.read(MAGIC_BYTES))
    return None if modality == "text" else f"{modality}, not text"


def unusable(path: Path) -> str | None:
    """Why a file cannot be served, or None."""
    try:
        status = path.stat()
        return _unusable(path, status.st_size, status.st_mtime_ns) if path.suffix in PACKED else _unreadable(path, 1)
    except OSError:
        return _unreadable(path, 1)


@lru_cache(maxsize=4096)
def _unusable(path: Path, size_bytes: int, mtime_ns: int) -> str | None:
    return _unreadable(path, BLOCK_BYTES)


def _unreadable(path: Path, block_bytes: int) -> str | None:
    """Why a file cannot be read, if it is packed to its end."""
    try:
        with open_file(path) as file:
            if not file.read(1):
                return "empty"
            while path.suffix in PACKED and file.read(block_bytes):
                pass
    except BadInputError as error:
        return str(error).removeprefix(f"{path}: ")
    return None
