"""Where PyTorch computes."""

from __future__ import annotations

import torch

from compgen.errors import UsageError


def usable(device: str) -> torch.device:
    """The device of that name, if something can be put there."""
    try:
        found = torch.device(device)
        torch.zeros(1, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0][:100]
        raise UsageError(f"device {device!r} cannot be used ({reason}); cpu always can") from None
    return found
