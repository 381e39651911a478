"""T4, the lethal rhythm of a second: none, VT, VF or flutter, asystole. A column on the frozen
trunk, a decoder of the last four seconds.

    python -m models.training.tasks.lethal.train fold0 fold1 fold2 final
    python -m models.training.tasks.lethal.train --report

Examples: models/training/data/lethal_examples.py. Loss: minus the logarithm of the probability of
all rhythms that the reference allows. Column and decoder learn together from patients; then the
decoder alone goes on, with regular waves among its examples: flutter by its definition, which is
rare in the available records, and waves of that shape that are too slow for it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.architectures.ecgcl import STEPS_PER_SECOND, WIDTHS, Column, SequenceDecoder, second
from models.signal.windows import BEAT_SPEC, LEVEL_MEAN, LEVEL_SD, level, scale
from models.training.data import cinc2017
from models.training.data.lethal_data import CLASSES, WINDOWS, strips, wearable
from models.training.data.lethal_examples import REGULAR, Examples
from models.training.data.records import Floats, data_folder, load_mitdb, load_noise, load_vfdb
from models.training.harness import Plan, train
from models.training.sequence import every_step
from models.training.tasks.lethal.calibration import calibrate, temperatures, tempered
from models.training.tasks.lethal.metrics import seconds
from models.training.tasks.lethal.report import read_seconds, report, write_seconds
from models.training.tasks.qrs.metrics import AT_ONCE, window_ends
from models.training.tasks.qrs.train import FOLDS, folds, trained

COLUMN = (8, 16, 24)
HIDDEN = 16
EXAMPLES = 20000  # drawn once; their trunk features are computed once (half precision: 0.8 GB)
# further training of the decoder: examples as before, and regular waves,
OF_THEM, REGULARS = 5000, 2000
REGULAR_SHARE = 0.2  # this share of a batch
SETTLING = Plan(epochs=1, steps=300, batch=128, peak_rate=2e-3, warm_up=0.2)
PLAN = Plan(epochs=6, steps=200, batch=64, peak_rate=5e-3, warm_up=0.2)


class Lethal(nn.Module):
    """Windows of the last seconds to the rhythm of the newest: the frozen trunk, a column, a
    decoder."""

    def __init__(
        self, trunk: nn.Module, widths: tuple[int, int, int] = COLUMN, hidden: int = HIDDEN
    ) -> None:
        super().__init__()
        self.trunk = trunk.requires_grad_(False)
        self.column = Column(WIDTHS, widths)
        self.decoder = SequenceDecoder(widths[-1] + 1, hidden, len(CLASSES))

    def train(self, mode: bool = True) -> Lethal:
        """The trunk stays as it is, its BatchNorm too."""
        super().train(mode)
        self.trunk.eval()
        return self

    def steps(self, x: Tensor, mv: Tensor, branches: Sequence[Tensor]) -> Tensor:
        """Windows (B, 1, 1, 320), their levels in mV (B,) and trunk features to the steps of their
        seconds: (B, 4, C + 1), the last one the level."""
        features = second(self.column(x, branches))
        size = ((mv.log() - LEVEL_MEAN) / LEVEL_SD)[:, None, None].expand(-1, STEPS_PER_SECOND, 1)
        return torch.cat([features, size], dim=2)

    def forward(self, x: Tensor, mv: Tensor, known: Tensor, *branches: Tensor) -> Tensor:
        """The rhythm of the last of WINDOWS seconds: (B, 4) logits of CLASSES.

        Args: (B, WINDOWS, 320) windows; (B, WINDOWS) levels in mV; (B, WINDOWS) 1 where there is a
        window; the trunk's branches of each window but the finest, (B, WINDOWS, C, T), as
        `features` gives them.
        """
        seen = [b.float().flatten(0, 1).unsqueeze(2) for b in branches]
        flat = x.float().flatten(0, 1)[:, None, None]
        # a column reads no finest branch
        steps = (
            self.steps(flat, mv.flatten(), [seen[0], *seen]).unflatten(0, mv.shape).flatten(1, 2)
        )
        return self.decoder(steps, every_step(known))


class LethalBatches:
    """Examples that were drawn once, with the trunk's features: a pass through the trunk costs more
    than a step of the column."""

    def __init__(self, trunk: nn.Module, drawn: Sequence[Tensor]) -> None:
        self._trunk, self._drawn, self._target = trunk, drawn[:3], drawn[3]

    @cached_property
    # only at the first batch: a finished training needs none
    def _inputs(self) -> tuple[Tensor, ...]:
        x, mv, known = self._drawn
        return x, mv, known, *features(self._trunk, x)

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """Inputs of Lethal.forward, and (B,) sets."""
        some = torch.from_numpy(rng.integers(len(self._target), size=size))
        return tuple(part[some] for part in self._inputs), self._target[some]

    def loss(self, net: nn.Module, answer: Tensor, target: Tensor) -> Tensor:
        """Mean loss over examples with a known label."""
        return set_loss(answer, target)


class DecoderBatches:
    """Examples as the decoder sees them: usual ones, and REGULAR_SHARE of regular waves."""

    def __init__(self, net: Lethal, usual: Sequence[Tensor], regular: Sequence[Tensor]) -> None:
        self._kinds = [decoder_inputs(net, drawn) for drawn in (usual, regular)]

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Inputs of SequenceDecoder.forward, and (B,) sets."""
        regular = int(REGULAR_SHARE * size)
        some = [
            torch.from_numpy(rng.integers(len(kind[2]), size=n))
            for kind, n in zip(self._kinds, (size - regular, regular), strict=True)
        ]
        steps, known, target = (
            torch.cat([kind[i][at] for kind, at in zip(self._kinds, some, strict=True)])
            for i in range(3)
        )
        return (steps, known), target

    def loss(self, net: nn.Module, answer: Tensor, target: Tensor) -> Tensor:
        """The loss of LethalBatches."""
        return set_loss(answer, target)


