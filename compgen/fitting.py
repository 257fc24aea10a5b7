"""Telling a codec or predictor the geometry of the data it is about to see: width, bits, byte order."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from compgen.interfaces import Compressor, Predictor

_T = TypeVar("_T", Compressor, Predictor)


def fit_compressor(codec: Compressor, **geometry: Any) -> Compressor:
    """The codec with its fields (``width``, ``bits``, ...) set to ``geometry``.

    Only fields that it has, and only those still at their default: what the user wrote in the spec stays.
    """
    return _changed(codec, geometry)


def fit_predictor(predictor: Predictor, **geometry: Any) -> Predictor:
    """The same for a predictor, the codec it is made of, or its parts. Everything else passes through."""
    if not dataclasses.is_dataclass(predictor):
        return predictor
    parts = getattr(predictor, "parts", None)
    if isinstance(parts, tuple):
        return dataclasses.replace(predictor, parts=tuple(fit_predictor(part, **geometry) for part in parts))
    codec = getattr(predictor, "compressor", None)
    if isinstance(codec, Compressor):
        return dataclasses.replace(predictor, compressor=_changed(codec, geometry))
    return _changed(predictor, geometry) if "mode" in geometry else predictor


def _changed(thing: _T, geometry: dict[str, Any]) -> _T:
    if not dataclasses.is_dataclass(thing):
        return thing
    changes = {
        field.name: geometry[field.name]
        for field in dataclasses.fields(thing)
        if field.init and field.name in geometry and getattr(thing, field.name) == field.default
    }
    return dataclasses.replace(thing, **changes) if changes else thing
