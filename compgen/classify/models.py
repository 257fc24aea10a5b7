"""Classifiers as files: what a classifier learnt from, and how, from which it is made again. Nothing is unpickled.

A model file is a ZIP archive with two members: ``model.json`` (format, classifier, parameters, the label of each text
and its length) and ``texts`` (the bytes of all texts, one after the other). What was chosen in training is among the
parameters, so that making the classifier again repeats no choice.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from compgen import files
from compgen.classify.dictionaries import DictionaryClassifier
from compgen.classify.likelihood import LikelihoodClassifier
from compgen.classify.neighbours import CompressionKNN
from compgen.errors import BadInputError, CompgenError, CorruptDataError
from compgen.registry import file_parameters, parse_spec
from compgen.version import __version__

FORMAT = "compgen classifier 1"
CLASSIFIERS: dict[str, Any] = {
    "knn": CompressionKNN,
    "likelihood": LikelihoodClassifier,
    "dictionary": DictionaryClassifier,
}
#: Larger model files are not read, and not more of their members is unpacked.
MOST_BYTES = 1 << 31


def chosen(classifier: Any) -> dict[str, Any]:
    """The parameters of a fitted classifier, with what it chose itself in place of "auto"."""
    parameters: dict[str, Any] = classifier.get_params()
    parameters.pop("n_jobs")
    for name in ("predictor", "background", "temperature"):
        if name in parameters:
            parameters[name] = getattr(classifier, name + "_")
    for name in ("compressor", "predictor"):
        if name in parameters:
            given = parameters[name]
            several = given if isinstance(given, list | tuple) else [given]
            specs = [getattr(one, "spec", one) for one in several]
            parameters[name] = specs if several is given else specs[0]
    return parameters


def save(path: Path, classifier: Any, texts: list[bytes], labels: list[str]) -> None:
    """Write the model file of a classifier that was fitted to these texts."""
    kind = next(name for name, made in CLASSIFIERS.items() if type(classifier) is made)
    head = {
        "format": FORMAT,
        "version": __version__,
        "classifier": kind,
        "parameters": chosen(classifier),
        "labels": labels,
        "lengths": [len(text) for text in texts],
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (("model.json", json.dumps(head).encode()), ("texts", b"".join(texts))):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)
    files.write(path, packed.getvalue())


def load(path: Path, n_jobs: int | None = None) -> Any:
    """The classifier of a model file, fitted.

    Raises :class:`~compgen.errors.CorruptDataError` for what is none. What the file names is a spec of compgen's or of
    an installed plug-in, and no file.
    """
    head, texts = _read(path)
    try:
        made = CLASSIFIERS[head["classifier"]]
        parameters, labels, lengths = dict(head["parameters"]), list(head["labels"]), list(head["lengths"])
        ends = np.cumsum(lengths, dtype=np.int64)
        if len(labels) != len(lengths) or min(lengths) < 1 or ends[-1] != len(texts):
            raise ValueError("labels and texts do not match")
        _require_no_files(parameters)
        classifier = made(**parameters, n_jobs=n_jobs)
        whole = [texts[end - length : end] for end, length in zip(ends.tolist(), lengths, strict=True)]
        return classifier.fit(whole, np.array(labels, dtype=object).astype(str))
    except CompgenError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise CorruptDataError(f"{path} is no sound model of compgen classify: {error}") from None


def _read(path: Path) -> tuple[dict[str, Any], bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {info.filename: info.file_size for info in archive.infolist()}
            if set(sizes) != {"model.json", "texts"} or sum(sizes.values()) > MOST_BYTES:
                raise CorruptDataError(f"{path} is no model of compgen classify")
            head, texts = json.loads(archive.read("model.json")), archive.read("texts")
    except OSError as error:
        raise BadInputError(f"cannot read {path}: {files.reason(error)}") from None
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, RecursionError, NotImplementedError, RuntimeError):
        raise CorruptDataError(f"{path} is damaged or no model of compgen classify") from None
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        written = head.get("format") if isinstance(head, dict) else None
        raise CorruptDataError(f"{path} is of the format {written!r}; this version reads {FORMAT!r}")
    return head, texts


def _require_no_files(parameters: dict[str, Any]) -> None:
    """A file from somebody else must not make us open others."""
    for key in ("compressor", "predictor"):
        if key not in parameters:
            continue
        given = parameters[key]
        pending = [parse_spec(str(one)) for one in (given if isinstance(given, list) else [given])]
        while pending:
            spec = pending.pop()
            pending += spec.parts
            if spec.name == "hf" or (file_parameters(spec.name) and (spec.values or spec.options)):
                raise CorruptDataError(
                    f"the model uses {str(spec)!r}, which may read a file; train it again where that file is"
                )
