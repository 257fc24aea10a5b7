"""enwik8 and enwik9: the first 10**8 and 10**9 bytes of the English Wikipedia of 3 March 2006 as XML.

Both are beginnings of the same stream, so a file with the first bytes of one serves for the other as far as it goes.
Sizes and checksums: https://mattmahoney.net/dc/textdata.html.
"""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from compgen.datasets.reading import PACKED, open_file
from compgen.errors import BadInputError
from compgen.files import reason, writing

if TYPE_CHECKING:
    from compgen.interfaces import Progress

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Beginning:
    """The first ``size_bytes`` bytes of the stream, and the archive of ``zip_bytes`` bytes that holds them."""

    url: str
    size_bytes: int
    sha256: str
    zip_bytes: int


KNOWN = {
    "enwik8": Beginning(
        "https://mattmahoney.net/dc/enwik8.zip",
        100_000_000,
        "2b49720ec4d78c3c9fabaee6e4179a5e997302b3a70029f30f2d582218c024a8",
        36_445_475,
    ),
    "enwik9": Beginning(
        "https://mattmahoney.net/dc/enwik9.zip",
        1_000_000_000,
        "159b85351e5f76e60cbe32e04c677847a9ecba3adc79addab6f4c6c7aa3744bc",
        322_592_222,
    ),
}
#: The first of its bytes by which a shorter beginning is known for one, and their checksum.
SAMPLE_BYTES, SAMPLE_SHA256 = 1_000_000, "369b688978f649681136198fb96db14c1616756260c55fb4b65e9bc049552cad"


@dataclass(frozen=True)
class Found:
    """A file that holds the first ``size_bytes`` bytes."""

    path: Path
    size_bytes: int


def find(
    name: str,
    *,
    path: Path | None = None,
    data_folder: Path | None = None,
    prefix: bool = True,
    progress: Progress | None = None,
) -> Found:
    """A checked file with the bytes of ``name`` (``enwik8``, ``enwik9``), or with the first of them if that may be.

    Looked for at ``path`` and nowhere else if that is given; else in the working folder, the data folder and the
    folder of fetched files; else, with ``prefix``, for the longest beginning in the data folder; else it is fetched.

    Raises :class:`~compgen.errors.BadInputError`: files of another content are named and not used.
    """
    from compgen.datasets import download  # here, as Python's HTTP client takes a while to import

    size_bytes = KNOWN[name].size_bytes
    if path is not None:
        found = _checked(name, path, None)
        if found.size_bytes < size_bytes and not prefix:
            raise BadInputError(f"{path} has only the first {found.size_bytes:,} bytes of {name}; give the whole")
        return found
    claims = list(_claims(data_folder))
    for claim in sorted(claims, key=lambda claim: claim.size_bytes):
        if claim.size_bytes >= size_bytes:
            return _checked(name, claim.path, claim.size_bytes)
    cached = download.cache_folder() / name
    if cached.is_file() and cached.stat().st_size == size_bytes:
        return Found(cached, size_bytes)  # it was checked before it got that name
    if claims and prefix:
        longest = max(claims, key=lambda claim: claim.size_bytes)
        return _checked(name, longest.path, longest.size_bytes)
    return _fetched(name, cached, progress)


def _claims(data_folder: Path | None) -> Iterator[Found]:
    """Files whose names say what they are: ``enwik8``, ``enwik8.xz``, ``enwik8_0_3002913.xz``."""
    packed = "|".join(map(re.escape, PACKED))
    pattern = re.compile(rf"({'|'.join(KNOWN)})(?:_0_(\d+))?(?:{packed})?")
    for folder in (Path(), *([data_folder, data_folder / "text"] if data_folder else [])):
        for path in sorted(folder.glob("enwik*")):
            if (match := pattern.fullmatch(path.name)) and path.is_file():
                yield Found(path, int(match[2]) if match[2] else KNOWN[match[1]].size_bytes)


def _checked(name: str, path: Path, size_bytes: int | None) -> Found:
    """The file, if it holds so many of the first bytes, or any number of them where none is claimed."""
    status = _status(path)
    has_bytes, sample, whole = _digests(path, status.st_size, status.st_mtime_ns)
    known = next((known for known in KNOWN.values() if known.size_bytes == has_bytes), None)
    remedy = f"fetch it again from {KNOWN[name].url}"
    if size_bytes is not None and has_bytes != size_bytes:
        raise BadInputError(f"{path} has {has_bytes:,} bytes, not {size_bytes:,}; {remedy}")
    if has_bytes < SAMPLE_BYTES:
        raise BadInputError(f"{path} has {has_bytes:,} bytes, too few to tell that they are those of {name}; {remedy}")
    if known and whole != known.sha256:
        raise BadInputError(f"{path} is not {name}: its SHA-256 is {whole}, not {known.sha256}; {remedy}")
    if sample != SAMPLE_SHA256:
        raise BadInputError(f"{path} does not begin as {name} does; {remedy}")
    return Found(path, has_bytes)


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except (OSError, ValueError) as error:
        raise BadInputError(f"{path}: {reason(error)}") from None


@lru_cache(maxsize=64)
def _digests(path: Path, packed_bytes: int, mtime_ns: int) -> tuple[int, str, str]:
    """Length, and SHA-256 of the first :data:`SAMPLE_BYTES` bytes and of all. Read once, unless the file changes."""
    with open_file(path) as file:
        start = file.read(SAMPLE_BYTES)
        whole, size_bytes = hashlib.sha256(start), len(start)
        while block := file.read(_BLOCK_BYTES):
            whole.update(block)
            size_bytes += len(block)
    return size_bytes, hashlib.sha256(start).hexdigest(), whole.hexdigest()


def _fetched(name: str, path: Path, progress: Progress | None) -> Found:
    """The file ``path``, fetched, unpacked and checked."""
    from compgen.datasets import download

    known = KNOWN[name]
    part = path.with_name(f"{name}.zip.part")
    have = part.stat().st_size if part.is_file() else 0
    download.require_space(path.parent, max(known.zip_bytes - have, 0) + known.size_bytes, name)
    try:
        download.fetch(known.url, part, progress)
    except BadInputError as error:
        raise BadInputError(
            f"{name} is not here, and {error}; or fetch it by other means and give {name}:path=FILE, or put it into "
            "the folder that COMPGEN_DATA names"
        ) from None
    try:
        _unpack(part, name, known, path)
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, _OtherContent) as error:
        part.unlink()
        raise BadInputError(
            f"{known.url} is damaged, or is not what it was ({reason(error)}); it was removed, try again"
        ) from None
    part.unlink()
    return Found(path, known.size_bytes)


class _OtherContent(Exception):
    """Not the bytes that are wanted."""


def _unpack(archive: Path, member: str, known: Beginning, path: Path) -> None:
    """Write a member of an archive to ``path`` if it is what is known of it, else leave nothing."""
    with zipfile.ZipFile(archive) as unzipped, unzipped.open(member) as content, writing(path, force=True) as file:
        digest, left = hashlib.sha256(), known.size_bytes
        while block := content.read(min(_BLOCK_BYTES, left + 1)):
            digest.update(block)
            left -= len(block)
            if left < 0:
                raise _OtherContent(f"it holds more than {known.size_bytes:,} bytes")
            file.write(block)
        if digest.hexdigest() != known.sha256:
            raise _OtherContent(f"the SHA-256 of its content is {digest.hexdigest()}, not {known.sha256}")
