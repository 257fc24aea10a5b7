"""Reading files of data: folders walked in one order, packed files unpacked on the fly, damage said in one line."""

from __future__ import annotations

import gzip
import io
import lzma
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import zstandard

from compgen.errors import BadInputError
from compgen.files import reason

#: Suffixes of the packed files that :func:`open_file` unpacks.
PACKED = (".xz", ".gz", ".zst")
_BUFFER_BYTES = 1 << 18
#: So few bytes of a zstd file are unpacked at once that even the most compressible ones, 32,000 for one, fit in memory.
_ZSTD_FEED_BYTES = 1 << 9


def read_file(path: Path) -> bytes:
    """A file's content; .xz, .gz and .zst are unpacked.

    Raises :class:`~compgen.errors.BadInputError` for what cannot be read and for packed files that are damaged.
    """
    with open_file(path) as file:
        return file.read()


def open_file(path: Path) -> BinaryIO:
    """A file, open to be read piece by piece in bounded memory; .xz, .gz and .zst are unpacked as it is read.

    Opening and reading raise :class:`~compgen.errors.BadInputError`, as :func:`read_file` does. What has been read
    before is then the sound beginning of a damaged file.
    """
    return cast(BinaryIO, io.BufferedReader(_Unpacked(path), _BUFFER_BYTES))


def files_below(paths: Iterable[Path]) -> Iterator[Path]:
    """The files named, and those in the folders named, in order of their names: the same order on every machine."""
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.is_file())
        else:
            yield path


class _Unpacked(io.RawIOBase):
    """The content of a file as a raw stream whose errors are ours."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._source: Any = None
        self._source = self._saying(_opened, path)

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill as much of ``buffer`` as there is; 0 at the end."""
        return cast(int, self._saying(self._source.readinto, buffer))

    def readall(self) -> bytes:
        """The rest."""
        return cast(bytes, self._saying(self._source.read))

    def close(self) -> None:
        """Close the file."""
        if self._source is not None:
            self._source.close()
        super().close()

    def _saying(self, read: Any, *arguments: Any) -> Any:
        try:
            return read(*arguments)
        except (lzma.LZMAError, gzip.BadGzipFile, zlib.error, EOFError, zstandard.ZstdError) as error:
            raise BadInputError(f"{self._path}: not a whole {self._path.suffix} file ({error})") from None
        except (OSError, ValueError) as error:  # ValueError: a null character in the name
            raise BadInputError(f"{self._path}: {reason(error)}") from None


def _opened(path: Path) -> Any:
    if path.suffix in PACKED and path.stat().st_size == 0:
        raise EOFError("it is empty")
    if path.suffix == ".xz":
        return lzma.open(path)
    if path.suffix == ".gz":
        return gzip.open(path)
    file = path.open("rb", buffering=0)
    return io.BufferedReader(_Zstd(file)) if path.suffix == ".zst" else file


class _Zstd(io.RawIOBase):
    """The frames of a zstd file, one after the other. The reader of zstandard itself takes a cut file for whole."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self._frame: Any = None
        self._packed, self._plain = b"", memoryview(b"")

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill as much of ``buffer`` as is at hand; 0 at the end."""
        while not self._plain:
            self._packed = self._packed or self._file.read(_ZSTD_FEED_BYTES)
            if not self._packed:
                if self._frame is not None:
                    raise EOFError("it ends too early")
                return 0
            self._frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
            self._plain = memoryview(self._frame.decompress(self._packed))
            self._packed = self._frame.unused_data
            if self._frame.eof:
                self._frame = None
        count = min(len(buffer), len(self._plain))
        buffer[:count], self._plain = self._plain[:count], self._plain[count:]
        return count

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
