"""The order in which the files of a set of images or recordings are served."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path

from compgen.datasets.reading import files_below


def in_turn(paths: Iterable[Path]) -> Iterator[Path]:
    """The files below ``paths``: the first of each folder, in order of the folders, then the second of each, and so on.

    Within a folder in order of names; so a flat folder is served in that order. Folders are classes in ImageNet and
    chapters in LibriSpeech, and the first few thousand chunks shall not all come from one.
    """
    folders: dict[Path, list[Path]] = {}
    for file in files_below(paths):
        folders.setdefault(file.parent, []).append(file)
    for turn in zip_longest(*folders.values()):
        yield from (file for file in turn if file is not None)
