"""Models."""

from __future__ import annotations

from jaxann import layers, models
from tests.rows.kinds import LayerRow

__all__ = ["HELPERS", "MODELS"]

HELPERS = {
    "models.elbo": "measures a variational autoencoder",
    "models.importance_log_likelihood": "measures a variational autoencoder",
}

MODELS = [
    LayerRow(
        "models.mlp",
        lambda: models.mlp((6, 3), activation="tanh", dropout=0.3, batch_norm=True),
        bad=({"widths": ()}, {"widths": (3, 0)}, {"activation": "than"}, {"dropout": 1.0}),
        random=True,
        stateful=True,
    ),
    LayerRow(
        "models.tabm",
        lambda: models.tabm((6, 4, 3), members=4, activation="tanh", dropout=0.3),
        "torch",
        ({"widths": (3,)}, {"widths": (3, 0)}, {"members": 0}, {"activation": "than"}, {"input_scale": "uniform"}),
        random=True,
    ),
    LayerRow(
        "models.lenet5",
        lambda: models.lenet5(3, activation="relu", pool="max"),
        "torch",
        ({"classes": 0}, {"pool": "sum"}, {"padding": -1}, {"activation": "rleu"}),
        shape=(3, 12, 12, 1),
        sequence=None,
    ),
    LayerRow(
        "models.vgg",
        lambda: models.vgg((1, 2), 3, batch_norm=True, dropout=0.3, width=2, hidden=(4,), pool_size=2),
        "torch",
        ({"depth": 12}, {"depth": ()}, {"classes": 0}, {"width": 0}, {"hidden": (0,)}, {"dropout": 1.0}),
        shape=(3, 8, 8, 2),
        sequence=None,
        random=True,
        stateful=True,
    ),
    LayerRow(
        "models.resnet",
        lambda: models.resnet((1, 1), 3, width=2, bottleneck=True),
        "torch",
        ({"depth": 20}, {"depth": (1, 0)}, {"stem": "mnist"}, {"classes": 2.5}, {"bottleneck": 1}),
        shape=(3, 12, 12, 2),
        sequence=None,
        stateful=True,
    ),
    LayerRow(
        "models.resnet_cifar",
        lambda: models.resnet_cifar(8, 3, width=2),
        "torch",
        ({"depth": 21}, {"classes": 0}, {"width": 0}),
        shape=(3, 6, 6, 2),
        sequence=None,
        stateful=True,
    ),
    LayerRow(
        "models.wide_resnet",
        lambda: models.wide_resnet(10, 2, 3, dropout=0.3, width=2),
        "torch",
        ({"depth": 12}, {"widen": 0}, {"classes": 0}, {"dropout": 1.0}),
        shape=(3, 6, 6, 2),
        sequence=None,
        random=True,
        stateful=True,
    ),
    LayerRow(
        "models.unet",
        lambda: models.unet(2, width=2, levels=1, batch_norm=True),
        "torch",
        ({"classes": 0}, {"width": 0}, {"levels": 0}),
        shape=(2, 4, 6, 1),
        sequence=None,
        stateful=True,
    ),
    LayerRow(
        "models.densenet",
        lambda: models.densenet((1, 1), 3, growth=2, bottleneck=2, stem="cifar", dropout=0.3),
        "torch",
        ({"depth": 120}, {"depth": ()}, {"growth": 0}, {"stem": "mnist"}, {"compression": 0.0}, {"bottleneck": 0}),
        shape=(3, 6, 6, 2),
        sequence=None,
        random=True,
        stateful=True,
    ),
    LayerRow(
        "models.mlp_mixer",
        lambda: models.mlp_mixer((2, 3), 3, patch=2, image_size=(4, 6), rate=0.5),
        "torch",
        ({"size": "tiny"}, {"size": (2,)}, {"patch": 0}, {"image_size": 0}, {"hidden": (2, 0)}, {"rate": 1.0}),
        shape=(3, 4, 6, 2),
        sequence=None,
        random=True,
    ),
    LayerRow(
        "models.convnext",
        lambda: models.convnext((1, 1), 3, widths=(2, 3), rate=0.5, initial_scale=0.5),
        "torch",
        ({"size": "b"}, {"size": (1, 0)}, {"classes": 0}, {"widths": (2,)}, {"rate": 1.0}, {"initial_scale": "1"}),
        shape=(3, 8, 8, 2),
        sequence=None,
        random=True,
    ),
    LayerRow(
        "models.autoencoder",
        lambda: models.autoencoder((4, 3), 5, activation="tanh", corruption=layers.gaussian_noise(0.1)),
        bad=({"widths": ()}, {"widths": (0,)}, {"features": 0}, {"activation": "than"}, {"corruption": 3}),
        random=True,
        sequence=None,
    ),
    LayerRow(
        "models.variational_autoencoder",
        lambda: models.variational_autoencoder((4, 2), 5, activation="tanh"),
        "torch",
        ({"widths": 3}, {"features": 0}, {"activation": "than"}),
        random=True,
        sequence=None,
    ),
    LayerRow(
        "models.contractive_autoencoder",
        lambda: models.contractive_autoencoder(3, 5),
        "torch",
        ({"units": 0}, {"features": 0}, {"activation": "relu"}),
        sequence=None,
    ),
    LayerRow(
        "models.conv_autoencoder",
        lambda: models.conv_autoencoder((2, 3), 2, (5, 6, 1), activation="tanh", with_code=True),
        bad=({"filters": ()}, {"code": 0}, {"shape": (5, 6)}, {"variational": True}, {"activation": "than"}),
        shape=(3, 5, 6, 1),
        sequence=None,
    ),
]
