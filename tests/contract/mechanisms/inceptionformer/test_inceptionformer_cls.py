"""The class token alone is classified."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.inceptionformer.network import BASE, InceptionFormer, WithClassToken
from tests.contract.mechanisms.responses import numbers


def test_the_token_is_all_that_is_added() -> None:
    more = numbers(WithClassToken(12, 1000, 9, BASE)) - numbers(InceptionFormer(12, 1000, 9, BASE))
    assert more == 512


def test_only_the_token_is_classified() -> None:
    torch.manual_seed(1)
    net = WithClassToken(1, 1250, 4).eval()
    seen = []
    net.stages[-1][-1].layer.register_forward_hook(lambda _, __, out: seen.append(out))
    answer = net(torch.randn(2, 1, 1250))
    (tokens,) = seen
    assert tokens.shape[1] == 1280 // 32 + 1
    assert torch.allclose(answer, net.head(tokens[:, 0]))


def test_the_answer_moves_with_the_token() -> None:
    torch.manual_seed(1)
    net = WithClassToken(1, 1250, 4).eval()
    x = torch.randn(2, 1, 1250)
    before = net(x)
    with torch.no_grad():
        net.token.token += torch.randn_like(net.token.token)
    assert (net(x) - before).abs().max() > 1e-3
