"""Text and plain bytes: the end of a file is the context, and what might follow is sampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from compgen.errors import BadInputError, UsageError
from compgen.interfaces import Decoding, Predictor, Progress, Rendering, Sampler, byte_array
from compgen.sampling import check_samples, continue_streams
from samplers._fit import require_whole_rows

#: The paper continues 1948 bytes of text by 100, a chunk of 2048 in all.
PAPER_CONTEXT = 1948


@dataclass(frozen=True)
class BytesSampler(Sampler):
    """Continues the last ``context`` bytes (default: 1948, or all if there are fewer) of any file by ``length`` bytes.

    The rendering is the context followed by the continuation.
    """

    name: ClassVar[str] = "bytes"
    context: int | None = None
    length: int = 100

    def __post_init__(self) -> None:
        if self.context is not None and self.context < 1:
            raise UsageError(f"context must be at least 1 byte, not {self.context}")
        if self.length < 1:
            raise UsageError(f"length must be at least 1 byte, not {self.length}")

    def sample(
        self,
        predictor: Predictor,
        source: bytes,
        *,
        decoding: Decoding,
        samples: int = 1,
        progress: Progress | None = None,
    ) -> list[Rendering]:
        """See :meth:`Sampler.sample`."""
        context = self._context(source)
        check_samples(samples)
        require_whole_rows(predictor, len(context) + self.length)
        streams = continue_streams(predictor, [context] * samples, self.length, decoding, progress)
        return [self._render(context, byte_array(stream).tobytes()) for stream in streams]

    def _context(self, source: bytes) -> bytes:
        if not source:
            raise BadInputError("there is nothing to continue: the input is empty; give some text or bytes as context")
        if self.context is not None and self.context > len(source):
            raise BadInputError(
                f"the input has {len(source)} bytes, fewer than the context of {self.context}; lower context"
            )
        return source[-(self.context or PAPER_CONTEXT) :]

    def _render(self, context: bytes, sampled: bytes) -> Rendering:
        return Rendering(context + sampled, ".bin", sampled)


@dataclass(frozen=True)
class TextSampler(BytesSampler):
    """As ``bytes``, rendered as UTF-8 text: what is no valid UTF-8 shows as U+FFFD, and stays as it is in ``sampled``.

    A context that would start inside a character starts at the next one, so up to three bytes later.
    """

    name: ClassVar[str] = "text"

    def _context(self, source: bytes) -> bytes:
        context = super()._context(source)
        if len(context) == len(source):
            return context
        start = 0
        while start < min(3, len(context) - 1) and context[start] & 0xC0 == 0x80:
            start += 1
        return context[start:]

    def _render(self, context: bytes, sampled: bytes) -> Rendering:
        return Rendering((context + sampled).decode("utf-8", "replace").encode("utf-8"), ".txt", sampled)
