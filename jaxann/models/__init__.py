"""Whole models, made of layers."""

from jaxann.models.mlp import mlp

__all__ = ["mlp"]
