"""What is evaluated on: how much text each domain has, and its symbols on disk, mapped into memory where needed.

The data are read twice: once to count and to make a digest, by which everything on disk is keyed, and once to turn them
into symbols. Of a document only the sizes stay in memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from compgen import files
from compgen.datasets.documents import Document, Origin, documents
from compgen.errors import BadInputError
from compgen.interfaces import FloatArray, IntArray, Progress

#: Documents that are encoded together, in number and in bytes.
_TOGETHER, _TOGETHER_BYTES = 256, 1 << 20
_BUFFER_BYTES = 1 << 20


@dataclass
class Sizes:
    """Of the documents of a domain, in order: bytes, characters (Unicode code points; -1 if not UTF-8), words."""

    byte_counts: array[int] = field(default_factory=lambda: array("q"))
    character_counts: array[int] = field(default_factory=lambda: array("q"))
    word_counts: array[int] = field(default_factory=lambda: array("q"))

    def add(self, document: Document, text: str | None) -> None:
        """Count one document; ``text`` are its characters if it is text. Words are what stands between white space."""
        self.byte_counts.append(len(document.data))
        self.character_counts.append(-1 if text is None else len(text))
        self.word_counts.append(len((document.data if text is None else text).split()))

    @property
    def bytes(self) -> IntArray:
        """Bytes of each document, UTF-8 where it came as text."""
        return np.array(self.byte_counts, np.int64)

    @property
    def characters(self) -> IntArray | None:
        """Characters of each document; None if any is not UTF-8."""
        counts = np.array(self.character_counts, np.int64)
        return None if (counts < 0).any() else counts

    @property
    def words(self) -> IntArray:
        """Words of each document."""
        return np.array(self.word_counts, np.int64)


@dataclass
class Corpus:
    """Data that were counted: where they come from, sizes by domain, and the SHA-256 of all of it."""

    origins: list[Origin]
    options: dict[str, str | None]
    domains: dict[str, Sizes]
    sha256: str
    #: What is wrong with the first document that is not UTF-8.
    not_text: BadInputError | None

    @classmethod
    def survey(
        cls, names: Iterable[str | Path | Origin], progress: Progress | None = None, **options: str | None
    ) -> Corpus:
        """Read all documents once. Raises :class:`~compgen.errors.BadInputError` where there is no text at all."""
        origins = [name if isinstance(name, Origin) else Origin.parse(name) for name in names]
        if not origins:
            raise BadInputError("no data to evaluate on; name files or folders")
        made, digest, count = cls(origins, options, {}, "", None), hashlib.sha256(), 0
        for origin in origins:
            before = count
            for document in documents([origin], **options):
                digest.update(f"{document.domain}\0{len(document.data)}\0".encode() + document.data)
                made._count(document)
                count += len(document.data)
                if progress is not None:
                    progress(count, 0)
            if count == before:
                raise BadInputError(f"{origin.path} has no text: there is no document in it that is not empty")
        for name, sizes in made.domains.items():
            if not any(sizes.byte_counts):
                raise BadInputError(f"the domain {name!r} has no text: every document of it is empty; leave it out")
        made.sha256 = digest.hexdigest()
        return made

    def _count(self, document: Document) -> None:
        sizes = self.domains.setdefault(document.domain, Sizes())
        try:
            sizes.add(document, document.characters())
        except BadInputError as error:
            sizes.add(document, None)
            self.not_text = self.not_text or error

    def __iter__(self) -> Iterator[Document]:
        return documents(self.origins, **self.options)


class Encoded(NamedTuple):
    """A document as symbols, and what of it is none: bytes that are coded plainly, and the bits that place them."""

    symbols: npt.NDArray[np.integer[Any]]
    plain: bytes = b""
    place_bits: float = 0.0


class Encoder:
    """Turns documents into symbols; ``key`` names all that the symbols depend on."""

    key: str
    dtype: npt.DTypeLike

    def encode(self, batch: Sequence[Document]) -> list[Encoded]:
        """The symbols of some documents."""
        raise NotImplementedError


@dataclass
class Symbols:
    """The symbols of a domain on disk. Document i has ``symbols[offsets[i]:offsets[i + 1]]``, and likewise of plain."""

    symbols: npt.NDArray[np.integer[Any]]
    offsets: IntArray
    plain: npt.NDArray[np.uint8]
    plain_offsets: IntArray
    place_bits: FloatArray


class Store:
    """The symbols of a corpus in a folder: written once, under a temporary name until they are whole."""

    def __init__(self, folder: Path, corpus: Corpus, encoder: Encoder, progress: Progress | None = None) -> None:
        self.folder = folder
        self._names = list(corpus.domains)
        if not (folder / "whole").exists():
            unfinished = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
            try:
                self._write(unfinished, corpus, encoder, progress)
                shutil.rmtree(folder, ignore_errors=True)
                unfinished.rename(folder)
            except OSError as error:
                raise BadInputError(
                    f"cannot write {folder}: {files.reason(error)}; choose another work folder"
                ) from None
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)

    def __getitem__(self, domain: str) -> Symbols:
        stem = self._names.index(domain)
        numbers = np.load(self.folder / f"{stem}.offsets.npy")
        return Symbols(
            _mapped(self.folder / f"{stem}.symbols", json.loads((self.folder / "whole").read_text())["dtype"]),
            numbers[0],
            _mapped(self.folder / f"{stem}.plain", "uint8"),
            numbers[1],
            np.load(self.folder / f"{stem}.place.npy"),
        )

    def _write(self, folder: Path, corpus: Corpus, encoder: Encoder, progress: Progress | None) -> None:
        folder.mkdir(parents=True)
        dtype = np.dtype(encoder.dtype)
        writers = {name: _Writer(folder / str(i), dtype) for i, name in enumerate(self._names)}
        done, total = 0, sum(sum(sizes.byte_counts) for sizes in corpus.domains.values())
        for batch in _batches(corpus):
            for document, encoded in zip(batch, encoder.encode(batch), strict=True):
                if document.domain not in writers:
                    raise BadInputError(f"{document.source} has changed while it was read; begin again")
                writers[document.domain].add(encoded)
                done += len(document.data)
            if progress is not None:
                progress(done, total)
        for name, writer in writers.items():
            if writer.close() != len(corpus.domains[name].byte_counts):
                raise BadInputError(f"the data of {name} have changed while they were read; begin again")
        (folder / "whole").write_text(json.dumps({"dtype": dtype.name}))


class _Writer:
    """Appends what documents consist of to the files of a domain; few files are open at any time."""

    def __init__(self, stem: Path, dtype: np.dtype[Any]) -> None:
        self._stem, self._dtype = stem, dtype
        self._parts = {"symbols": bytearray(), "plain": bytearray()}
        self._offsets, self._place = (array("q", [0]), array("q", [0])), array("d")
        for part in self._parts:
            self._path(part).touch()

    def _path(self, part: str) -> Path:
        return self._stem.with_name(f"{self._stem.name}.{part}")

    def add(self, encoded: Encoded) -> None:
        self._parts["symbols"] += encoded.symbols.astype(self._dtype).tobytes()
        self._parts["plain"] += encoded.plain
        for offsets, count in zip(self._offsets, (len(encoded.symbols), len(encoded.plain)), strict=True):
            offsets.append(offsets[-1] + count)
        self._place.append(encoded.place_bits)
        if sum(map(len, self._parts.values())) > _BUFFER_BYTES:
            self._flush()

    def _flush(self) -> None:
        for part, data in self._parts.items():
            with self._path(part).open("ab") as file:
                file.write(data)
            data.clear()

    def close(self) -> int:
        """Write the rest; returns the number of documents."""
        self._flush()
        np.save(self._path("offsets.npy"), np.stack([np.array(offsets, np.int64) for offsets in self._offsets]))
        np.save(self._path("place.npy"), np.array(self._place, np.float64))
        return len(self._place)


def _batches(corpus: Corpus) -> Iterator[list[Document]]:
    batch, size = list[Document](), 0
    for document in corpus:
        batch.append(document)
        size += len(document.data)
        if len(batch) == _TOGETHER or size >= _TOGETHER_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _mapped(path: Path, dtype: str) -> npt.NDArray[Any]:
    if path.stat().st_size == 0:  # which cannot be mapped
        return np.empty(0, dtype)
    return np.memmap(path, dtype, mode="r")


class Partial:
    """Results of windows as they come, one line each, so that an interrupted run goes on where it was.

    A last line that was cut is left out. What is read back is what was written, to the last bit.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def read(self) -> Iterator[dict[str, Any]]:
        """The results so far, in the order in which they were written."""
        with suppress(FileNotFoundError), self._path.open("r+b") as file:
            whole = 0
            for line in file:
                if not line.endswith(b"\n"):
                    break
                try:
                    yield json.loads(line)
                except ValueError:
                    break
                whole += len(line)
            file.truncate(whole)

    def append(self, results: Iterable[dict[str, Any]]) -> None:
        """Write some; they are there even if this process is killed the moment after."""
        with self._path.open("ab") as file:
            file.write(b"".join(json.dumps(result).encode() + b"\n" for result in results))


def default_work() -> Path:
    """Where unfinished work lies unless a folder is named: in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "compgen" / "evaluations"


def digest(*parts: object) -> str:
    """A short name for what something depends on."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:32]
