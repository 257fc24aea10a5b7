"""Data that ships with the package."""

from __future__ import annotations

from importlib.resources import files


def default_context() -> bytes:
    """About 2 KB of English on compression and prediction, ASCII: something to continue where nothing else is given.

    It ends with a sentence, without the file's last line end, which would have a sampler go on with blank lines.
    """
    return files("compgen.datasets").joinpath("context.txt").read_bytes().rstrip()
