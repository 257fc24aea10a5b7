"""Results on disk, addressed by what they are results of: a run that was stopped, or a larger one, finds them again.

An entry's name is the SHA-256 of its key (the data's hash, codec, parameters, versions; as JSON with sorted keys), its
content the key, the value and the value's SHA-256. So an entry that is damaged, or half written, is noticed, and what
it was to hold is computed anew; nothing depends on when or in which order entries were written.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from compgen.errors import BadInputError
from compgen.files import reason

Key = Mapping[str, Any]


def default_folder() -> Path:
    """Where results are kept unless told otherwise: ``compgen/results`` in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "compgen" / "results"


class Store:
    """Entries in one or more folders: read from the first that has one, written to all.

    ``damaged`` counts entries that were found and could not be used.
    """

    def __init__(self, folders: Iterable[Path] = ()) -> None:
        self._folders = list(dict.fromkeys(folders))
        self.damaged = 0

    def get(self, key: Key) -> Any:
        """The value stored under a key, None if there is none."""
        name = _name(key)
        for folder in self._folders:
            path = folder / name
            try:
                content = path.read_bytes()
            except OSError:
                continue
            entry = _entry(content, key)
            if entry is not None:
                return entry["value"]
            self.damaged += 1
            with suppress(OSError):
                path.unlink()
        return None

    def put(self, key: Key, value: Any) -> None:
        """Store a value, which is JSON. Raises :class:`~compgen.errors.BadInputError` where that is not possible."""
        name = _name(key)
        text = json.dumps({"key": key, "sha256": _digest(value), "value": value}).encode()
        for folder in self._folders:
            _write(folder / name, text)


def _name(key: Key) -> Path:
    digest = _digest(key)
    return Path(digest[:2]) / f"{digest[2:]}.json"


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _entry(content: bytes, key: Key) -> dict[str, Any] | None:
    """What a file holds, if it is whole and of this key."""
    try:
        entry: dict[str, Any] = json.loads(content)
        whole = entry["key"] == key and entry["sha256"] == _digest(entry["value"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return entry if whole else None


def _write(path: Path, content: bytes) -> None:
    """All or nothing under ``path``, but not forced to the disk: what is lost in a power cut is computed again."""
    temporary = path.with_name(f".{secrets.token_hex(6)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise BadInputError(
            f"results cannot be kept in {path.parent.parent}: {reason(error)}; make room, or choose --cache DIR"
        ) from None
