"""A corpus as tokens on disk: shards that are mapped into memory, and a manifest that says what they are.

    FOLDER/encoder.json               the encoder, as :meth:`Encoder.save` writes it
           shard-00000.tokens         the tokens of its documents, one after the other, uint8 or uint16, little-endian
           shard-00000.documents      int64 little-endian ``(documents, 2)``: tokens and bytes of each
           shard-00000.json           hashes of both, and of the bytes they stand for; written last
           manifest.json              all shards, and what they were made from; written when all are there

Preparing can be stopped at any time, even by SIGKILL: what bears its final name is whole, and the same call goes on
with the shards that are not there yet. Shards are made on the workers that ``compgen.jobs`` sets.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from compgen import files, memory, parallel
from compgen.datasets.documents import documents as read_documents
from compgen.errors import BadInputError, CorruptDataError, UsageError
from compgen.interfaces import Done, IntArray
from compgen.neuraltext.encoders import Encoder, from_dict
from compgen.neuraltext.windows import Tokens

FORMAT, VERSION = "compgen neuraltext shards", 1
#: Documents longer than this are cut, and a shard is made of about so many bytes.
DOCUMENT_BYTES, SHARD_BYTES = 10_240, 1 << 22


def pieces(
    names: Iterable[str], document_bytes: int = DOCUMENT_BYTES, skip: int = 0, limit: int | None = None
) -> Iterator[bytes]:
    """The documents that names mean (see :mod:`compgen.datasets.documents`), cut to ``document_bytes``.

    Of all bytes the first ``skip`` are left out, and then ``limit`` are taken.
    """
    if document_bytes < 1:
        raise UsageError(f"documents must have at least 1 byte, not {document_bytes}")
    place, stop = 0, float("inf") if limit is None else skip + limit
    for document in read_documents(names):
        data = document.data[max(skip - place, 0) : int(min(len(document.data), max(stop - place, 0)))]
        place += len(document.data)
        for start in range(0, len(data), document_bytes):
            yield data[start : start + document_bytes]
        if place >= stop:
            return


def prepare(
    encoder: Encoder,
    documents: Iterable[bytes],
    folder: Path,
    *,
    shard_bytes: int = SHARD_BYTES,
    about: dict[str, Any] | None = None,
    done: Done | None = None,
) -> Shards:
    """Encode documents into ``folder``, going on where an earlier call was stopped. ``about`` goes into the manifest.

    Raises :class:`~compgen.errors.BadInputError` for a folder that was made with another encoder or of other data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    described = json.dumps(encoder.as_dict())
    _claim(encoder, folder)
    entries: list[dict[str, Any]] = []
    groups = enumerate(_grouped(documents, shard_bytes))
    while batch := list(islice(groups, 2 * parallel.n_jobs())):
        missing = [item for item in batch if _entry(folder, *item) is None]
        parallel.run(_make_shard, [(described, folder, number, group) for number, group in missing])
        for number, group in batch:
            entry = _entry(folder, number, group)
            assert entry is not None
            entries.append(entry)
            if done is not None:
                done(entry["bytes"])
    if not entries:
        raise BadInputError("there is nothing to encode: the data are empty")
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "encoder_sha256": hashlib.sha256(described.encode()).hexdigest(),
        "model": encoder.as_dict().get("model"),
        "vocab_size": encoder.vocab_size,
        "token_type": encoder.token_type.str,
        **{key: sum(entry[key] for entry in entries) for key in ("tokens", "bytes", "documents")},
        **(about or {}),
        "shards": entries,
    }
    _write_json(folder / "manifest.json", manifest)
    return Shards(folder)


def _claim(encoder: Encoder, folder: Path) -> None:
    """Write the encoder, or see that it is the one that is there."""
    path = folder / "encoder.json"
    if not path.exists():
        encoder.save(path)
    elif json.loads(path.read_bytes()) != encoder.as_dict():
        raise BadInputError(f"{folder} holds tokens of another encoder (encoder.json); choose another folder")


def _grouped(documents: Iterable[bytes], shard_bytes: int) -> Iterator[list[bytes]]:
    """Documents in groups of at least ``shard_bytes``, but for the last."""
    group, size = list[bytes](), 0
    for document in documents:
        group.append(document)
        size += len(document)
        if size >= shard_bytes:
            yield group
            group, size = [], 0
    if group:
        yield group


def _entry(folder: Path, number: int, group: Sequence[bytes]) -> dict[str, Any] | None:
    """What is known of a shard that is there, None if it is not."""
    path = folder / f"shard-{number:05}.json"
    if not path.exists():
        return None
    entry: dict[str, Any] = json.loads(path.read_bytes())
    if entry["source_sha256"] != _hash_of(group):
        raise BadInputError(f"{path} was made of other data; choose another folder")
    return entry


@lru_cache(maxsize=2)
def _encoder(described: str) -> Encoder:
    return from_dict(json.loads(described))