def decoder_inputs(net: Lethal, drawn: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs and targets of the decoder for these examples: (B, 4 * WINDOWS, C + 1), (B, 4 *
    WINDOWS, 1), (B,)."""
    x, mv, known, target = drawn
    parts = []
    with torch.no_grad():
        for some, size in zip(x.split(64), mv.split(64), strict=True):
            flat = (
                some.float()
                .flatten(0, 1)[:, None, None]
                .contiguous(memory_format=torch.channels_last)
            )
            parts.append(
                net.steps(flat, size.flatten(), net.trunk(flat))
                .unflatten(0, size.shape)
                .flatten(1, 2)
            )
    return torch.cat(parts), every_step(known), target


def features(trunk: nn.Module, x: Tensor) -> list[Tensor]:
    """Windows (B, WINDOWS, 320) to the trunk's branches but the finest, each (B, WINDOWS, C, T) in
    half precision."""
    trunk.eval()
    parts: list[list[Tensor]] = []
    with torch.no_grad():
        for some in x.split(64):
            branches = trunk(
                some.float()
                .flatten(0, 1)[:, None, None]
                .contiguous(memory_format=torch.channels_last)
            )[1:]
            parts.append([b.squeeze(2).half().unflatten(0, some.shape[:2]) for b in branches])
    return [torch.cat(branch) for branch in zip(*parts, strict=True)]


def set_loss(logits: Tensor, sets: Tensor) -> Tensor:
    """Minus the logarithm of the probability of the allowed classes; rows that allow none are left
    out."""
    allowed = (sets[:, None] >> torch.arange(logits.shape[1])) & 1 == 1
    known = allowed.any(dim=1)
    chosen = torch.where(allowed | ~known[:, None], logits, torch.full_like(logits, -1e4))
    each = torch.logsumexp(logits, dim=1) - torch.logsumexp(chosen, dim=1)
    return (each * known).sum() / known.sum().clamp(min=1)


def answers(net: Lethal, signal: Floats) -> Floats:
    """A whole record through the windows of the stream: (windows, 4) logits."""
    ends = window_ends(len(signal))
    steps = [torch.zeros(WINDOWS - 1, STEPS_PER_SECOND, net.decoder.gru.input_size)]
    with torch.no_grad():
        for some in np.split(ends, range(AT_ONCE, len(ends), AT_ONCE)):
            at = some[:, None] + np.arange(-BEAT_SPEC.scale, 0)
            inside = (at >= 0) & (at < len(signal))
            history = np.where(inside, signal[np.clip(at, 0, len(signal) - 1)], np.float32(0))
            x, mv = (
                torch.from_numpy(f(history, inside.sum(axis=1), BEAT_SPEC)) for f in (scale, level)
            )
            x = x[:, None, None].contiguous(memory_format=torch.channels_last)
            steps.append(net.steps(x, mv, net.trunk(x)))
        together = torch.cat(steps)
        known = torch.ones(len(together), STEPS_PER_SECOND, 1)
        known[: WINDOWS - 1] = 0
        last = torch.arange(len(ends))[:, None] + torch.arange(WINDOWS)
        logits: Floats = net.decoder(
            together[last].flatten(1, 2), known[last].flatten(1, 2)
        ).numpy()
    return logits


def learn(
    name: str,
    trunk: nn.Module,
    examples: Examples,
    runs: Path,
    plan: Plan = PLAN,
    count: int = EXAMPLES,
) -> Lethal:
    """The column and the decoder called lethal-`name`, on this trunk."""
    drawn = _drawn(examples, runs / f"lethal-{name}-examples.pt", count, plan.seed)
    torch.manual_seed(plan.seed)
    net = Lethal(trunk)
    train(net, LethalBatches(trunk, drawn), plan, runs / f"lethal-{name}-training.pt")
    rng = np.random.default_rng([plan.seed, REGULARS])
    regular = _together(examples.draw(rng, 100, REGULAR) for _ in range(REGULARS // 100))
    batches = DecoderBatches(net, [part[:OF_THEM] for part in drawn], regular)
    train(
        net.decoder, batches, replace(SETTLING, seed=plan.seed), runs / f"lethal-{name}-decoder.pt"
    )
    return net.eval()


def _drawn(examples: Examples, cache: Path, count: int, seed: int) -> list[Tensor]:
    """Examples, from the cache if they were drawn before."""
    if cache.exists():
        drawn: list[Tensor] = torch.load(cache, weights_only=True)
        if len(drawn[0]) == count:
            return drawn
    rng = np.random.default_rng(seed)
    drawn = _together(examples.draw(rng, 100) for _ in range(count // 100))
    cache.parent.mkdir(parents=True, exist_ok=True)
    torch.save(drawn, cache)
    return drawn


def _together(draws: Iterable[list[Tensor]]) -> list[Tensor]:
    return [torch.cat(parts) for parts in zip(*draws, strict=True)]


def save(net: Lethal, path: Path, temperature: float = 1.0) -> None:
    """Save the file that export reads: calibrated states of column and decoder, and the arguments
    to build them."""
    decoder = net.decoder.state_dict() | {"temperature": torch.tensor(temperature)}
    about = {
        "widths": list(COLUMN),
        "hidden": HIDDEN,
        "windows": WINDOWS,
        "level_mean": LEVEL_MEAN,
        "level_sd": LEVEL_SD,
    }
    torch.save({"column": net.column.state_dict(), "decoder": decoder, **about}, path)


def load_trunk(path: Path) -> nn.Module:
    """The trunk of a trained T1."""
    return trained(path).trunk.to(memory_format=torch.channels_last)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names",
        nargs="*",
        help="fold0, fold1, fold2: without that fold's patients; final: all patients",
    )
    parser.add_argument(
        "--data", type=Path, default=data_folder(), help="folder of the unpacked sets"
    )
    parser.add_argument(
        "--runs",
        type=Path,
        default=Path("runs/ecgcl"),
        help="folder of checkpoints; qrs-NAME.pt must be there",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path("runs/cache/cinc2017.npz"),
        help="conditioned CinC 2017 records",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=PLAN.seed,
        help="of another training; its files carry it in their names",
    )
    parser.add_argument(
        "--report",
        action="store_true",
        help="write lethal.md from the folds' answers, and the calibrated networks",
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch._dynamo.config.suppress_errors = True  # without a compiler: as it is
    if options.names:
        tracks = load_mitdb(options.data) + load_vfdb(options.data)
        records, fold_of, noises = (
            strips(tracks, options.data),
            folds(tracks),
            load_noise(options.data),
        )
        wearables = wearable(cinc2017.load(options.data / "cinc2017", options.cache))
        for name in options.names:
            left_out = int(name.removeprefix("fold")) if name != "final" else None
            examples = Examples(
                [r for r in records if left_out is None or fold_of[r.patient] != left_out],
                wearables,
                noises,
            )
            run = name if options.seed == PLAN.seed else f"{name}-seed{options.seed}"
            net = learn(
                run,
                load_trunk(options.runs / f"qrs-{name}.pt"),
                examples,
                options.runs,
                replace(PLAN, seed=options.seed),
            )
            save(net, options.runs / f"lethal-{run}.pt")
            if left_out is not None:
                tested = [r for r in records if fold_of[r.patient] == left_out]
                write_seconds(
                    [seconds(r, answers(net, r.signal[0]), left_out) for r in tested],
                    options.runs / f"lethal-{run}.npz",
                )
    if options.report:
        report_and_calibrate(options.runs)


def report_and_calibrate(runs: Path) -> None:
    """Tables of the existing folds; each fold's network calibrated on the others, the final
    one on all."""
    found = {
        k: read_seconds(runs / f"lethal-fold{k}.npz")
        for k in range(FOLDS)
        if (runs / f"lethal-fold{k}.npz").exists()
    }
    divisors = temperatures(found)
    (runs / "lethal.md").write_text(
        report([tempered(s, divisors[k]) for k in found for s in found[k]], divisors)
    )
    by_name = {f"fold{k}": t for k, t in divisors.items()} | {
        "final": calibrate([s for some in found.values() for s in some])
    }
    for name, temperature in by_name.items():
        training = runs / f"lethal-{name}-training.pt"
        if training.exists():
            net = Lethal(load_trunk(runs / f"qrs-{name}.pt"))
            net.load_state_dict(torch.load(training, weights_only=True)["net"])
            net.decoder.load_state_dict(
                torch.load(runs / f"lethal-{name}-decoder.pt", weights_only=True)["net"]
            )
            save(net, runs / f"lethal-{name}.pt", temperature)


if __name__ == "__main__":
    main()
