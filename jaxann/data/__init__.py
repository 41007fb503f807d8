"""Data: standard sets of labelled pictures on the host, and random changes of examples inside the program."""

from jaxann.data.augment import cutmix, cutout, mixup, random_erasing
from jaxann.data.image_affine import affine, rotate
from jaxann.data.image_colour import brightness, color_jitter, contrast, gaussian_noise, hue, saturation
from jaxann.data.image_geometry import horizontal_flip, pad_and_crop, random_resized_crop, vertical_flip
from jaxann.data.image_policies import rand_augment, trivial_augment
from jaxann.data.readers import Dataset, cifar10, digits, mnist

__all__ = [
    "Dataset",
    "affine",
    "brightness",
    "cifar10",
    "color_jitter",
    "contrast",
    "cutmix",
    "cutout",
    "digits",
    "gaussian_noise",
    "horizontal_flip",
    "hue",
    "mixup",
    "mnist",
    "pad_and_crop",
    "rand_augment",
    "random_erasing",
    "random_resized_crop",
    "rotate",
    "saturation",
    "trivial_augment",
    "vertical_flip",
]
