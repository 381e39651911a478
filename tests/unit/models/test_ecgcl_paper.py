"""The paper's network: its shapes, what partition and merge do, and that ONNX Runtime computes the
same."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")
from models.architectures.ecgcl_paper import (
    LENGTH,
    WIDTHS,
    ClassificationDecoder,
    Merge,
    PaperBackbone,
    PaperDecoder,
    PaperNet,
    PaperResidual,
    Partition,
)


@pytest.fixture(autouse=True)
def _same_weights_each_time() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.mark.parametrize("length", [LENGTH, 320, 8])
def test_the_backbone_ends_with_four_resolutions_and_keeps_the_highest(length):
    branches = PaperBackbone().eval()(torch.randn(2, 1, length))
    halves = [w // 2 for w in WIDTHS[:-1]]
    assert [tuple(x.shape) for x in branches] == [
        (2, w, 1, length // 2**i) for i, w in enumerate([*halves, WIDTHS[-1]])
    ]


def test_each_stage_has_one_resolution_more():
    backbone = PaperBackbone()
    assert [len(stage) for stage in backbone.stages] == [1, 2, 3, 4]
    assert all(isinstance(module, PaperResidual) for stage in backbone.stages for module in stage)
    assert len(backbone.partitions) == len(backbone.merges) == 3


def test_a_task_gives_a_logit_per_sample_or_per_class():
    x = torch.randn(3, 1, LENGTH)
    assert PaperNet(PaperDecoder, 1).eval()(x).shape == (3, 1, LENGTH)
    assert PaperNet(ClassificationDecoder, 4).eval()(x).shape == (3, 4)


def test_partition_leaves_one_half_as_it_is_and_takes_the_other_down():
    partition = Partition(8, 12).eval()
    x = torch.randn(2, 8, 1, 32)
    stay, lower = partition(x)
    assert torch.equal(stay, x[:, :4])
    assert lower.shape == (2, 12, 1, 16)
    changed = x.clone()
    changed[:, :4] += 1  # the half that stays has no part in what goes down
    assert torch.equal(partition(changed)[1], lower)
    changed[:, 4:] += 1
    assert not torch.equal(partition(changed)[1], lower)


def test_merge_gives_every_branch_all_others():
    merge = Merge((4, 6, 8)).eval()
    branches = [torch.rand(1, w, 1, 32 // 2**i) for i, w in enumerate((4, 6, 8))]
    merged = merge(branches)
    assert [x.shape for x in merged] == [x.shape for x in branches]
    for source in range(3):
        changed = merge([x + 1 if i == source else x for i, x in enumerate(branches)])
        assert not any(torch.equal(a, b) for a, b in zip(merged, changed, strict=True))


def test_merge_goes_down_by_strided_and_up_by_transposed_convolution():
    paths = Merge((4, 6, 8)).paths
    assert {name: type(path[0]).__name__ for name, path in paths.items()} == {
        "0to1": "Conv2d",
        "0to2": "Conv2d",
        "1to2": "Conv2d",
        "1to0": "ConvTranspose2d",
        "2to0": "ConvTranspose2d",
        "2to1": "ConvTranspose2d",
    }
    assert {name: path[0].stride[1] for name, path in paths.items()} == {
        "0to1": 2,
        "0to2": 4,
        "1to2": 2,
        "1to0": 2,
        "2to0": 4,
        "2to1": 2,
    }


def test_the_residual_module_adds_two_ordinary_convolutions():
    module = PaperResidual(4).eval()
    convolutions = [layer for layer in module.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert [layer.groups for layer in convolutions] == [1, 1]
    with torch.no_grad():
        convolutions[1].weight.zero_()
    x = torch.randn(1, 4, 1, 16)
    assert torch.equal(module(x), torch.relu(x))


def test_segmentation_reads_every_resolution_and_classification_goes_down_to_the_lowest():
    widths = (4, 6, 8)
    branches = [torch.rand(1, w, 1, 32 // 2**i) for i, w in enumerate(widths)]
    for decoder in (PaperDecoder(widths, 1).eval(), ClassificationDecoder(widths, 2).eval()):
        answer = decoder(branches)
        for source in range(3):
            other = decoder(
                [torch.rand_like(x) if i == source else x for i, x in enumerate(branches)]
            )
            assert not torch.equal(answer, other)


def test_the_network_is_small():
    assert (
        100_000
        <= sum(p.numel() for p in PaperNet(ClassificationDecoder, 4).parameters())
        <= 200_000
    )


# the exporter that writes plain graphs is the older one
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("decoder", "outputs"), [(PaperDecoder, 1), (ClassificationDecoder, 4)])
def test_onnx_runtime_computes_the_same(decoder, outputs):
    pytest.importorskip("onnx", reason="needs the extra `train`")
    from models.training.experiments.continual_cost import multiplications, onnx_session

    net = PaperNet(decoder, outputs).eval()
    x = np.random.default_rng(0).standard_normal((1, 1, LENGTH)).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(x)).numpy()
    assert np.allclose(onnx_session(net).run(None, {"input": x})[0], expected, atol=1e-4)
    assert 5e6 < multiplications(net) < 30e6


def test_multiplications_are_counted_as_by_hand():
    from models.training.experiments.continual_cost import multiplications

    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.down = torch.nn.Conv2d(1, 3, (1, 5), (1, 2), (0, 2))
            self.up = torch.nn.ConvTranspose2d(3, 2, (1, 2), (1, 2))

        def forward(self, x):
            return self.up(self.down(x.unsqueeze(2)))

    assert multiplications(Two()) == 3 * 5 * LENGTH // 2 + 3 * 2 * 2 * LENGTH // 2
