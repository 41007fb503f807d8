"""Data: standard sets of labelled pictures on the host, and random changes of examples inside the program."""

from jaxann.data.augment import cutmix, cutout, mixup, random_erasing
from jaxann.data.readers import Dataset, cifar10, digits, mnist

__all__ = [
    "Dataset",
    "cifar10",
    "cutmix",
    "cutout",
    "digits",
    "mixup",
    "mnist",
    "random_erasing",
]
