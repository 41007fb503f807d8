"""Optimizers and gradient transformations, each written out: `init(params)`, `update(grads, state, params)`."""

from jaxann.core.patterns import matrices
from jaxann.optimizers.accumulate import AccumulateState, accumulate
from jaxann.optimizers.adabelief import adabelief
from jaxann.optimizers.adadelta import AdadeltaState, adadelta
from jaxann.optimizers.adafactor import AdafactorState, adafactor
from jaxann.optimizers.adagrad import AdagradState, adagrad
from jaxann.optimizers.adam import AdamState, adam, adamw
from jaxann.optimizers.adamax import AdaMaxState, adamax, adamaxw
from jaxann.optimizers.adan import AdanState, adan
from jaxann.optimizers.ademamix import AdEMAMixState, ademamix
from jaxann.optimizers.adopt import adopt
from jaxann.optimizers.amsgrad import AMSGradState, amsgrad
from jaxann.optimizers.average import AverageState, ema, polyak, swa
from jaxann.optimizers.base import (
    apply_updates,
    as_optimizer,
    chain,
    custom,
    leaf_learning_rates,
    learning_rate_at,
    learning_rate_of,
)
from jaxann.optimizers.centralize import CentralizeState, centralize
from jaxann.optimizers.clip import (
    ClipState,
    adaptive_grad_clip,
    clip_by_block_rms,
    clip_by_global_norm,
    clip_by_norm,
    clip_by_value,
)
from jaxann.optimizers.decay import DecayState, ScaleState, add_decayed_weights, scale
from jaxann.optimizers.finite import FiniteState, ZeroNansState, apply_if_finite, zero_nans
from jaxann.optimizers.foreign import OptaxTransform, from_optax
from jaxann.optimizers.lamb import lamb
from jaxann.optimizers.lars import LARSState, lars
from jaxann.optimizers.lbfgs import LBFGSState, lbfgs
from jaxann.optimizers.lion import LionState, lion
from jaxann.optimizers.lookahead import LookaheadState, lookahead
from jaxann.optimizers.muon import MuonState, hidden_matrices, muon
from jaxann.optimizers.nadam import nadam, nadamw
from jaxann.optimizers.noise import NoiseState, add_noise
from jaxann.optimizers.novograd import NovoGradState, novograd
from jaxann.optimizers.partition import PartitionState, UnfreezingState, freeze, gradual_unfreezing, masked, partition
from jaxann.optimizers.per_block import per_block
from jaxann.optimizers.per_leaf import layerwise_learning_rate, per_leaf
from jaxann.optimizers.polyak_sgd import PolyakSGDState, polyak_sgd
from jaxann.optimizers.prodigy import ProdigyState, prodigy
from jaxann.optimizers.project import ProximalState, max_norm, proximal_l1
from jaxann.optimizers.radam import radam
from jaxann.optimizers.rmsprop import RMSPropState, rmsprop
from jaxann.optimizers.rprop import RpropState, rprop
from jaxann.optimizers.sam import sam
from jaxann.optimizers.schedule_free import ScheduleFreeState, schedule_free
from jaxann.optimizers.sgd import SGDState, sgd
from jaxann.optimizers.shampoo import ShampooState, shampoo
from jaxann.optimizers.sm3 import SM3State, sm3
from jaxann.optimizers.soap import SOAPState, soap
from jaxann.optimizers.sophia import SophiaState, sophia
from jaxann.optimizers.yogi import yogi

__all__ = [
    "AMSGradState",
    "AccumulateState",
    "AdEMAMixState",
    "AdaMaxState",
    "AdadeltaState",
    "AdafactorState",
    "AdagradState",
    "AdamState",
    "AdanState",
    "AverageState",
    "CentralizeState",
    "ClipState",
    "DecayState",
    "FiniteState",
    "LARSState",
    "LBFGSState",
    "LionState",
    "LookaheadState",
    "MuonState",
    "NoiseState",
    "NovoGradState",
    "OptaxTransform",
    "PartitionState",
    "PolyakSGDState",
    "ProdigyState",
    "ProximalState",
    "RMSPropState",
    "RpropState",
    "SGDState",
    "SM3State",
    "SOAPState",
    "ScaleState",
    "ScheduleFreeState",
    "ShampooState",
    "SophiaState",
    "UnfreezingState",
    "ZeroNansState",
    "accumulate",
    "adabelief",
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamaxw",
    "adamw",
    "adan",
    "adaptive_grad_clip",
    "add_decayed_weights",
    "add_noise",
    "ademamix",
    "adopt",
    "amsgrad",
    "apply_if_finite",
    "apply_updates",
    "as_optimizer",
    "centralize",
    "chain",
    "clip_by_block_rms",
    "clip_by_global_norm",
    "clip_by_norm",
    "clip_by_value",
    "custom",
    "ema",
    "freeze",
    "from_optax",
    "gradual_unfreezing",
    "hidden_matrices",
    "lamb",
    "lars",
    "layerwise_learning_rate",
    "lbfgs",
    "leaf_learning_rates",
    "learning_rate_at",
    "learning_rate_of",
    "lion",
    "lookahead",
    "masked",
    "matrices",
    "max_norm",
    "muon",
    "nadam",
    "nadamw",
    "novograd",
    "partition",
    "per_block",
    "per_leaf",
    "polyak",
    "polyak_sgd",
    "prodigy",
    "proximal_l1",
    "radam",
    "rmsprop",
    "rprop",
    "sam",
    "scale",
    "schedule_free",
    "sgd",
    "shampoo",
    "sm3",
    "soap",
    "sophia",
    "swa",
    "yogi",
    "zero_nans",
]
