"""Why a network answers as it does, told by what is inside it: Grad-CAM, and the attention of
systems that attend.

models/occlusion.py does the same for any network from outside.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def grad_cam(net: nn.Module, x: Tensor, target: int) -> Tensor:
    """Where in the last map the evidence for a class is: windows (B, R, T) to (B, rows, T') >= 0.

    Selvaraju et al. 2017 (DOI 10.1109/ICCV.2017.74): channels weighted by the mean gradient of the
    class's logit, summed, negative parts dropped. Raises ValueError if the network has no last map.
    """
    name = getattr(net, "last_map", None)
    if name is None:
        raise ValueError(f"{type(net).__name__} has no last map")
    kept: list[Tensor] = []
    hook = net.get_submodule(name).register_forward_hook(lambda _, __, out: kept.append(out))
    try:
        with torch.enable_grad():
            logit = net(x)[:, target].sum()
            (gradient,) = torch.autograd.grad(logit, kept[0])
    finally:
        hook.remove()
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return functional.relu((weights * kept[0]).sum(dim=1)).detach()


def over_time(cam: Tensor) -> Tensor:
    """A map of rows as one line of weights: rows are parts of the window one after another (B,
    rows, T') to (B, rows T').
    """
    return cam.flatten(1)
