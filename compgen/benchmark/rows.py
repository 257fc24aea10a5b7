"""What all experiments share about their rows and the data they are of.

A row is a flat dictionary of JSON values with units in the names. It holds nothing that differs between two runs of
the same thing: no times, no paths of caches. Each has ``experiment``, ``status`` (``ok`` or ``failed``) and, where it
failed, ``error`` in one line, the numbers being None.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from compgen import datasets
from compgen.benchmark.subjects import Subject
from compgen.datasets import Dataset
from compgen.errors import UsageError
from compgen.version import __version__

Row = dict[str, Any]
#: What the paper's adjusted rates divide a model's size by: its data sets have 1 GB.
PAPER_BYTES = 10**9
#: Files that could not be used are listed up to so many.
_LISTED = 20
#: The paper stores a parameter in 16 bits.
BYTES_A_PARAMETER = 2


def opened(sets: str | Dataset | Iterable[str | Dataset], **settings: Any) -> list[Dataset]:
    """Data sets by name, path or as they are. ``settings`` are those of :func:`compgen.datasets.load`."""
    several = [sets] if isinstance(sets, str | Dataset) else list(sets)
    made = [datasets.load(one, **settings) if isinstance(one, str) else one for one in several]
    if not made:
        raise UsageError("there is nothing to measure on; name a data set, a file or a folder")
    names = [dataset.name for dataset in made]
    # Folders of one name are told apart by their paths.
    return [
        replace(dataset, name=dataset.spec) if names.count(dataset.name) > 1 and dataset.spec else dataset
        for dataset in made
    ]


def about_data(dataset: Dataset) -> Row:
    """The columns that say what the data are. Reads through them once."""
    return {
        "dataset": dataset.name,
        "modality": dataset.modality,
        "data_bytes": dataset.size_bytes,
        "data_sha256": dataset.sha256,
        "skipped_files": len(dataset.skipped),
        "skipped": [f"{path}: {reason}" for path, reason in dataset.skipped[:_LISTED]],
    }


def about_subject(subject: Subject) -> Row:
    """The columns that say what was measured."""
    return {
        "model": subject.asked,
        **subject.identity,
        "parameters": subject.parameters,
        "weights_bytes": subject.weights_bytes,
        "compgen": __version__,
    }


def trained_on(subject: Subject) -> list[str]:
    """The data that a model says it has learnt from; nothing where it does not say, or is no model."""
    data = getattr(subject.predictor, "card", {}).get("data", [])
    return [str(name) for name in ([data] if isinstance(data, str) else data)]


def about_training(subject: Subject, dataset: Dataset) -> Row:
    """The columns that say what a model has learnt from, and whether the data measured are among that by name.

    All prefixes of Wikipedia's dump (enwik8, enwik9) are one.
    """
    learnt, name = trained_on(subject), dataset.name.partition("[")[0].partition(":")[0]
    same = "enwik" if name in ("enwik8", "enwik9") else name
    return {"trained_on": learnt, "seen_in_training": any(Path(one).name.startswith(same) for one in learnt)}


def model_bytes(subject: Subject, charge: str) -> int:
    """What the adjusted rate adds for a model: ``parameters``, 2 bytes each as in the paper; ``files``, as stored."""
    if charge not in ("parameters", "files"):
        raise UsageError(f"charge must be parameters or files, not {charge!r}")
    return subject.weights_bytes if charge == "files" else BYTES_A_PARAMETER * subject.parameters


def percent(part: float, whole: float) -> float:
    """A ratio in percent, to 9 digits: more would only show in which order a computer adds."""
    return rounded(100.0 * part / whole)


def rounded(value: float) -> float:
    """To 9 significant digits."""
    return float(f"{value:.9g}")


def standard_error(values: Sequence[float]) -> float | None:
    """Of the mean of independent values; None for fewer than two."""
    n = len(values)
    if n < 2:
        return None
    mean = math.fsum(values) / n
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1) / n)


def batches(chunks: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    """Chunks, ``size`` at a time."""
    left = iter(chunks)
    while batch := list(islice(left, size)):
        yield batch


def digest(parts: Iterable[bytes]) -> str:
    """SHA-256 of bytes that follow each other."""
    return hashlib.sha256(b"".join(parts)).hexdigest()
