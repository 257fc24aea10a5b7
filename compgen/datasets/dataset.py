"""What every data set is: bytes of one modality, served in chunks or whole, with what had to be skipped."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal, Protocol

from compgen.errors import BadInputError

Modality = Literal["text", "image", "audio", "random"]
#: The paper's: 2048 bytes a chunk, and as many chunks as enwik9 has.
CHUNK_BYTES, PAPER_CHUNKS = 2048, 488_281
#: Pixels a row of an image's tile; with chunks of 2048 bytes a tile has 32 rows.
TILE_WIDTH = 64
#: Called with a file that cannot be used, and why.
Skip = Callable[[str, str], None]


class Source(Protocol):
    """Where a data set's bytes come from. Frozen and picklable; it opens what it reads anew for each iteration."""

    #: May a chunk run from one piece into the next? If not, what is left of a piece after its last chunk is dropped.
    joined: ClassVar[bool]

    def pieces(self, chunk_bytes: int, skip: Skip) -> Iterator[bytes]:
        """The bytes, in pieces of bounded size that do not depend on time or machine."""


@dataclass(frozen=True)
class Dataset:
    """Bytes of one modality, the same on every machine. Nothing is read before it is asked for.

    :param name: a short label that says what the bytes are: ``enwik8[:3072000]`` where it is not the whole.
    :param modality: ``text``, ``image``, ``audio`` or ``random``.
    :param spec: the string that names it.
    :param description: one line on what it is and where it comes from.
    :param chunk_bytes: bytes a chunk.
    :param geometry: what a codec's fields of the same names want to know: ``width`` of images; ``bits``, ``samplerate``
        and ``byteorder`` of audio.
    :param limit_bytes: as many bytes are served at most; None: all.
    """

    name: str
    modality: Modality
    spec: str
    description: str
    source: Source
    chunk_bytes: int = CHUNK_BYTES
    geometry: Mapping[str, int | str] = field(default_factory=dict)
    limit_bytes: int | None = None

    def chunks(self) -> Iterator[bytes]:
        """Chunks of exactly ``chunk_bytes`` bytes, in order, as often as wanted, in bounded memory.

        What is left at the end is no chunk. Raises :class:`~compgen.errors.BadInputError` if there is no whole one.
        """
        count, rest = 0, b""
        for block in self.blocks():
            rest += block
            whole = len(rest) - len(rest) % self.chunk_bytes
            for start in range(0, whole, self.chunk_bytes):
                yield rest[start : start + self.chunk_bytes]
            count, rest = count + whole // self.chunk_bytes, rest[whole:]
        if not count:
            raise BadInputError(
                f"{self.name} has {len(rest):,} bytes, too few for a chunk of {self.chunk_bytes:,}; "
                "give more data or smaller chunks"
            )

    def blocks(self) -> Iterator[bytes]:
        """The bytes served, in blocks of any size: what the chunks are cut from, for rates of the whole.

        Images and sounds are the chunks joined; text also has what is left after the last chunk.

        Raises :class:`~compgen.errors.BadInputError` if there is nothing at all.
        """
        return self._served([])

    def read(self) -> bytes:
        """All bytes served at once."""
        return b"".join(self.blocks())

    @property
    def size_bytes(self) -> int:
        """How many bytes :meth:`blocks` serves. This and the next three read all of them, once."""
        return self._survey.size_bytes

    @property
    def chunk_count(self) -> int:
        """How many chunks :meth:`chunks` serves; 0 where it raises."""
        return self._survey.size_bytes // self.chunk_bytes

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes served, in hexadecimal: what results are to be keyed by."""
        return self._survey.sha256

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """Files that cannot be used and why, as far as they were looked at: (path, reason)."""
        return list(self._survey.skipped)

    @property
    def width(self) -> int | None:
        """Pixels a row of an image's chunks; None where there are none. Codecs go by ``geometry``."""
        return TILE_WIDTH if self.modality == "image" else None

    @property
    def samplerate(self) -> int | None:
        """Samples a second of audio, in Hz."""
        return self._number("samplerate")

    @property
    def bits(self) -> int | None:
        """Bits a sample of audio: 8, unsigned, or 16, signed little-endian."""
        return self._number("bits")

    def _number(self, key: str) -> int | None:
        value = self.geometry.get(key)
        return None if value is None else int(value)

    @cached_property
    def _survey(self) -> _Survey:
        digest, size_bytes, skipped = hashlib.sha256(), 0, list[tuple[str, str]]()
        for block in self._served(skipped):
            digest.update(block)
            size_bytes += len(block)
        return _Survey(size_bytes, digest.hexdigest(), tuple(skipped))

    def _served(self, skipped: list[tuple[str, str]]) -> Iterator[bytes]:
        left, served = self.limit_bytes, False
        unit = 1 if self.source.joined else self.chunk_bytes
        if left is None or left >= unit:
            for piece in self.source.pieces(self.chunk_bytes, lambda path, reason: skipped.append((path, reason))):
                length = len(piece) if left is None else min(len(piece), left)
                length -= length % unit
                if length:
                    served = True
                    yield piece[:length]
                if left is not None:
                    left -= length
                    if left < unit:
                        return
        if not served:
            raise BadInputError(self._nothing(skipped))

    def _nothing(self, skipped: list[tuple[str, str]]) -> str:
        if self.limit_bytes is not None and self.limit_bytes < self.chunk_bytes and not self.source.joined:
            return f"{self.name}: a limit of {self.limit_bytes:,} bytes leaves no chunk of {self.chunk_bytes:,}"
        if not skipped:
            return f"{self.name} has no {self.modality} in it: {self.description}"
        path, reason = skipped[0]
        files = "file" if len(skipped) == 1 else "files"
        return f"{self.name}: nothing in {len(skipped):,} {files} can be used; {path}: {reason}"


@dataclass(frozen=True)
class _Survey:
    """What one reading of a data set finds."""

    size_bytes: int
    sha256: str
    skipped: tuple[tuple[str, str], ...]
