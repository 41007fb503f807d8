"""The backward rules of convolutions and pools: equal to autodiff to rounding, in float64."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from jaxann import backprop, layers, losses
from tests.backprop.nets import draw_numbers
from tests.backprop.reference import mean_loss
from tests.programs import quick_jit

RANDOM = np.random.default_rng(0)
NETS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "lenet": (
        {"conv0": layers.conv(3, 3, padding="valid"), "act0": layers.elementwise("tanh"), "pool0": layers.max_pool(2),
         "conv1": layers.conv(4, (2, 3), stride=(2, 1), use_bias=False), "norm": layers.batch_norm()}, (4, 8, 7, 2)),
    "grouped": ({"conv0": layers.conv(4, 3, groups=2, dilation=2), "pool": layers.avg_pool(3, stride=2, padding=1,
                 count_padding=False), "up": layers.conv_transpose(2, 3, stride=2, groups=2)}, (3, 6, 7, 2)),
    "signals": ({"conv0": layers.depthwise_conv((3,), multiplier=2, stride=2), "pool": layers.lp_pool(3.0, 2, stride=1),
                 "up": layers.conv_transpose(3, (4,), stride=3, padding=1, output_padding=2)}, (3, 9, 2)),
    "volumes": ({"conv0": layers.conv(2, (2, 3, 2)), "pool": layers.max_pool(2, stride=1, padding=1, dilation=1),
                 "mean": layers.adaptive_pool((2, 1, 3))}, (2, 4, 3, 5, 2)),
    "circular": ({"conv0": layers.conv(3, 3, padding_mode="circular"), "top": layers.adaptive_pool((2, 3), kind="max")},
                 (2, 5, 7, 2)),
    "reflected": ({"conv0": layers.conv(3, 5, padding_mode="reflect", stride=2), "mean": layers.global_pool()},
                  (2, 5, 7, 2)),
    "replicated": ({"conv0": layers.conv(3, (4, 3), padding=((3, 1), 2), padding_mode="replicate"),
                    "top": layers.global_pool(kind="max")}, (2, 5, 4, 2)),
    "resized": ({"conv0": layers.conv(3, 3), "up": layers.resize(scale=(2, 1.5)),
                 "unshuffled": layers.pixel_unshuffle((2, 1)),
                 "cut": layers.crop(((1, 0), 2)), "cubic": layers.resize((5, 3), method="bicubic"),
                 "reflected": layers.pad(((2, 1), 1), mode="reflect")}, (2, 4, 6, 2)),
    "shuffled": ({"conv0": layers.conv(12, 3), "shuffled": layers.pixel_shuffle((2, 3)),
                  "circular": layers.pad(1, mode="circular"),
                  "less": layers.resize((4, 3), method="bilinear", antialias=True), "zeros": layers.pad(((0, 2), 1)),
                  "replicated": layers.pad(2, mode="replicate"), "nearest": layers.resize((5, 4))}, (2, 3, 3, 2)),
}  # fmt: skip


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", NETS)
def test_backward_is_autodiff(name: str):
    table, shape = NETS[name]
    model = layers.sequential(table | {"flat": layers.flatten(), "out": layers.dense(3)})
    params, state = draw_numbers(RANDOM, model, shape)
    x, y = RANDOM.normal(size=shape), RANDOM.integers(0, 3, shape[0], np.int32)
    loss = losses.softmax_cross_entropy

    @quick_jit
    def both(params, x):
        trace = backprop.backward(model, params, state, x, y, loss, train=True)

        def cost(params, x):
            return mean_loss(loss, model.apply(params, state, x, train=True)[0], y, None)

        return (trace.grads, trace.input_grad), jax.grad(cost, (0, 1))(params, x)

    ours, wanted = both(params, x)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)
        assert np.asarray(other).any()
