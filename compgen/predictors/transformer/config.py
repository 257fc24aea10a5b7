"""The shape of a byte transformer: everything its arithmetic depends on beside the weights."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from compgen.errors import UsageError

#: Positions a layer sees at most, and so the longest run of cached keys: the chunk of the benchmark.
MAX_WINDOW = 2048
#: Taps of the causal convolutions.
TAPS = 4


@dataclass(frozen=True)
class Config:
    """A decoder-only transformer over ``vocabulary`` symbols.

    ``width`` is the residual stream's; each of ``layers`` layers has attention with ``heads`` heads over the last
    ``windows[layer]`` positions and a gated-free MLP of ``hidden`` squared ReLUs. Head ``h`` of a layer lowers the
    score of a position ``n`` steps back by ``n * slopes[layer][h]`` bits (ALiBi, Press et al. 2022, with powers of two
    or 0, in base 2). Heads must be a power of two wide, as scores are scaled by shifts.
    """

    vocabulary: int = 256
    width: int = 64
    layers: int = 4
    heads: int = 4
    hidden: int = 256
    local_window: int = 128
    window: int = MAX_WINDOW

    def __post_init__(self) -> None:
        head = self.width // max(self.heads, 1)
        if self.width != head * self.heads or head & (head - 1) or head < 8:
            raise UsageError(f"heads of {self.width} / {self.heads} channels: their width must be a power of two, 8 up")
        for name, least, most in (
            ("vocabulary", 2, 65536),
            ("width", 16, 4096),
            ("layers", 1, 64),
            ("hidden", 16, 16384),
            ("local_window", 1, MAX_WINDOW),
            ("window", 1, MAX_WINDOW),
        ):
            if not least <= getattr(self, name) <= most:
                raise UsageError(f"{name} must be from {least} to {most}, not {getattr(self, name)}")

    @property
    def head(self) -> int:
        """Channels of a head."""
        return self.width // self.heads

    @property
    def windows(self) -> tuple[int, ...]:
        """Positions each layer attends to: local layers and wide ones in turn, the last one wide."""
        return tuple(self.window if (self.layers - layer) % 2 else self.local_window for layer in range(self.layers))

    def slope_exponents(self, layer: int) -> tuple[int, ...]:
        """For each head the ``e`` of its slope ``2**-e`` bits a position; 0 stands for no slope at all.

        Wide layers keep a head that sees all positions alike; local ones fade out well within their window.
        """
        first, step = (4, 2) if self.windows[layer] > self.local_window else (1, 1)
        exponents = [first + step * (4 * head // self.heads) for head in range(self.heads)]
        if self.windows[layer] > self.local_window:
            exponents = [0 if e == first + 3 * step else e for e in exponents]
        return tuple(exponents)

    @property
    def parameters(self) -> int:
        """Number of weights."""
        layer = 4 * self.width**2 + 2 * self.width * self.hidden + 2 * TAPS * self.width + self.heads + 2 * self.width
        return (2 * self.vocabulary + 1) * self.width + self.layers * layer

    def as_dict(self) -> dict[str, int]:
        """The fields, for a file's header."""
        return dataclasses.asdict(self)


def _paper(width: int, layers: int) -> Config:
    return Config(width=width, layers=layers, heads=max(4, width // 32), hidden=4 * width)


#: Presets by number of parameters, the sizes of Deletang et al. 2024, Fig. 2.
PRESETS = {
    "200k": _paper(64, 4),
    "330k": _paper(64, 6),
    "430k": _paper(64, 8),
    "800k": _paper(128, 4),
    "1.2m": _paper(128, 6),
    "1.6m": _paper(128, 8),
    "3.2m": _paper(256, 4),
    "4.8m": _paper(256, 6),
    "6.4m": _paper(256, 8),
    "9.6m": _paper(256, 12),
    "25m": _paper(512, 8),
    "38m": _paper(512, 12),
}


def preset(name: str, changes: str | None = None) -> Config:
    """A preset, with ``changes`` such as ``layers=6,hidden=512``. Raises for unknown names and impossible shapes."""
    if name not in PRESETS:
        raise UsageError(f"unknown preset {name!r}; known: {', '.join(PRESETS)}")
    fields = {field.name for field in dataclasses.fields(Config)}
    given = {}
    for change in (changes or "").split(","):
        key, equals, value = change.partition("=")
        if not change:
            continue
        if key.strip() not in fields or not equals or not value.strip().isdigit():
            raise UsageError(f"cannot read {change!r}; write key=number,... with keys {', '.join(sorted(fields))}")
        given[key.strip()] = int(value)
    return dataclasses.replace(PRESETS[name], **given)
