"""Fetching a file over HTTP so that an interruption costs nothing: what has come is kept, and the rest asked for."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compgen.errors import BadInputError
from compgen.files import reason

if TYPE_CHECKING:
    from compgen.interfaces import Progress

#: Where fetched files are kept, within the user's folder for such things.
_CACHE = "compgen"
_BLOCK_BYTES = 1 << 18
_TIMEOUT_SECONDS = 30.0
#: Pauses before a line that broke is tried again; if it brings nothing after them all, it is given up.
_PAUSES_SECONDS = (0.5, 2.0, 8.0)


def cache_folder() -> Path:
    """The folder in which fetched files are kept: ``compgen`` in XDG_CACHE_HOME, or in ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / _CACHE


def require_space(folder: Path, size_bytes: int, what: str) -> None:
    """Raise :class:`~compgen.errors.BadInputError` unless so many bytes are free where ``folder`` is, or will be."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < size_bytes:
        raise BadInputError(
            f"{what} needs {size_bytes / 1e6:,.0f} MB of disk and {folder} has {free / 1e6:,.0f} MB free; "
            "make room, or set XDG_CACHE_HOME to a folder on another disk"
        )


def fetch(url: str, part: Path, progress: Progress | None = None) -> None:
    """Fetch ``url`` into the file ``part``, whose bytes, if there are any, are taken for the first of what is fetched.

    A line that breaks is tried again, without end as long as it brings something and a few times when it no longer
    does; one that brings nothing at all is given up at once. What has come stays in ``part``, whatever happens.
    ``progress`` is told the bytes there are, and the bytes in all.

    Raises :class:`~compgen.errors.BadInputError`.
    """
    with _alone(part, url) as file:
        pauses = iter(_PAUSES_SECONDS)
        first = file.seek(0, os.SEEK_END)
        while True:
            before = file.seek(0, os.SEEK_END)
            try:
                _fetch_rest(url, file, before, progress)
                return
            except urllib.error.HTTPError as error:
                raise BadInputError(f"{url} answers {error.code} {error.reason}") from None
            except _DiskError as error:
                raise BadInputError(f"cannot write {part}: {error}; what has come is kept") from None
            except (OSError, http.client.HTTPException) as error:
                kept = file.seek(0, os.SEEK_END)
                if kept > before:
                    pauses = iter(_PAUSES_SECONDS)
                pause = next(pauses, None) if kept > first else None
                if pause is None:
                    more = f"; {kept:,} bytes are kept, and the next try goes on from there" if kept else ""
                    raise BadInputError(f"{url} cannot be fetched ({reason(_cause(error))}){more}") from None
                time.sleep(pause)


class _DiskError(Exception):
    """The file cannot be written."""


def _cause(error: BaseException) -> BaseException:
    """What urllib has wrapped."""
    inner = getattr(error, "reason", None)
    return inner if isinstance(inner, BaseException) else error


def _fetch_rest(url: str, file: Any, have: int, progress: Progress | None) -> None:
    """One request for what comes after the first ``have`` bytes; those are dropped where the server cannot go on."""
    headers = {"User-Agent": "compgen", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not have:
            raise
        if error.headers.get("Content-Range") != f"bytes */{have}":  # else all has come already
            file.truncate(0)
            _fetch_rest(url, file, 0, progress)
        return
    with response:
        if have and not _continues(response, have):
            file.truncate(0)
            have = 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length and length.isdigit() else 0
        _append(response, file, have, total, progress)


def _continues(response: Any, have: int) -> bool:
    """Does the answer begin after the first ``have`` bytes?"""
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range") or "")
    return response.status == http.client.PARTIAL_CONTENT and found is not None and int(found[1]) == have


def _append(response: Any, file: Any, have: int, total: int, progress: Progress | None) -> None:
    while block := response.read(_BLOCK_BYTES):
        try:
            file.write(block)
        except OSError as error:
            raise _DiskError(reason(error)) from None
        have += len(block)
        if progress is not None:
            progress(have, total)
    if have < total:  # which http.client does not say
        raise ConnectionError(f"the line broke after {have:,} of {total:,} bytes")


@contextmanager
def _alone(part: Path, url: str) -> Iterator[Any]:
    """The file, open for appending without a buffer, and to no other process that fetches it."""
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        file = part.open("ab", buffering=0)
    except OSError as error:
        raise BadInputError(f"cannot write {part}: {reason(error)}") from None
    with file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # Windows: the checksum will tell if two have written
            pass
        except OSError:
            raise BadInputError(f"another process is fetching {url}; wait until it is done") from None
        yield file
