"""Which files a model consists of, where they are, and their digest. Nothing here loads a model."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from compgen.errors import BadInputError, CompgenError, MissingExtraError

#: What a model and its tokenizer are read from; other files of a folder (cards, optimizer states) do not matter.
_TOKENIZER = (
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "*.model",
    "*.tiktoken",
)
_SAFE, _PICKLED = ("*.safetensors", "*.safetensors.index.json"), ("pytorch_model*.bin", "pytorch_model*.bin.index.json")
_PIECE_BYTES = 1 << 22

#: Names, sizes and times of files.
Stamp = tuple[tuple[str, int, int], ...]


def folder_of(model: str) -> Path:
    """The folder of a path, or of the id of a model: from the library's own cache, else from the hub.

    Raises :class:`~compgen.errors.BadInputError` that says what was looked for.
    """
    path = Path(model).expanduser()
    if path.exists():
        if not path.is_dir():
            raise BadInputError(f"hf: {model} is a file; name the folder that save_pretrained made, or a model's id")
        return _complete(path, model)
    if model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise BadInputError(f"hf: there is no folder {model}")
    return _complete(_snapshot(model), model)


def _complete(folder: Path, model: str) -> Path:
    if not (folder / "config.json").is_file():
        raise BadInputError(f"hf: {model} has no config.json: it is no folder that save_pretrained made")
    if not _weights(folder):
        raise BadInputError(f"hf: {model} has no weights: neither *.safetensors nor pytorch_model.bin")
    return folder


def _snapshot(model: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise MissingExtraError("hf", "lm") from None
    wanted: dict[str, Any] = {"ignore_patterns": ["*/*"]}
    patterns = ["config.json", *_TOKENIZER]
    try:
        cached = Path(snapshot_download(model, local_files_only=True))
        if _weights(cached):
            return cached
    except Exception:  # not there, or not whole: the hub may have it
        pass
    try:
        folder = Path(snapshot_download(model, allow_patterns=[*patterns, *_SAFE], **wanted))
        if not _weights(folder):
            folder = Path(snapshot_download(model, allow_patterns=[*patterns, *_PICKLED], **wanted))
    except Exception as error:
        raise BadInputError(
            f"hf: {model!r} is no folder here and not in the Hugging Face cache, and the hub did not give it "
            f"({type(error).__name__}); name a folder with the model's files"
        ) from None
    return folder


def _weights(folder: Path) -> list[Path]:
    """The weight files that are loaded: safetensors if there are any."""
    for patterns in (_SAFE, _PICKLED):
        if found := [path for pattern in patterns for path in folder.glob(pattern)]:
            return found
    return []


def weights_bytes(folder: Path) -> int:
    """Size of the weight files that are loaded."""
    return sum(path.stat().st_size for path in _weights(folder) if path.suffix != ".json")


def stamp(folder: Path) -> Stamp:
    """Names, sizes and times of all files that matter: what changes when the model does."""
    paths = {folder / "config.json", *_weights(folder)}
    paths.update(path for pattern in _TOKENIZER for path in folder.glob(pattern))
    files = [(path.name, path.stat()) for path in sorted(paths) if path.is_file()]
    return tuple((name, status.st_size, status.st_mtime_ns) for name, status in files)


@lru_cache(maxsize=64)
def digest(folder: Path, files: Stamp) -> str:
    """SHA-256 over the names and SHA-256s of the files that :func:`stamp` found, which are read piece by piece."""
    whole = hashlib.sha256()
    for name, _, _ in files:
        one = hashlib.sha256()
        try:
            with open(folder / name, "rb") as file:
                while piece := file.read(_PIECE_BYTES):
                    one.update(piece)
        except OSError as error:
            raise CompgenError(f"hf: cannot read {folder / name}: {error.strerror}") from None
        whole.update(f"{name} {one.hexdigest()}\n".encode())
    return whole.hexdigest()
