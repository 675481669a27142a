"""Laws of the convolutional body."""

import pytest
import torch

from ptycho.networks.blocks import Body


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("side", [1, 2, 7, 8, 12, 20])
def test_a_body_takes_sides_of_any_length(side, norm):
    body = Body(inputs=3, outputs=2, widths=(8, 16, 24), norm=norm)
    torch.nn.init.normal_(body.head.weight)
    x = torch.randn(2, 3, side, 24)
    out = body(x)
    assert out.shape == (2, 2, side, 24)
    filled = torch.nn.functional.pad(x, (0, 0, 0, -side % 8))
    torch.testing.assert_close(out, body(filled)[..., :side, :])


@pytest.mark.parametrize("norm", [False, True])
def test_an_untrained_body_returns_zeros_of_the_right_shape(norm):
    out = Body(inputs=3, outputs=2, widths=(8, 16, 24), norm=norm)(torch.randn(2, 3, 24, 16))
    assert out.shape == (2, 2, 24, 16)
    assert not out.any()
