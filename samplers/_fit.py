"""What samplers ask of the codec that they drive."""

from __future__ import annotations

from compgen.errors import UsageError
from compgen.interfaces import Predictor


def require_whole_rows(predictor: Predictor, length: int) -> None:
    """Raise :class:`~compgen.errors.UsageError` if a codec was told a width that does not divide the data's length."""
    width = getattr(getattr(predictor, "compressor", None), "width", None)
    if width is not None and length % width:
        raise UsageError(
            f"{predictor.spec} codes rows of {width} bytes; context and length make {length}, which is no multiple: "
            "change one of them, or leave the width out"
        )
