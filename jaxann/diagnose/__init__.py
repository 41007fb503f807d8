"""Diagnosis: what a model is made of and takes, whether its gradients are right, and where it looks."""

from jaxann.diagnose.attention import attention_maps
from jaxann.diagnose.findings import CheckSettings, Finding, GradientCheck, LeafCheck
from jaxann.diagnose.gradients import check_gradients
from jaxann.diagnose.layers import check_layer, check_loss
from jaxann.diagnose.summary import LayerSummary, StepMemory, Summary, summary

__all__ = [
    "CheckSettings",
    "Finding",
    "GradientCheck",
    "LayerSummary",
    "LeafCheck",
    "StepMemory",
    "Summary",
    "attention_maps",
    "check_gradients",
    "check_layer",
    "check_loss",
    "summary",
]
