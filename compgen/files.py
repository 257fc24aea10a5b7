"""Reading a whole input and writing a whole output, so that no half-written file ever bears the final name."""

from __future__ import annotations

import os
import re
import secrets
import sys
from pathlib import Path

from compgen.errors import BadInputError, UsageError

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
    """Write a file under a temporary name beside its own, then rename it: under ``path`` there is all or nothing."""
    target = path.resolve()  # through symbolic links, which renaming would replace
    try:
        if target.exists() and not target.is_file():  # a device or a named pipe cannot be renamed onto
            target.write_bytes(data)
            return
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
        try:
            temporary.write_bytes(data)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise BadInputError(f"cannot write {path}: {reason(error)}") from None


def reason(error: BaseException) -> str:
    """What the operating system says, in lower case and without the file's name."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return text[:1].lower() + text[1:]
