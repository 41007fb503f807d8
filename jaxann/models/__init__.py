"""Whole models, made of layers."""

from jaxann.models.mlp import mlp
from jaxann.models.tabm import tabm

__all__ = ["mlp", "tabm"]
