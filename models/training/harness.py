"""Train any network on any task, with a checkpoint after every epoch from which an interrupted
training continues."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

# steps from which compiling (10-40 s, needs a C++ compiler, a third less time per step) pays
COMPILE_FROM = 500


@dataclass(frozen=True)
class TrainingPlan:
    """A training plan. AdamW with one cycle of the learning rate (Smith and Topin 2018, arXiv
    1708.07120)."""

    epochs: int
    steps: int  # batches per epoch
    batch: int
    peak_rate: float
    weight_decay: float = 0.01
    warm_up: float = 0.2  # share of the steps before the peak
    seed: int = 1


class Batches(Protocol):
    """A task's training data."""

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """Random inputs of the network, and the target of its answer."""
        ...

    def loss(self, net: nn.Module, answer: Any, target: Tensor) -> Tensor:
        """The loss of an answer; it may include a penalty on the network's weights."""
        ...


def train(net: nn.Module, data: Batches, plan: TrainingPlan, checkpoint: Path) -> nn.Module:
    """Train `net` in place by the plan, or continue from the checkpoint if it was made by the same
    plan.

    Only parameters that want gradients are trained. The random numbers of an epoch depend on seed
    and epoch only, so that an interrupted training gives the same result. Each epoch is a line in
    the checkpoint's .log. Returns: the network, in evaluation mode.
    """
    torch.manual_seed(plan.seed)
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    net.to(memory_format=torch.channels_last)
    trained = [p for p in net.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=plan.peak_rate, weight_decay=plan.weight_decay)
    total = plan.epochs * plan.steps
    # torch divides by the batches of the warm-up less one
    warm_up = 2 / total if plan.warm_up * total == 1 else plan.warm_up
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, plan.peak_rate, total_steps=total, pct_start=warm_up
    )
    parts = {"net": net, "optimiser": optimiser, "schedule": schedule}
    done = _resume(parts, plan, checkpoint)
    left = (plan.epochs - done) * plan.steps
    model = torch.compile(net) if left >= COMPILE_FROM else net
    for epoch in range(done, plan.epochs):
        began = time.process_time()
        mean = _epoch(net, model, data, plan, epoch, optimiser, schedule)
        line = f"{checkpoint.stem} epoch {epoch + 1}/{plan.epochs} loss {mean:.4f} {time.process_time() - began:.1f} s CPU"
        print(line, flush=True)
        with checkpoint.with_suffix(".log").open("a") as log:
            log.write(line + "\n")
        state = {name: part.state_dict() for name, part in parts.items()}
        torch.save(
            {**state, "epoch": epoch + 1, "plan": asdict(plan)}, checkpoint.with_suffix(".new")
        )
        checkpoint.with_suffix(".new").replace(checkpoint)
    return net.eval()


def _resume(parts: dict[str, Any], plan: TrainingPlan, checkpoint: Path) -> int:
    """Epochs already done."""
    if not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, weights_only=True)
    if state["plan"] != asdict(plan):
        return 0
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["epoch"])


def _epoch(
    net: nn.Module,
    model: Any,
    data: Batches,
    plan: TrainingPlan,
    epoch: int,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> float:
    net.train()
    rng = np.random.default_rng([plan.seed, epoch])
    total = 0.0
    for _ in range(plan.steps):
        inputs, target = data.batch(rng, plan.batch)
        value = data.loss(net, model(*inputs), target)
        # an auxiliary loss that the network itself provides
        if (penalty := getattr(net, "penalty", None)) is not None:
            value = value + penalty
        optimiser.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_((p for p in net.parameters() if p.requires_grad), 1.0)
        optimiser.step()
        schedule.step()
        total += value.item()
    return total / plan.steps
