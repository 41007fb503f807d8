"""Losses `(predictions, targets) -> values`: one value an example or element; the trainer takes the weighted mean."""

from jaxann.losses.autoencoding import contractive, negative_elbo, sparse_code
from jaxann.losses.classification import sigmoid_cross_entropy, softmax_cross_entropy, softmax_cross_entropy_dense
from jaxann.losses.contrast import info_nce, nt_xent
from jaxann.losses.divergence import jensen_shannon_divergence, kl_divergence, reverse_kl_divergence
from jaxann.losses.domains import targets_in
from jaxann.losses.embedding import contrastive, cosine_distance, cosine_embedding, triplet
from jaxann.losses.focal import poly1, sigmoid_focal, softmax_focal
from jaxann.losses.heads import by_head
from jaxann.losses.likelihood import gaussian_nll, poisson_nll
from jaxann.losses.margin import hinge, multiclass_hinge, perceptron, squared_hinge
from jaxann.losses.members import each_member
from jaxann.losses.mining import triplet_hard, triplet_semi_hard
from jaxann.losses.overlap import dice
from jaxann.losses.probabilities import binary_cross_entropy_probs, cross_entropy_probs
from jaxann.losses.reduce import labels_to_check, masked, mean, target_weights
from jaxann.losses.regression import absolute_error, half_squared_error, huber, log_cosh, quantile, squared_error
from jaxann.losses.robust import adaptive_barron, barron, barron_nll, barron_parameters
from jaxann.losses.sequence import ctc

__all__ = [
    "absolute_error",
    "adaptive_barron",
    "barron",
    "barron_nll",
    "barron_parameters",
    "binary_cross_entropy_probs",
    "by_head",
    "contractive",
    "contrastive",
    "cosine_distance",
    "cosine_embedding",
    "cross_entropy_probs",
    "ctc",
    "dice",
    "each_member",
    "gaussian_nll",
    "half_squared_error",
    "hinge",
    "huber",
    "info_nce",
    "jensen_shannon_divergence",
    "kl_divergence",
    "labels_to_check",
    "log_cosh",
    "masked",
    "mean",
    "multiclass_hinge",
    "negative_elbo",
    "nt_xent",
    "perceptron",
    "poisson_nll",
    "poly1",
    "quantile",
    "reverse_kl_divergence",
    "sigmoid_cross_entropy",
    "sigmoid_focal",
    "softmax_cross_entropy",
    "softmax_cross_entropy_dense",
    "softmax_focal",
    "sparse_code",
    "squared_error",
    "squared_hinge",
    "target_weights",
    "targets_in",
    "triplet",
    "triplet_hard",
    "triplet_semi_hard",
]
