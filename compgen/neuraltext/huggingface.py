"""Encoders as tokenizers of Hugging Face's ``transformers`` (the extra ``lm``).

>>> from compgen.neuraltext import make
>>> tokenizer = Tokenizer(make("equal-info", model="order2", token_bits=16))
>>> ids = tokenizer("to be or not to be")["input_ids"]
>>> tokenizer.decode(ids), len(ids)
('to be or not to be', 11)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizer

from compgen.neuraltext.encoders import Encoder

_FILE = "encoder.json"


class Tokenizer(PreTrainedTokenizer):
    """Text to the tokens of an :class:`~compgen.neuraltext.Encoder`, as its UTF-8, and back.

    A token's name is ``<id>``. ``save_pretrained`` writes the encoder as ``encoder.json``, ``from_pretrained`` reads it
    and checks M1's hash; ``model`` says where M1 is now. Special tokens, if any are given, come behind the vocabulary.
    Ids that stand for no valid UTF-8, as M2 may write them, are decoded with replacement characters.
    """

    vocab_files_names = {"encoder_file": _FILE}  # noqa: RUF012  as the library has it
    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012

    def __init__(
        self,
        encoder: Encoder | None = None,
        encoder_file: str | None = None,
        model: str | None = None,
        **options: Any,
    ) -> None:
        if encoder is None:
            if encoder_file is None:
                raise ValueError("give an encoder, or load one with from_pretrained")
            encoder = Encoder.load(encoder_file, model)
        self.encoder = encoder
        options.setdefault("clean_up_tokenization_spaces", False)
        super().__init__(**options)  # type: ignore[no-untyped-call]

    @property
    def vocab_size(self) -> int:
        """Without special tokens."""
        return self.encoder.vocab_size

    def get_vocab(self) -> dict[str, int]:
        """Names to ids."""
        return {**{f"<{i}>": i for i in range(self.vocab_size)}, **self.added_tokens_encoder}

    def _tokenize(self, text: str, **_: Any) -> list[str]:
        (ids,) = self.encoder.encode([text.encode("utf-8", "surrogatepass")])
        return [f"<{i}>" for i in ids.tolist()]

    def _convert_token_to_id(self, token: str) -> int:
        return int(token[1:-1])

    def _convert_id_to_token(self, index: int) -> str:
        return f"<{index}>"

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """The text that names of tokens stand for."""
        (data,) = self.encoder.decode([[int(token[1:-1]) for token in tokens]])
        try:
            return data.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return data.decode("utf-8", "replace")

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str]:
        """Write ``encoder.json``."""
        path = Path(save_directory) / (f"{filename_prefix}-{_FILE}" if filename_prefix else _FILE)
        self.encoder.save(path)
        return (str(path),)
