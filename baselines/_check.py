"""Checks that several codecs share; every message is one line that names the cause and the remedy."""

from __future__ import annotations

from compgen.errors import CorruptDataError, UsageError


def require_range(codec: str, parameter: str, value: int, low: int, high: int) -> None:
    """Raise :class:`~compgen.errors.UsageError` unless ``low <= value <= high``."""
    if not low <= value <= high:
        raise UsageError(f"{codec}: {parameter} must be from {low} to {high}, not {value}")


def require_choice(codec: str, parameter: str, value: object, choices: tuple[object, ...]) -> None:
    """Raise :class:`~compgen.errors.UsageError` unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise UsageError(f"{codec}: {parameter} must be one of {', '.join(map(str, choices))}, not {value}")


def corrupt(codec: str, what: object) -> CorruptDataError:
    """The error for data that does not decode; ``what`` says where it went wrong."""
    reason = " ".join(str(what).split()) or "cannot be decoded"
    return CorruptDataError(f"not a whole, undamaged {codec} file: {reason}; get a fresh copy, or compress it again")
