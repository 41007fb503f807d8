"""Data: sets of labelled pictures and tokens of texts on the host, random changes of examples inside the program."""

from jaxann.data.audio import additive_noise, gain, time_shift, time_stretch
from jaxann.data.augment import cutmix, cutout, mixup, random_erasing
from jaxann.data.image_affine import affine, rotate
from jaxann.data.image_colour import brightness, color_jitter, contrast, gaussian_noise, hue, saturation
from jaxann.data.image_geometry import horizontal_flip, pad_and_crop, random_resized_crop, vertical_flip
from jaxann.data.image_policies import rand_augment, trivial_augment
from jaxann.data.plain_tokenizers import byte_tokenizer, char_tokenizer
from jaxann.data.readers import Dataset, cifar10, digits, mnist
from jaxann.data.spec_augment import spec_augment
from jaxann.data.subword_tokenizer import subword_tokenizer, train_bpe_tokenizer, train_wordpiece_tokenizer
from jaxann.data.text_augment import (
    random_deletion,
    random_insertion,
    random_swap,
    synonym_replacement,
)
from jaxann.data.tokenizer import Tokenizer, load_tokenizer, save_tokenizer
from jaxann.data.windows import language_windows, random_window

__all__ = [
    "Dataset",
    "Tokenizer",
    "additive_noise",
    "affine",
    "brightness",
    "byte_tokenizer",
    "char_tokenizer",
    "cifar10",
    "color_jitter",
    "contrast",
    "cutmix",
    "cutout",
    "digits",
    "gain",
    "gaussian_noise",
    "horizontal_flip",
    "hue",
    "language_windows",
    "load_tokenizer",
    "mixup",
    "mnist",
    "pad_and_crop",
    "rand_augment",
    "random_deletion",
    "random_erasing",
    "random_insertion",
    "random_resized_crop",
    "random_swap",
    "random_window",
    "rotate",
    "saturation",
    "save_tokenizer",
    "spec_augment",
    "subword_tokenizer",
    "synonym_replacement",
    "time_shift",
    "time_stretch",
    "train_bpe_tokenizer",
    "train_wordpiece_tokenizer",
    "trivial_augment",
    "vertical_flip",
]
