"""Telling a codec the geometry of the data it is about to predict."""

from __future__ import annotations

import dataclasses
from typing import Any

from compgen.errors import UsageError
from compgen.interfaces import Compressor, Predictor


def fit(predictor: Predictor, **geometry: Any) -> Predictor:
    """The predictor with its codec's fields (``width``, ``bits``, ...) set to ``geometry``.

    Only for compressors used as predictors, alone or as ``parts`` of another predictor; only fields that the codec has,
    and only those still at their default: what the user wrote in the spec stays. Everything else passes through.
    """
    if not dataclasses.is_dataclass(predictor):
        return predictor
    parts = getattr(predictor, "parts", None)
    if isinstance(parts, tuple):
        return dataclasses.replace(predictor, parts=tuple(fit(part, **geometry) for part in parts))
    codec = getattr(predictor, "compressor", None)
    if not isinstance(codec, Compressor) or not dataclasses.is_dataclass(codec):
        return predictor
    changes = {
        field.name: geometry[field.name]
        for field in dataclasses.fields(codec)
        if field.init and field.name in geometry and getattr(codec, field.name) == field.default
    }
    return dataclasses.replace(predictor, compressor=dataclasses.replace(codec, **changes)) if changes else predictor


def require_whole_rows(predictor: Predictor, length: int) -> None:
    """Raise :class:`~compgen.errors.UsageError` if a codec was told a width that does not divide the data's length."""
    width = getattr(getattr(predictor, "compressor", None), "width", None)
    if width is not None and length % width:
        raise UsageError(
            f"{predictor.spec} codes rows of {width} bytes; context and length make {length}, which is no multiple: "
            "change one of them, or leave the width out"
        )
