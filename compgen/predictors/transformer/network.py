"""The transformer in float, for training: PyTorch, any device. The extra ``lm`` brings what it needs.

Pre-norm blocks without biases: RMS norms without gains (Zhang and Sennrich 2019), a causal depthwise convolution of
four taps before attention and before the MLP (as in Primer, So et al. 2021, here on the block's input), normalised
queries and keys (Henry et al. 2020), ALiBi (Press et al. 2022), squared ReLU (So et al. 2021). Each choice is one that
fixed-point arithmetic can follow exactly: see ``fixed.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compgen.predictors.transformer.config import TAPS, Config

#: Below this a mean square is taken as nothing.
EPSILON = 2.0**-16
#: Takes the name of activations, and them.
Watch = Callable[[str, Tensor], None]
LN2 = 0.6931471805599453
#: Queries that attend together.
QUERIES = 128


def rms_norm(x: Tensor) -> Tensor:
    """To mean square 1 along the last axis."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON)


class ShortConvolution(nn.Module):
    """Causal, depthwise, ``TAPS`` taps, the last of which is the position itself; starts as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        taps = torch.zeros(TAPS, width)
        taps[-1] = 1.0
        self.taps = nn.Parameter(taps)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, positions, width)`` to the same."""
        padded = F.pad(x, (0, 0, TAPS - 1, 0))
        positions = x.shape[1]
        y = padded[:, :positions] * self.taps[0]
        for tap in range(1, TAPS):
            y = torch.addcmul(y, padded[:, tap : tap + positions], self.taps[tap])
        return y


class Attention(nn.Module):
    """Windowed causal attention with normalised queries and keys and linear biases."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        self.heads, self.head, self.window = config.heads, config.head, config.windows[layer]
        exponents = config.slope_exponents(layer)
        self.slopes = [2.0**-e if e else 0.0 for e in exponents]
        self.qkv = nn.Parameter(torch.randn(3 * config.width, config.width) * config.width**-0.5)
        self.out = nn.Parameter(torch.zeros(config.width, config.width))
        #: Bits a unit of the normalised product is worth, each head.
        self.sharpness = nn.Parameter(torch.full((config.heads,), 1.4427 * config.head**-0.5 * 1.5))

    def forward(self, x: Tensor, watch: Watch | None = None) -> Tensor:
        """``(batch, positions, width)`` to the same."""
        batch, positions, width = x.shape
        qkv = F.linear(x, self.qkv)
        if watch is not None:
            watch("heads", qkv)
        q, k, v = qkv.view(batch, positions, 3, self.heads, self.head).permute(2, 0, 3, 1, 4)
        q, k = rms_norm(q) * (self.sharpness * LN2)[:, None, None], rms_norm(k)
        y = torch.cat([self._attend(q, k, v, start) for start in range(0, positions, QUERIES)], dim=2)
        return F.linear(y.transpose(1, 2).reshape(batch, positions, width), self.out)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, start: int) -> Tensor:
        """What the queries from ``start`` on see: only keys that some of them may see are touched."""
        stop = min(start + QUERIES, q.shape[2])
        first = max(0, start - self.window + 1)
        steps = torch.arange(first, stop, device=q.device)
        back = steps[start - first :, None] - steps[None, :]
        slopes = torch.tensor(self.slopes, device=q.device) * LN2
        bias = (-back * slopes[:, None, None]).masked_fill((back < 0) | (back >= self.window), float("-inf"))
        return F.scaled_dot_product_attention(
            q[:, :, start:stop], k[:, :, first:stop], v[:, :, first:stop], attn_mask=bias.to(q.dtype)[None], scale=1.0
        )


class Mlp(nn.Module):
    """``W2 relu(W1 x)**2``."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.up = nn.Parameter(torch.randn(config.hidden, config.width) * config.width**-0.5)
        self.down = nn.Parameter(torch.zeros(config.width, config.hidden))

    def forward(self, x: Tensor, watch: Watch | None = None) -> Tensor:
        """``(..., width)`` to the same."""
        hidden = F.relu(F.linear(x, self.up)).square()
        if watch is not None:
            watch("hidden", hidden)
        return F.linear(hidden, self.down)


class Layer(nn.Module):
    """Attention, then the MLP, each on a normalised and convolved copy of the residual stream."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        self.near = ShortConvolution(config.width)
        self.attention = Attention(config, layer)
        self.near_mlp = ShortConvolution(config.width)
        self.mlp = Mlp(config)
        #: Weights of the stream so far and of the embedding, mixed before the layer.
        self.keep = nn.Parameter(torch.ones(config.width))
        self.again = nn.Parameter(torch.zeros(config.width))

    def forward(self, x: Tensor, embedded: Tensor, watch: Watch | None = None) -> Tensor:
        """Residual stream and embedding, ``(batch, positions, width)``."""
        x = x * self.keep + embedded * self.again
        x = x + self.attention(self.near(rms_norm(x)), watch)
        changed: Tensor = x + self.mlp(self.near_mlp(rms_norm(x)), watch)
        if watch is not None:
            watch("residual", x)
            watch("residual", changed)
        return changed


def _in_layer(watch: Watch, index: int, name: str, values: Tensor) -> None:
    watch(name if name == "residual" else f"layers.{index}.{name}", values)


class Network(nn.Module):
    """Symbols to logits in bits; position ``t`` sees the symbols before it, the first one a start symbol."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Parameter(torch.randn(config.vocabulary + 1, config.width))
        self.layers = nn.ModuleList(Layer(config, layer) for layer in range(config.layers))
        self.unembedding = nn.Parameter(torch.zeros(config.vocabulary, config.width))
        #: Is shown activations by name where it is set: how large they become decides on their fixed point.
        self.watch: Watch | None = None

    def forward(self, symbols: Tensor) -> Tensor:
        """Symbols ``(batch, positions)`` to logits in nats ``(batch, positions, vocabulary)`` for these positions."""
        start = torch.full_like(symbols[:, :1], self.config.vocabulary)
        before = torch.cat([start, symbols[:, :-1]], dim=1)
        embedded = rms_norm(F.embedding(before, self.embedding))
        x = embedded
        for index, layer in enumerate(self.layers):
            x = layer(x, embedded, None if self.watch is None else partial(_in_layer, self.watch, index))
        return F.linear(rms_norm(x), self.unembedding)

    def code_lengths(self, symbols: Tensor) -> Tensor:
        """Bits of each symbol, float32 ``(batch, positions)``."""
        logits = self(symbols).float()
        nats = F.cross_entropy(logits.flatten(0, 1), symbols.flatten(), reduction="none")
        return nats.view(symbols.shape) / LN2
