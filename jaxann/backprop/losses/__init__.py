"""Backward rules of the losses, one file beside each file of the room; importing a file enters its rules."""

from jaxann.backprop.losses import (
    autoencoding,
    classification,
    contrast,
    divergence,
    embedding,
    focal,
    heads,
    likelihood,
    margin,
    members,
    mining,
    overlap,
    probabilities,
    regression,
    robust,
    sequence,
)

__all__ = [
    "autoencoding",
    "classification",
    "contrast",
    "divergence",
    "embedding",
    "focal",
    "heads",
    "likelihood",
    "margin",
    "members",
    "mining",
    "overlap",
    "probabilities",
    "regression",
    "robust",
    "sequence",
]
