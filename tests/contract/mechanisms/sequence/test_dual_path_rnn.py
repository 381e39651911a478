"""Dual-path RNN: overlapping chunks, inside and across in turn, overlap-add."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.sequence.dual_path_rnn import (
    CHANNELS,
    HOP,
    DualPath,
    DualPathBlock,
    fold,
    unfold,
)

FRAMES = 20 * HOP


def moved_chunks(path) -> set[int]:  # type: ignore[no-untyped-def]
    """Chunks of the answer that change with chunk 1."""
    chunks = torch.randn(1, 21, 2 * HOP, CHANNELS)
    other = chunks.clone()
    other[:, 1] += 1
    far = (path(chunks) - path(other)).abs().amax(dim=(0, 2, 3))
    return set((far > 1e-7).nonzero().flatten().tolist())


def test_overlap_add_undoes_the_cutting() -> None:
    x = torch.randn(2, FRAMES, CHANNELS)
    chunks = unfold(x)
    assert chunks.shape == (2, 21, 2 * HOP, CHANNELS)
    assert torch.allclose(fold(chunks) / 2, x)


def test_neighbouring_chunks_share_half_of_their_frames() -> None:
    chunks = unfold(torch.randn(1, FRAMES, CHANNELS))
    assert torch.equal(chunks[:, 3, HOP:], chunks[:, 4, :HOP])


def test_one_block_carries_the_second_chunk_to_the_last() -> None:
    torch.manual_seed(1)
    assert 20 in moved_chunks(DualPathBlock().eval())


def test_inside_chunks_alone_nothing_is_carried_beyond_the_norm() -> None:
    torch.manual_seed(1)
    block = DualPathBlock().eval()
    block.intra.norm = torch.nn.Identity()  # the norm is over the whole window by design
    assert moved_chunks(block.intra) == {1}


def test_evaluation_is_free_of_chance() -> None:
    net, x = DualPath(1250, 4).eval(), torch.randn(2, 1, 1250)
    assert torch.equal(net(x), net(x))
