"""Reading inputs and writing outputs, so that no half-written file ever bears the final name."""

from __future__ import annotations

import io
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from compgen.errors import BadInputError, UsageError

#: So many bytes of a file are enough to tell its modality.
MAGIC_BYTES = 64
#: The first bytes of the image and audio files that Pillow and soundfile read, as far as they cannot be text.
_MAGIC = {
    "image": re.compile(
        rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|RIFF....WEBP|II\*\0|MM\0\*|BM....\0\0\0\0|P[4-6]\s+[#\d]"
        rb"|\xff\x0a|\0\0\0\x0cJXL |\0\0\0\x0cjP  |\0\0\0.ftypavif",
        re.DOTALL,
    ),
    "audio": re.compile(
        rb"fLaC|OggS|ID3|\xff[\xf2\xf3\xfb]|(RIFF|RF64)....WAVE|FORM....AIF[FC]|\.snd|caff\0", re.DOTALL
    ),
}


def modality_of(data: bytes) -> str:
    """``image`` or ``audio`` if the first bytes say so, else ``text``."""
    return next((modality for modality, magic in _MAGIC.items() if magic.match(data)), "text")


def read(name: str, limit: int | None = None) -> bytes:
    """The content of a file, or of standard input for ``-``; its first ``limit`` bytes if given.

    Raises :class:`~compgen.errors.BadInputError` for what cannot be read and for what is empty.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit must be at least 1 byte, not {limit}")
    size = -1 if limit is None else limit
    try:
        if name == "-":
            data = sys.stdin.buffer.read(size)
        else:
            with Path(name).open("rb") as file:
                data = file.read(size)
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise BadInputError(f"cannot read {name}: {reason(error)}") from None
    if not data:
        raise BadInputError(f"{'standard input' if name == '-' else name} is empty; give at least one byte")
    return data


def check_writable(path: Path) -> None:
    """Raise now what would otherwise be raised when the work is done: no such folder, or the name is a folder's."""
    if path.is_dir():
        raise BadInputError(f"cannot write {path}: it is a directory; name a file")
    if not path.parent.is_dir():
        raise BadInputError(f"cannot write {path}: there is no directory {path.parent}")
    if not os.access(path.parent if not path.exists() else path, os.W_OK):
        raise BadInputError(f"cannot write {path}: permission denied")


def write(path: Path, data: bytes) -> None:
    """Write a whole file: under ``path`` there is all or nothing."""
    with writing(path, force=True) as file:
        file.write(data)


#: What is written under a temporary name just now.
_unfinished: set[Path] = set()


@contextmanager
def writing(
    path: Path, *, force: bool = False, mode: int | None = None, mtime_ns: int | None = None
) -> Iterator[BinaryIO]:
    """A binary file that bears the name ``path`` once the block has ended well, and is removed if it has not.

    Until then it has a temporary name in the same folder, and is open to its owner only if ``mode``, the permissions
    it gets in the end, is given. Its data are on the disk before the name is. A file that exists is replaced only with
    ``force``. A device or a named pipe is written as it is.

    Raises :class:`~compgen.errors.BadInputError` for whatever prevents it.
    """
    target = Path(os.path.realpath(path))  # through symbolic links, which renaming would replace
    check_writable(path)
    if target.exists() and not target.is_file():
        with _saying(f"cannot write {path}"), _Output(path, target) as file:
            yield file
        return
    _require_new(path, target, force)
    # Not made of the target's name, which may be as long as names can be.
    temporary = target.with_name(f".compgen.{secrets.token_hex(6)}.tmp")
    _unfinished.add(temporary)
    try:
        with _saying(f"cannot write {path}"):
            raw = _Output(path, temporary, 0o666 if mode is None else 0o600)
        with raw:
            yield raw
            with _saying(f"cannot write {path}"):
                os.fsync(raw.fileno())
        with _saying(f"cannot write {path}"):
            if mode is not None:
                temporary.chmod(stat.S_IMODE(mode) & 0o777)
            if mtime_ns is not None:
                with suppress(OverflowError, OSError):  # a time that this file system does not know
                    os.utime(temporary, ns=(mtime_ns, mtime_ns))
            _require_new(path, target, force)
            temporary.replace(target)
            _sync_folder(target.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        _unfinished.discard(temporary)


def discard_unfinished() -> None:
    """Remove what :func:`writing` has not finished: for an end of the program that its blocks will not see."""
    for path in list(_unfinished):
        with suppress(OSError):
            path.unlink(missing_ok=True)


class _Output(io.FileIO):
    """A file, written without a buffer, that names itself when it cannot be written."""

    def __init__(self, path: Path, actual: Path, mode: int | None = None) -> None:
        self._path = path
        exclusive = mode is not None
        super().__init__(
            str(actual), "xb" if exclusive else "wb", opener=lambda name, flags: os.open(name, flags, mode or 0o666)
        )

    def write(self, data: Any, /) -> int:
        """All of ``data``, which a plain system call need not write."""
        view = memoryview(data).cast("B")
        start = 0
        with _saying(f"cannot write {self._path}"):
            while start < len(view):
                start += super().write(view[start:]) or 0
        return len(view)


class Input(io.RawIOBase):
    """An open file, or standard input, that counts what is read from it and names itself when it cannot be read.

    ``status`` is what the operating system knows of it; ``size`` its length in bytes, None where that is unknown.
    """

    def __init__(self, name: str, file: Any) -> None:
        self.label = "standard input" if name == "-" else name
        self.status = os.fstat(file.fileno())
        self.size = self.status.st_size if stat.S_ISREG(self.status.st_mode) else None
        self.count = 0
        self._file = file

    def readable(self) -> bool:
        """Yes."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes; nothing at the end."""
        with _saying(f"cannot read {self.label}"):
            data: bytes = self._file.read(size)
        self.count += len(data)
        return data

    def is_same_as(self, path: Path) -> bool:
        """Is this the file of that name?"""
        return path.exists() and os.path.samestat(self.status, path.stat())

    def has_changed(self) -> bool:
        """Has the file been written since it was opened?"""
        now = os.fstat(self._file.fileno())
        return (now.st_size, now.st_mtime_ns) != (self.status.st_size, self.status.st_mtime_ns)


@contextmanager
def reading(name: str) -> Iterator[Input]:
    """A file, or standard input for ``-``, to be read piece by piece."""
    if name == "-":
        if sys.stdin is None:
            raise BadInputError("cannot read standard input: it is closed")
        yield Input(name, sys.stdin.buffer)
        return
    with _saying(f"cannot read {name}"):
        file = Path(name).open("rb")  # noqa: SIM115  closed below: what reads it has errors of its own
    with file:
        yield Input(name, file)


@contextmanager
def _saying(what: str) -> Iterator[None]:
    """An error of the operating system as ours, ``what`` before it. A closed pipe is none."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise BadInputError(f"{what}: {reason(error)}") from None


def _require_new(path: Path, target: Path, force: bool) -> None:
    if not force and target.exists():
        raise BadInputError(f"{path} exists already; --force replaces it")


def _sync_folder(folder: Path) -> None:
    """Let the new name survive a power cut, where folders can be synchronised."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def reason(error: BaseException) -> str:
    """What the operating system says, in lower case and without the file's name."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return text[:1].lower() + text[1:]
