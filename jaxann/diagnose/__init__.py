"""Diagnosis: what a model is made of and takes, whether its gradients are right, where it looks, what matters to it,
and at which learning rates its loss falls. `live_map` draws it with what each layer does.

Of importance: `permutation_importance` says what a model's quality rests on; the others share out its output for each
example, `saliency` and `input_times_gradient` by slopes, `integrated_gradients`, `expected_gradients` and `deep_lift`
by what changes on the way from a baseline, `exact_shap` and `kernel_shap` by what each column adds to every set of
others.
"""

from jaxann.diagnose.attention import attention_maps
from jaxann.diagnose.coalitions import ShapValues
from jaxann.diagnose.examine import Examination, examine
from jaxann.diagnose.findings import CheckSettings, Finding, GradientCheck, LeafCheck
from jaxann.diagnose.fit_verdict import FitVerdict, fit_verdict
from jaxann.diagnose.gradients import check_gradients
from jaxann.diagnose.layers import check_layer, check_loss
from jaxann.diagnose.live_map import LiveMap, live_map
from jaxann.diagnose.path_gradients import Attributions, expected_gradients, integrated_gradients
from jaxann.diagnose.permutation import PermutationImportance, permutation_importance
from jaxann.diagnose.preflight import Preflight, preflight
from jaxann.diagnose.probe import LayerProbe, Probes, first_nonfinite, probe, probed_layers
from jaxann.diagnose.rate_range import LearningRateRange, learning_rate_range
from jaxann.diagnose.rescale import deep_lift
from jaxann.diagnose.saliency import input_times_gradient, saliency
from jaxann.diagnose.shap import exact_shap, kernel_shap
from jaxann.diagnose.summary import LayerSummary, StepMemory, Summary, summary
from jaxann.diagnose.treat import Treatment, treat
from jaxann.diagnose.verdicts import Diagnosis, Remedy, Verdict

__all__ = [
    "Attributions",
    "CheckSettings",
    "Diagnosis",
    "Examination",
    "Finding",
    "FitVerdict",
    "GradientCheck",
    "LayerProbe",
    "LayerSummary",
    "LeafCheck",
    "LearningRateRange",
    "LiveMap",
    "PermutationImportance",
    "Preflight",
    "Probes",
    "Remedy",
    "ShapValues",
    "StepMemory",
    "Summary",
    "Treatment",
    "Verdict",
    "attention_maps",
    "check_gradients",
    "check_layer",
    "check_loss",
    "deep_lift",
    "exact_shap",
    "examine",
    "expected_gradients",
    "first_nonfinite",
    "fit_verdict",
    "input_times_gradient",
    "integrated_gradients",
    "kernel_shap",
    "learning_rate_range",
    "live_map",
    "permutation_importance",
    "preflight",
    "probe",
    "probed_layers",
    "saliency",
    "summary",
    "treat",
]
