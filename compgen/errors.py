"""Errors that a user can cause. Each message is one line that names the cause and the remedy."""

from __future__ import annotations


class CompgenError(Exception):
    """Base of every expected failure. The command line prints its message and exits with ``exit_code``."""

    exit_code = 1


class BadInputError(CompgenError):
    """The data cannot be used: empty, unreadable, too short, or of the wrong kind."""


class CorruptDataError(CompgenError):
    """Compressed data does not decode: damaged, truncated, or not of this format."""


class UsageError(CompgenError):
    """The request makes no sense whatever the data: an unknown name, a parameter out of range."""

    exit_code = 2


class MissingExtraError(CompgenError):
    """An optional dependency is needed and absent."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional package: install it with  pip install 'compgen[{extra}]'")
