"""Loading a model and its tokenizer, and what their numbers depend on. Whatever goes wrong is one line."""

from __future__ import annotations

import contextlib
import inspect
import logging
import platform
import sys
import threading
import warnings
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from compgen.errors import CompgenError, MissingExtraError, UsageError

try:
    import tokenizers
    import torch
    import transformers
    from transformers.utils import logging as chatter
except ImportError:
    raise MissingExtraError("hf", "lm") from None

from compgen.predictors.huggingface.files import Stamp
from compgen.predictors.huggingface.model import TokenModel, home, running
from compgen.predictors.huggingface.vocabulary import Vocabulary

_DTYPES = {name: getattr(torch, name) for name in ("float32", "bfloat16", "float16", "float64")}


_quiet_lock, _quiet_until = threading.Lock(), contextlib.ExitStack()
_quiet_depth = 0


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what the libraries say to themselves: errors come as exceptions, all else is about other uses.

    It concerns the whole process, so the first thread to enter begins it and the last to leave ends it.
    """
    global _quiet_depth
    with _quiet_lock:
        if _quiet_depth == 0:
            _quiet_until.enter_context(_silence())
        _quiet_depth += 1
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_depth -= 1
            if _quiet_depth == 0:
                _quiet_until.close()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    verbosity, bars = chatter.get_verbosity(), chatter.is_progress_bar_enabled()
    chatter.set_verbosity(logging.CRITICAL)
    chatter.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        chatter.set_verbosity(verbosity)
        if bars:
            chatter.enable_progress_bar()


_load_lock = threading.Lock()


def load(folder: Path, stamp: Stamp, dtype: str, device: str, threads: int, device_map: str = "") -> TokenModel:
    """The model and tokenizer of a folder; ``stamp`` is what changes when its files do. The last two are kept."""
    with _load_lock:
        return _load(folder, stamp, dtype, device, threads, device_map)


@lru_cache(maxsize=2)
def _load(folder: Path, _stamp: Stamp, dtype: str, device: str, threads: int, device_map: str) -> TokenModel:
    device = checked_device(device)
    _require_accelerate(device_map)
    with quiet(), running(threads):
        tokenizer = _attempt(folder, "tokenizer", transformers.AutoTokenizer.from_pretrained)
        network, report = _attempt(
            folder,
            "model",
            transformers.AutoModelForCausalLM.from_pretrained,
            dtype=_DTYPES[dtype],
            output_loading_info=True,
            **({"device_map": device_map} if device_map else {}),
        )
        _require_whole(folder, report)
        network = (network if device_map else network.to(device)).eval()
        return _token_model(folder, network, tokenizer)


def _require_accelerate(device_map: str) -> None:
    if device_map:
        try:
            import accelerate  # noqa: F401  # which the library would miss in other words
        except ImportError:
            raise MissingExtraError(f"hf: device_map={device_map}", "accelerate") from None


def _attempt(folder: Path, what: str, read: Any, **options: Any) -> Any:
    try:
        return read(str(folder), local_files_only=True, trust_remote_code=False, **options)
    except Exception as error:  # whatever a library makes of files that are not as it expects
        if what == "model" and "Unrecognized configuration class" in str(error):
            raise CompgenError(f"hf: the model in {folder} has no causal language-model head") from None
        if "trust_remote_code" in str(error):
            raise CompgenError(
                f"hf: the {what} in {folder} needs code of its own, which compgen does not run"
            ) from None
        raise CompgenError(f"hf: cannot load the {what} in {folder}: {_line(error)}") from None


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def _require_whole(folder: Path, report: dict[str, Any]) -> None:
    missing = sorted(report["missing_keys"])
    if missing:
        head = ": it was saved without a language-model head" if any("head" in key for key in missing) else ""
        more = f" and {len(missing) - 1} others" if len(missing) > 1 else ""
        raise CompgenError(f"hf: the weights in {folder} lack {missing[0]}{more}{head}")


def _token_model(folder: Path, network: Any, tokenizer: Any) -> TokenModel:
    config = network.config.get_text_config(decoder=True)
    if config.is_encoder_decoder or not _is_causal(network):
        raise CompgenError(f"hf: the model in {folder} is not causal: what it predicts depends on what follows")
    if "past_key_values" not in inspect.signature(network.forward).parameters:
        raise CompgenError(f"hf: the model in {folder} has no cache of keys and values to read step by step with")
    size = int(network.get_output_embeddings().weight.shape[0])
    starts = (tokenizer.bos_token_id, getattr(config, "bos_token_id", None), tokenizer.eos_token_id)
    start = next((token for token in starts if isinstance(token, int) and 0 <= token < size), None)
    limit = int(getattr(config, "max_position_embeddings", None) or 0)
    attention = str(getattr(config, "_attn_implementation", None))
    return TokenModel(network, Vocabulary(tokenizer, size), start, limit, attention)


def _is_causal(network: Any) -> bool:
    """Does what follows leave the first prediction as it is?"""
    device = home(network)
    try:
        pairs = torch.tensor([[0, 1, 1, 1], [0, 2, 3, 2]], device=device)
        first = network(input_ids=pairs, use_cache=False).logits[:, 0].float()
    except Exception as error:
        raise CompgenError(f"hf: the model does not run: {_line(error)}") from None
    spread = float(first[0].max() - first[0].min())
    tolerance = 1e-4 if network.dtype in (torch.float32, torch.float64) else 0.02
    return not float((first[0] - first[1]).abs().max()) > tolerance * spread  # says nothing of outputs that are NaN


def checked_device(device: str) -> str:
    """A device that is there."""
    try:
        kind = torch.device(device).type
    except RuntimeError:
        raise UsageError(f"hf: device must be cpu, cuda or cuda:N, not {device!r}") from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise CompgenError("hf: device=cuda, but PyTorch finds no CUDA device here; use device=cpu")
    return device


def default_threads() -> int:
    """How many threads PyTorch would use here."""
    return int(torch.get_num_threads())


def numerics(model: TokenModel, dtype: str, device: str, threads: int, device_map: str = "") -> str:
    """All that a model's probabilities may depend on beside its files and the spec, as ``name value, name value``."""
    fields = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "tokenizers": tokenizers.__version__,
        "dtype": dtype,
        "attention": model.attention,
        "matmul": torch.get_float32_matmul_precision(),
        "machine": platform.machine(),
        "threads": str(threads),
    }
    if torch.device(device).type == "cuda":
        fields["device"] = torch.cuda.get_device_name(device)
        fields["CUDA"] = str(torch.version.cuda)
        fields["cuDNN"] = str(torch.backends.cudnn.version())
    else:
        fields["device"] = "cpu"
        fields["CPU"] = f"{_processor()} with {torch.backends.cpu.get_cpu_capability()}"
    if device_map:
        fields["device map"] = device_map
    return ", ".join(f"{name} {_plain(value)}" for name, value in fields.items())


@cache
def _processor() -> str:
    """The processor's name: matrix products take the way that suits it."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _plain(value: str) -> str:
    return "".join(c if c.isprintable() and c not in ",;" else " " for c in value)[:100]
