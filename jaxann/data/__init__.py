"""Data on the host: standard sets of labelled pictures."""

from jaxann.data.readers import Dataset, cifar10, digits, mnist

__all__ = [
    "Dataset",
    "cifar10",
    "digits",
    "mnist",
]
