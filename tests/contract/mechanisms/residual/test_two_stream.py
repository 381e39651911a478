"""Two streams: the signal and its spectrogram both reach the answer."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.residual.two_stream import HOP, SIZE, NoSpectrogram, TwoStream


def test_the_spectrum_is_a_short_time_transform_inside_the_network() -> None:
    torch.manual_seed(1)
    net, x = TwoStream(4), torch.randn(2, 1, 1250)
    window = torch.hann_window(SIZE)
    found = torch.stft(x[:, 0], SIZE, HOP, window=window, center=False, return_complex=True).abs()
    expected = torch.log(found.square() / window.square().sum() + 1e-4)
    assert torch.allclose(net.spectrum.spectrum(x)[:, 0], expected, atol=1e-2)


def test_a_tone_shows_at_its_frequency() -> None:
    tone = torch.sin(2 * torch.pi * 25 * torch.arange(1250) / 125)[None, None]
    picture = TwoStream(4).spectrum.spectrum(tone)[0, 0]
    assert abs(int(picture.mean(dim=1).argmax()) * 125 / SIZE - 25) < 125 / SIZE


@pytest.mark.parametrize("stream", ["signal", "spectrum"])
def test_each_stream_alone_moves_the_answer(stream: str) -> None:
    torch.manual_seed(1)
    net, x = TwoStream(4).eval(), torch.randn(2, 1, 1250)
    before = net(x)
    if stream == "spectrum":
        net.spectrum = NoSpectrogram()
    else:
        net.signal = torch.nn.Sequential(net.signal, Zero())
    assert (net(x) - before).abs().max() > 1e-4


class Zero(torch.nn.Module):  # type: ignore[name-defined,misc]
    def forward(self, x):  # type: ignore[no-untyped-def]
        return 0 * x
