"""What mechanism tests ask of layers: how far an impulse spreads, and what depends on what."""

from __future__ import annotations

from typing import Any


def spread(layer: Any, channels: int, length: int = 81) -> list[int]:
    """Samples that an impulse in the middle of each channel moves, channel by channel: (1, C, 1, T) in and out."""
    import torch

    layer.eval()
    with torch.inference_mode():
        rest = layer(torch.zeros(1, channels, 1, length))
        found = []
        for channel in range(channels):
            x = torch.zeros(1, channels, 1, length)
            x[0, channel, 0, length // 2] = 1
            moved = ((layer(x) - rest).abs() > 1e-9).any(dim=1)[0, 0].nonzero()
            found.append(int(moved.max() - moved.min()) + 1 if len(moved) else 0)
    return found


def moved_tokens(mixer: Any, length: int, channels: int, at: int) -> set[int]:
    """Tokens of the answer that change with token `at` of the input: (1, L, C) in and out."""
    import torch

    mixer.eval()
    x = torch.randn(1, length, channels, generator=torch.Generator().manual_seed(4))
    changed = x.clone()
    changed[0, at] += 3 * torch.randn(channels, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        far = (mixer(x) - mixer(changed)).abs().amax(dim=2)[0]
    return set((far > 1e-6).nonzero().flatten().tolist())


def numbers(net: Any) -> int:
    """Trained numbers of a network."""
    return sum(p.numel() for p in net.parameters())
