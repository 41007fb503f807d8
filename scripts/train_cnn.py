"""Train a small convolutional net on MNIST, its pictures turned, moved and scaled a little anew in each epoch.

    python -m scripts.train_cnn --data FOLDER --plot out/cnn.png

Convolutions of 3 x 3, each with batch norm and relu, the first by steps of 2, a max pool between stages, then the mean
over all places and a dense layer. The flags are those of `train_mnist`, but for the net's own. With --validation 0 it
reads 99.56 % of the test set (--runs 3: 99.52 to 99.60), in two minutes a run on two cores of an AMD EPYC.
"""

from __future__ import annotations

import argparse

import jaxann as ja
from jaxann.train.recipe import Recipe
from scripts.train_mnist import adamw, classifier, classify, device, flags, smoothing


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the flags."""
    text = "Train a small convolutional net on MNIST and report its test accuracy for several seeds."
    parser = flags(text, "mnist", "the four idx files", epochs=20, batch_size=128, learning_rate=5e-3)
    smoothing(parser)
    add = parser.add_argument
    add(
        "--stages",
        type=filters,
        nargs="+",
        default=[(16, 32), (48, 48)],
        metavar="N,N",
        help="filters of each convolution of a stage, such as 16,32 64,64",
    )
    add("--stride", type=int, default=2, help="of the first convolution")
    add("--dropout", type=float, default=0.0, help="probability of dropping a number before the dense layer")
    add("--degrees", type=float, default=10.0, help="greatest angle by which a training picture is turned")
    add("--translate", type=float, default=0.08, help="greatest shift, as a share of its size")
    add("--scale", type=float, default=0.1, help="greatest change of its size, as a share")
    add("--augment", action=argparse.BooleanOptionalAction, default=True, help="turn, move and scale at all")
    return parser.parse_args(arguments)


def filters(text: str) -> tuple[int, ...]:
    """Numbers with commas between them."""
    return tuple(map(int, text.split(",")))


def net(stages: tuple[tuple[int, ...], ...], stride: int = 1, dropout: float = 0.0) -> ja.layers.Layer:
    """Stages of convolutions, the mean over all places, and a dense layer of ten logits."""
    init = ja.initializers.init_for("relu")
    layers: dict[str, ja.layers.Layer] = {}
    for stage, numbers in enumerate(stages):
        if stage:
            layers[f"pool{stage}"] = ja.layers.max_pool(2)
        for i, number in enumerate(numbers):
            step = 1 if layers else stride
            layers |= {
                f"conv{stage}_{i}": ja.layers.conv(number, 3, stride=step, padding=1, use_bias=False, kernel_init=init),
                f"norm{stage}_{i}": ja.layers.batch_norm(),
                f"act{stage}_{i}": ja.layers.elementwise("relu"),
            }
    layers["mean"] = ja.layers.global_pool()
    if dropout:
        layers["drop"] = ja.layers.dropout(dropout)
    return ja.layers.sequential(layers | {"dense": ja.layers.dense(10)})


def build(args: argparse.Namespace, examples: int) -> Recipe:
    """The recipe for these flags. Its model takes the pictures as they are, (n, 28, 28, 1) in [0, 1]."""
    model = net(tuple(args.stages), args.stride, args.dropout)
    shifts, sizes = (args.translate, args.translate), (1 - args.scale, 1 + args.scale)
    augment = (ja.data.affine(args.degrees, translate=shifts, scale=sizes),) if args.augment else ()
    return classifier(args, model, adamw(args, examples), augment)


def main(arguments: list[str] | None = None) -> list[float]:
    """Train, report, and return each seed's accuracy on the test set (the validation part with --no-test)."""
    args = parse(arguments)
    with device(args):
        return classify(args, ja.data.mnist(args.data), build, "MNIST")


if __name__ == "__main__":
    main()
