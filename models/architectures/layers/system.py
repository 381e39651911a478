"""Interface of a system of the zoo, beside `forward`, for the contract matrix, the leaderboard and
`models explain`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class System(nn.Module):
    """A network of the zoo: (B, R, T) scaled windows to logits."""

    # added to the loss: set by `forward` while training, by systems whose paper has a second loss
    penalty: Tensor | None = None
    # name of the module whose output (B, C, rows, T') is the last before pooling, for Grad-CAM
    last_map: str | None = None

    def ablate(self) -> Sequence[nn.Module]:
        """Replace the mechanism, in this object, by identity or its plainest stand-in without
        parameters; returns the parts taken out.

        The network still runs. What the parts hold is exactly what it loses in parameters.
        """
        raise NotImplementedError

    def attention(self, x: Tensor) -> dict[str, Tensor]:
        """How much of the answer is owed to each moment of the window, by the system's own
        attention: name to (B, n) weights >= 0.

        The n weights stand for n equal parts of the window, oldest first. Nothing unless the system
        attends to time.
        """
        return {}
