"""Nets for images: parameter counts of the papers, and the numbers that the same nets give in PyTorch."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import models
from jaxann.core.products import Layer
from tests.contract import assert_input_error
from tests.models.twins import TWINS, Twin
from tests.programs import quick_jit

torch = pytest.importorskip("torch")

COUNTS = [
    (models.lenet5(), (28, 28, 1), 61_706),
    (models.lenet5(padding=0), (32, 32, 1), 61_706),
    (models.vgg(11), (224, 224, 3), 132_863_336),
    (models.vgg(13), (224, 224, 3), 133_047_848),
    (models.vgg(16), (224, 224, 3), 138_357_544),
    (models.vgg(19), (224, 224, 3), 143_667_240),
    (models.vgg(16, batch_norm=True), (224, 224, 3), 138_365_992),
    (models.resnet(18), (224, 224, 3), 11_689_512),
    (models.resnet(34), (224, 224, 3), 21_797_672),
    (models.resnet(50), (224, 224, 3), 25_557_032),
    (models.resnet(101), (224, 224, 3), 44_549_160),
    (models.resnet(152), (224, 224, 3), 60_192_808),
    (models.resnet_cifar(20), (32, 32, 3), 272_474),
    (models.wide_resnet(28, 10), (32, 32, 3), 36_479_194),
    (models.unet(), (64, 64, 1), 31_030_593),
    (models.densenet(121), (224, 224, 3), 7_978_856),
    (models.densenet((6, 12, 36, 24), growth=48), (224, 224, 3), 28_681_000),
    (models.densenet(100, 10, growth=12, stem="cifar"), (32, 32, 3), 769_162),
    (models.mlp_mixer(), (224, 224, 3), 59_880_472),
    (models.convnext(), (224, 224, 3), 28_589_128),
    (models.convnext("base"), (224, 224, 3), 88_591_464),
]


@pytest.mark.parametrize(("model", "shape", "count"), COUNTS)
def test_parameters_are_as_many_as_published(model: Layer, shape: tuple[int, ...], count: int):
    spec = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    params, _ = jax.eval_shape(lambda key: model.init(key, spec), jax.random.key(0))
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params)) == count


NETS = {
    "lenet5": (models.lenet5(), (28, 28, 1)),
    "vgg11": (models.vgg(11, 5, width=2, hidden=(7, 6), pool_size=2, dropout=None), (32, 32, 3)),
    "vgg11_norm": (models.vgg(11, 5, width=2, hidden=(7, 6), pool_size=2, batch_norm=True, dropout=None), (64, 64, 3)),
    "resnet18": (models.resnet(18, 5, width=4), (65, 64, 3)),
    "resnet50": (models.resnet(50, 5, width=2), (65, 64, 3)),
    "resnet20": (models.resnet_cifar(20, width=4), (16, 15, 3)),
    "wide16": (models.wide_resnet(16, 2, width=3), (16, 16, 3)),
    "unet": (models.unet(2, width=3, levels=3), (16, 24, 1)),
    "densenet": (models.densenet((2, 3), 5, growth=3, bottleneck=2), (17, 24, 3)),
    "densenet_cifar": (models.densenet((2, 2), 5, growth=3, stem="cifar", compression=0.7), (9, 8, 3)),
    "mixer": (models.mlp_mixer((2, 6), 5, patch=4, image_size=(8, 12), hidden=(5, 7)), (8, 12, 3)),
    "convnext": (models.convnext((1, 2), 5, widths=(4, 6)), (17, 24, 3)),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", NETS)
def test_net_gives_what_it_gives_in_pytorch(name: str):
    model, shape = NETS[name]
    random = np.random.default_rng(0)
    x = random.normal(size=(4, *shape))
    specs = jax.eval_shape(lambda key: model.init(key, x), jax.random.key(0))
    params = jax.tree.map(lambda leaf: random.normal(size=leaf.shape) / math.sqrt(math.prod(leaf.shape[:-1])), specs[0])
    state = jax.tree.map(lambda leaf: random.uniform(0.5, 2, leaf.shape), specs[1])
    both = quick_jit(lambda p, s, x: [model.apply(p, s, x, train=train)[0] for train in (False, True)])
    for train, ours in zip((False, True), both(params, state, x), strict=True):
        wanted = TWINS[name](Twin(params, state, train), torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()
        assert np.abs(wanted).max() > 1e-6
        np.testing.assert_allclose(ours, wanted, rtol=1e-9, atol=1e-9 * np.abs(wanted).max())


@pytest.mark.usefixtures("x64")
def test_later_blocks_are_left_out_more_often():
    model = models.convnext((1, 2), 3, widths=(2, 3), rate=0.8)
    rates = [
        model.children[f"stage{stage}"].children[f"block{i}"].arguments["rate"] for stage, i in ((0, 0), (1, 0), (1, 1))
    ]
    np.testing.assert_allclose(rates, [0, 0.4, 0.8], rtol=1e-15)


def test_settings_that_contradict_each_other_are_refused():
    assert_input_error(lambda: models.resnet(50, bottleneck=False), "bottleneck", given="False")
    assert_input_error(lambda: models.resnet_cifar(19), "depth", given="19")
    assert_input_error(lambda: models.wide_resnet(15), "depth", given="15")
    assert_input_error(lambda: models.mlp_mixer(patch=15), "image_size", given="224")
    assert_input_error(lambda: models.convnext("tiny", widths=(96, 192)), "widths", given="(96, 192)")
    model, key, spec = (
        models.unet(width=2, levels=2),
        jax.random.key(0),
        jax.ShapeDtypeStruct((1, 6, 8, 1), jnp.float32),
    )
    assert_input_error(lambda: jax.eval_shape(model.init, key, spec), "x", given="(1, 2, 4, 4)")
