"""Methods to learn a second task: isolated weights (the paper's), fine-tuning, and from scratch.

Each method spends the same on a task: a training of `steps` batches and a second one half as long,
which after pruning lets the kept weights recover. Every training continues from its checkpoint; its
random numbers depend on its seed and the number of its epoch only.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.architectures.ecgcl_paper import PaperNet
from models.training.experiments.continual_tasks import ContinualTask
from models.training.experiments.masks import WeightStore

PEAK_RATE = 4e-3
RECOVERY_RATE = 2e-3
WEIGHT_DECAY = 0.02
EPOCH = 40  # batches between checkpoints


@dataclass(frozen=True)
class MethodPlan:
    """Length of training and share to prune."""

    steps: int = 160  # of the first training; the second has half as many
    batch: int = 16
    pruned: float = 0.5  # share of a task's trained weights, per layer, that it gives back
    seed: int = 0


def fresh(task: ContinualTask, seed: int) -> PaperNet:
    """An untrained network for the task."""
    torch.manual_seed(seed)
    return task.make().to(memory_format=torch.channels_last)


def fit(
    name: str,
    net: PaperNet,
    task: ContinualTask,
    plan: MethodPlan,
    runs: Path,
    recover: bool = False,
) -> None:
    """One training, the first one or the recovery after it. Continues from runs/NAME.pt."""
    steps, rate = (plan.steps // 2, RECOVERY_RATE) if recover else (plan.steps, PEAK_RATE)
    optimiser = torch.optim.AdamW(parameter_groups(net), lr=rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, total_steps=steps, pct_start=0.2
    )
    parts: dict[str, Any] = {"net": net, "optimiser": optimiser, "schedule": schedule}
    done = _resume(runs / f"{name}.pt", parts, plan)
    while done < steps:
        net.train()
        rng = np.random.default_rng([plan.seed, done])
        for _ in range(min(EPOCH, steps - done)):
            loss = step(net, task, optimiser, rng, plan.batch)
            schedule.step()
            done += 1
        print(f"{name} {done}/{steps} loss {loss:.4f}", flush=True)
        _save(runs / f"{name}.pt", parts, plan, done)
    net.eval()


def step(
    net: PaperNet,
    task: ContinualTask,
    optimiser: torch.optim.Optimizer,
    rng: np.random.Generator,
    batch: int,
) -> float:
    """One step of the optimiser; the loss."""
    x, y = task.draw(rng, batch)
    loss = task.loss(net(torch.from_numpy(x[:, None])), torch.from_numpy(y))
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 5.0)
    optimiser.step()
    return float(loss.detach())


def parameter_groups(net: nn.Module) -> list[dict[str, object]]:
    """Weights with decay; BatchNorm, biases and the scores of masks without."""
    named = [(name, p) for name, p in net.named_parameters() if p.requires_grad]
    plain = [p for name, p in named if p.ndim < 2 or name.endswith("score")]
    return [
        {"params": [p for _, p in named if all(p is not q for q in plain)]},
        {"params": plain, "weight_decay": 0.0},
    ]


def _resume(path: Path, parts: dict[str, Any], plan: MethodPlan) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    if state["plan"] != asdict(plan):
        return 0
    for part, value in parts.items():
        value.load_state_dict(state[part])
    return int(state["done"])


def _save(path: Path, parts: dict[str, Any], plan: MethodPlan, done: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {part: value.state_dict() for part, value in parts.items()}
    torch.save({**state, "plan": asdict(plan), "done": done}, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def recovered(
    name: str, net: PaperNet, task: ContinualTask, plan: MethodPlan, runs: Path
) -> PaperNet:
    """A copy of the network after the second training, nothing pruned."""
    dense = copy.deepcopy(net)
    fit(name, dense, task, plan, runs, recover=True)
    return dense


def compacted(
    name: str,
    store: WeightStore,
    number: int,
    net: PaperNet,
    task: ContinualTask,
    plan: MethodPlan,
    runs: Path,
) -> None:
    """Prune an open network and train it again; the store then holds the task."""
    store.prune(net, plan.pruned)
    fit(name, net, task, plan, runs, recover=True)
    store.close(net, number)


def successor(task: ContinualTask, first: PaperNet, seed: int) -> PaperNet:
    """A network for the task that starts with the first one's backbone: plain fine-tuning."""
    net = fresh(task, seed)
    net.backbone.load_state_dict(first.backbone.state_dict())
    return net


def with_backbone(first: PaperNet, later: PaperNet) -> PaperNet:
    """The first task's decoder on a backbone that has learned another task since."""
    net = copy.deepcopy(first)
    net.backbone.load_state_dict(later.backbone.state_dict())
    return net


def same_bits(a: Tensor | np.ndarray, b: Tensor | np.ndarray) -> bool:
    """Equal bit by bit, not only in value."""
    return np.asarray(a).tobytes() == np.asarray(b).tobytes()
