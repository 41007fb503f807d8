"""Files: a model with its weights in one safetensors file, and plain named arrays."""

from jaxann.io.checkpoints import load, save
from jaxann.io.safetensors import load_arrays, save_arrays

__all__ = [
    "load",
    "load_arrays",
    "save",
    "save_arrays",
]
