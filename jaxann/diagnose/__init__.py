"""Diagnosis: whether gradients are right."""

from jaxann.diagnose.findings import Finding, GradientCheck, LeafCheck
from jaxann.diagnose.gradients import check_gradients
from jaxann.diagnose.layers import check_layer, check_loss

__all__ = ["Finding", "GradientCheck", "LeafCheck", "check_gradients", "check_layer", "check_loss"]
