"""Explain a network's answer from its inside: Grad-CAM, and the attention of attention networks.

models/occlusion.py does the same for any network from outside.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from models import architectures
from models.architectures import Problem
from models.architectures.layers.system import System
from models.signal.windows import InputSpec

Floats = npt.NDArray[np.float32]


def grad_cam(net: nn.Module, x: Tensor, target: int) -> Tensor:
    """Localise the evidence for a class in the last feature map: windows (B, R, T) to (B, rows, T')
    >= 0.

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


def explain_network(folder: Path, window: Floats, target: int) -> dict[str, Floats]:
    """Grad-CAM and the attention of an artifact's network on a window (T,): name to weights of equal
    parts of it. Nothing if its weights are not beside it, or it has neither."""
    checkpoint = next(iter([*sorted(folder.glob("*.pt")), *_beside(folder)]), None)
    if checkpoint is None:
        return {}
    spec = json.loads((folder / "spec.json").read_text())
    problem = Problem(spec["kind"], tuple(spec["outputs"]), InputSpec(**spec["input"]))
    net = architectures.load(spec["architecture"]).build(problem)
    net.load_state_dict(torch.load(checkpoint, weights_only=True)["net"])
    x = torch.from_numpy(window[None, None].copy())
    found = {}
    if getattr(net.eval(), "last_map", None):
        found["Grad-CAM"] = over_time(grad_cam(net, x, target))[0].numpy()
    if isinstance(net, System):
        with torch.inference_mode():
            weights = net.attention(x)
        found |= {f"attention: {name}": each[0].numpy() for name, each in weights.items()}
    return found


def _beside(folder: Path) -> list[Path]:
    """The checkpoint that carries the folder's own name."""
    path = folder.with_suffix(".pt")
    return [path] if path.exists() else []
