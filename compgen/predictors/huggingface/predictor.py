"""``hf``: a causal language model with its tokenizer, as a coder of blocks and as a predictor of bytes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from compgen.errors import CompgenError, UsageError
from compgen.interfaces import BlockCoder, Done, FloatArray, Predictor, Progress, Session, Symbols, adding
from compgen.predictors import _covering
from compgen.predictors.huggingface import files

if TYPE_CHECKING:
    from compgen.predictors.huggingface.model import TokenModel, Window

#: A block is coded as one stream for each of these many bytes, and as MAX_STREAMS at most.
STREAM_BYTES, MAX_STREAMS = 1 << 14, 64
#: The context in tokens, unless told otherwise or the model's own limit is lower.
CONTEXT = 1024


@dataclass(frozen=True)
class HuggingFace(Predictor, BlockCoder):
    """A causal language model of the Hugging Face library; needs its files here, and the extra ``lm``.

    - ``model``: a folder that ``save_pretrained`` made, or the id of a model in the library's cache or on the hub.
    - ``dtype``: of the weights and the arithmetic; ``float64`` is for comparisons.
    - ``device``: ``cpu``, ``cuda`` or ``cuda:N``.
    - ``device_map``: ``auto``, ``balanced`` or ``sequential`` spread a model that is too large for one device over all,
      by the library ``accelerate`` (extra ``accelerate``); the memory of the computer counts as one.
    - ``context``: how many tokens back the model looks at most; 0 for 1024, or the model's limit if that is lower.
    - ``stride``: how many of them are forgotten at once when the context is full; 0 for three quarters. A smaller one
      means more context on average, and ``context - stride`` tokens read again for each ``stride`` tokens.
    - ``streams``: a block is coded as so many parts in step, which is faster and costs a cold start each; 0 takes one
      for each 16 KiB, 64 at most.
    - ``beam``: how many tokenisations of what was read are weighed to predict a byte; 0 for all, which is exact and
      for short strings only. Coding blocks does not need it.
    - ``threads``: of the processor, on which the last bits depend; 0 for PyTorch's own choice.
    """

    model: str = ""
    dtype: Literal["float32", "bfloat16", "float16", "float64"] = "float32"
    device: str = "cpu"
    context: int = 0
    stride: int = 0
    streams: int = 0
    beam: int = 8
    threads: int = 0
    device_map: Literal["", "auto", "balanced", "sequential"] = ""
    #: As ``threads``, settled where the predictor is made, so that worker processes compute as their parent does.
    _threads: int = dataclasses.field(init=False, repr=False, compare=False, default=0)

    name = "hf"

    def __post_init__(self) -> None:
        from compgen.predictors.huggingface import loading

        if not self.model:
            raise UsageError("hf needs a model: write hf:PATH_OR_ID")
        if self.dtype not in ("float32", "bfloat16", "float16", "float64"):
            raise UsageError(f"hf: dtype must be float32, bfloat16, float16 or float64, not {self.dtype!r}")
        if self.device_map and self.device != "cpu":
            raise UsageError("hf: give device or device_map, not both")
        for key, low, high in (
            ("context", 2, 1 << 24),
            ("stride", 1, 1 << 24),
            ("streams", 1, 4096),
            ("threads", 1, 1024),
        ):
            value = getattr(self, key)
            if value and not low <= value <= high:
                raise UsageError(f"hf: {key} must be from {low} to {high}, or 0 for the default, not {value}")
        if self.beam < 0:
            raise UsageError(f"hf: beam must be at least 1, or 0 for all tokenisations, not {self.beam}")
        loading.checked_device(self.device)
        object.__setattr__(self, "_threads", self.threads or loading.default_threads())

    @property
    def spec(self) -> str:
        """See :attr:`Predictor.spec`."""
        fields = [f for f in dataclasses.fields(self) if f.init and f.name != "model"]
        changed = [f"{f.name}={getattr(self, f.name)}" for f in fields if getattr(self, f.name) != f.default]
        return ",".join([f"{self.name}:{self.model}", *changed])

    @property
    def thread_count(self) -> int:
        """With how many threads of the processor it computes."""
        return self._threads

    @property
    def numerics(self) -> str:  # type: ignore[override]
        """See :attr:`Predictor.numerics`."""
        from compgen.predictors.huggingface import loading

        return loading.numerics(self.load(), self.dtype, self.device, self._threads, self.device_map)

    @property
    def weights_sha256(self) -> str:  # type: ignore[override]
        """Of the weights, the configuration and the tokenizer."""
        folder = files.folder_of(self.model)
        return files.digest(folder, files.stamp(folder))

    def session(self, contexts: Sequence[Symbols]) -> Session:
        """See :meth:`Predictor.session`: the next byte, summed over the ways to write the bytes before as tokens."""
        return _covering.ByteSession.after(self._coverings(), contexts)

    def code_lengths(
        self,
        streams: Sequence[Symbols],
        contexts: Sequence[Symbols] | None = None,
        progress: Progress | None = None,
    ) -> list[FloatArray]:
        """See :meth:`Predictor.code_lengths`: by bytes, as :meth:`session`; streams are read together."""
        contexts = [b""] * len(streams) if contexts is None else contexts
        return _covering.code_lengths(self._coverings(), streams, contexts, adding(progress, sum(map(len, streams))))

    def encode_block(self, data: bytes, done: Done | None = None) -> bytes:
        """See :meth:`BlockCoder.encode_block`."""
        from compgen.predictors.huggingface import coder, loading
        from compgen.predictors.huggingface.model import running

        model = self.load()
        with loading.quiet(), running(self._threads):
            return coder.encode(data, model, self._streams(len(data)), self._window(model), done)

    def decode_block(self, code: bytes, length: int, done: Done | None = None) -> bytes:
        """See :meth:`BlockCoder.decode_block`."""
        from compgen.predictors.huggingface import coder, loading
        from compgen.predictors.huggingface.model import running

        model = self.load()
        with loading.quiet(), running(self._threads):
            return coder.decode(code, length, model, self._streams(length), self._window(model), done)

    def _coverings(self) -> _covering.Coverings:
        from compgen.predictors.huggingface.bytewise import Reader

        model = self.load()
        return _covering.Coverings(Reader(model, self._window(model), self._threads), self.beam)

    def load(self) -> TokenModel:
        """The model and its tokenizer. The last two that were loaded are kept."""
        from compgen.predictors.huggingface import loading

        folder = files.folder_of(self.model)
        return loading.load(folder, files.stamp(folder), self.dtype, self.device, self._threads, self.device_map)

    def _streams(self, length: int) -> int:
        return self.streams or max(1, min(MAX_STREAMS, length // STREAM_BYTES))

    def _window(self, model: TokenModel) -> Window:
        from compgen.predictors.huggingface.model import Window

        limit = model.longest_context
        context = self.context or min(CONTEXT, limit or CONTEXT)
        if limit and context > limit:
            raise CompgenError(f"hf: context={context} is beyond the {limit} tokens that {self.model} can look back")
        stride = self.stride or max(1, 3 * context // 4)
        if stride >= context:
            raise UsageError(f"hf: stride must be below the context of {context} tokens, not {stride}")
        return Window(context, stride)