def _make_shard(described: str, folder: Path, number: int, group: Sequence[bytes]) -> None:
    memory.keep_freed()
    encoder = _encoder(described)
    tokens = encoder.encode(group)
    name = f"shard-{number:05}"
    data = b"".join(ids.astype(encoder.token_type).tobytes() for ids in tokens)
    index = np.array([[len(ids), len(d)] for ids, d in zip(tokens, group, strict=True)], "<i8").tobytes()
    files.write(folder / f"{name}.tokens", data)
    files.write(folder / f"{name}.documents", index)
    entry = {
        "name": name,
        "tokens": sum(map(len, tokens)),
        "bytes": sum(map(len, group)),
        "documents": len(group),
        "tokens_sha256": hashlib.sha256(data).hexdigest(),
        "documents_sha256": hashlib.sha256(index).hexdigest(),
        "source_sha256": _hash_of(group),
    }
    _write_json(folder / f"{name}.json", entry)


def _hash_of(group: Sequence[bytes]) -> str:
    """Of the documents and where they are cut."""
    total = hashlib.sha256()
    for document in group:
        total.update(len(document).to_bytes(8, "little"))
        total.update(document)
    return total.hexdigest()


def _write_json(path: Path, value: Any) -> None:
    files.write(path, (json.dumps(value, indent=1) + "\n").encode())


@dataclass(frozen=True)
class Shards:
    """A folder that :func:`prepare` has finished."""

    folder: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))
        if self.manifest.get("format") != FORMAT or self.manifest.get("version") != VERSION:
            raise BadInputError(f"{self.folder}/manifest.json is not of {FORMAT}, version {VERSION}")

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What is in the folder."""
        path = self.folder / "manifest.json"
        try:
            loaded = json.loads(path.read_bytes())
        except OSError as error:
            raise BadInputError(
                f"cannot read {path}: {files.reason(error)}; compgen neuraltext prepare makes it, and the same command "
                "goes on where it was stopped"
            ) from None
        except ValueError:
            raise BadInputError(f"{path} is damaged: it is not JSON") from None
        return loaded if isinstance(loaded, dict) else {}

    @cached_property
    def described(self) -> dict[str, Any]:
        """The encoder as JSON; :meth:`encoder` makes it."""
        described = json.loads((self.folder / "encoder.json").read_bytes())
        if hashlib.sha256(json.dumps(described).encode()).hexdigest() != self.manifest["encoder_sha256"]:
            raise BadInputError(f"{self.folder}/encoder.json is not the one that its tokens were made with")
        return dict(described)

    def encoder(self, model: Any = None) -> Encoder:
        """The encoder; ``model`` as in :meth:`Encoder.load`."""
        return from_dict(self.described, model, f"{self.folder}/encoder.json")

    @property
    def vocab_size(self) -> int:
        """Of the tokens."""
        return int(self.manifest["vocab_size"])

    @property
    def bytes_per_token(self) -> float:
        """Over all documents."""
        return float(self.manifest["bytes"] / max(self.manifest["tokens"], 1))

    def shard(self, number: int) -> tuple[Tokens, IntArray]:
        """One shard: its tokens, mapped into memory, and tokens and bytes of its documents ``(documents, 2)``."""
        entry = self.manifest["shards"][number]
        dtype = np.dtype(self.manifest["token_type"])
        parts = []
        for suffix, kind, count in (("tokens", dtype, entry["tokens"]), ("documents", np.dtype("<i8"), 2)):
            path = self.folder / f"{entry['name']}.{suffix}"
            size = path.stat().st_size if path.exists() else -1
            expected = count * dtype.itemsize if suffix == "tokens" else entry["documents"] * 16
            if size != expected:
                raise CorruptDataError(f"{path} has {max(size, 0)} bytes and should have {expected}: cut or damaged")
            parts.append(np.memmap(path, kind, "r") if size else np.zeros(0, kind))
        return parts[0], np.asarray(parts[1]).reshape(-1, 2)

    def tokens(self) -> Tokens:
        """All tokens, one document after the other."""
        parts = [self.shard(number)[0] for number in range(len(self.manifest["shards"]))]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def documents(self) -> Iterator[tuple[Tokens, int]]:
        """Tokens of each document, and its bytes."""
        for number in range(len(self.manifest["shards"])):
            tokens, index = self.shard(number)
            ends = np.cumsum(index[:, 0])
            for (count, length), end in zip(index.tolist(), ends.tolist(), strict=True):
                yield tokens[end - count : end], length

    def verify(self) -> None:
        """Read everything and compare the hashes. Raises :class:`~compgen.errors.CorruptDataError`."""
        for entry in self.manifest["shards"]:
            for suffix in ("tokens", "documents"):
                path = self.folder / f"{entry['name']}.{suffix}"
                if hashlib.sha256(path.read_bytes()).hexdigest() != entry[f"{suffix}_sha256"]:
                    raise CorruptDataError(f"{path} is damaged: its SHA-256 is not that of the manifest")
