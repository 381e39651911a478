"""IM-ECG: one kernel crosses rows, one does not, and Grad-CAM shows where."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from torch.nn import functional

from models.architectures.im_ecg import DualKernel, ImEcg, image
from models.training.explain import grad_cam


def rows_reached(layer: torch.nn.Module) -> list[int]:
    """Rows of the output that an impulse in row 4 of 9 changes."""
    x = torch.zeros(1, 8, 9, 60)
    other = x.clone()
    other[:, :, 4, 30] = 1
    with torch.inference_mode():
        return (layer(x) - layer(other)).abs().amax(dim=(0, 1, 3)).nonzero().flatten().tolist()


def test_the_first_kernel_of_a_block_reaches_the_next_rows_the_second_none() -> None:
    torch.manual_seed(1)
    block = DualKernel(8, 8, 15, rows=3, stride=2).eval()
    assert rows_reached(block.across) == [3, 4, 5]
    assert rows_reached(block.along) == [4]
    assert rows_reached(block) == [3, 4, 5]
    assert rows_reached(DualKernel(8, 8, 15).eval()) == [4]


def test_one_lead_is_folded_into_rows_of_a_quarter_each() -> None:
    x = torch.arange(1250.0)[None, None]
    folded = image(x)
    assert folded.shape == (1, 1, 4, 313)
    assert folded[0, 0, 1, 0] == 313
    assert torch.equal(folded.flatten()[:1250], x.flatten())
    assert torch.equal(image(torch.ones(2, 12, 50)), torch.ones(2, 1, 12, 50))


def image_of(ectopic: int | None) -> torch.Tensor:
    """Twelve rows of narrow beats; in one of them, if any, a wide one."""
    time = torch.arange(120)
    x = sum(torch.exp(-0.5 * ((time - at) / 2) ** 2) for at in (20, 60, 100)) * torch.ones(1, 12, 1)
    if ectopic is not None:
        x[0, ectopic] += 2 * torch.exp(-0.5 * ((time - 60) / 12) ** 2)
    return x


def test_the_map_of_what_decided_follows_the_ectopic_beat() -> None:
    torch.manual_seed(1)
    net = ImEcg(2)
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(1)
    for _ in range(40):
        rows = torch.randint(12, (8,), generator=generator).tolist()
        x = torch.cat([image_of(row if i % 2 else None) for i, row in enumerate(rows)])
        loss = functional.cross_entropy(
            net(x + 0.05 * torch.randn(x.shape, generator=generator)), torch.arange(8) % 2
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    net.eval()
    middle = []
    for row in (1, 10):
        cam = grad_cam(net, image_of(row), 1)[0]
        assert cam.shape == (12, 4)  # rows, and a column for 32 samples
        assert float(cam.min()) >= 0
        middle.append(float((cam.sum(dim=1) / cam.sum() * torch.arange(12)).sum()))
    assert middle[0] + 2 < middle[1]
