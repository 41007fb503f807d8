"""Nothing of the field's list is missing, every row is documented, and what is generated from it is up to date."""

from __future__ import annotations

import re

import pytest

from scripts import catalogue
from tests.catalogue import TABLES

# The field's list by name. A name leaves it only together with the feature.
WANTED = {
    "activations": """identity heaviside sign sigmoid log_sigmoid hard_sigmoid tanh hard_tanh softsign relu relu6
        leaky_relu rrelu prelu elu celu selu gelu silu hard_swish mish softplus squareplus relu_squared softmax
        log_softmax hard_max maxout glu reglu geglu swiglu bilinear straight_through gumbel_softmax sparsemax
        log_sum_exp""",
    "losses": """absolute_error squared_error half_squared_error huber log_cosh quantile barron barron_nll
        adaptive_barron hinge squared_hinge multiclass_hinge cross_entropy_probs binary_cross_entropy_probs
        sigmoid_cross_entropy softmax_cross_entropy softmax_cross_entropy_dense sigmoid_focal softmax_focal
        kl_divergence reverse_kl_divergence jensen_shannon_divergence poisson_nll gaussian_nll cosine_distance
        cosine_embedding contrastive triplet triplet_hard triplet_semi_hard info_nce nt_xent ctc dice perceptron
        poly1""",
    "optimizers": """sgd adagrad adadelta rmsprop adam adamw amsgrad adamax adamaxw nadam nadamw radam adabelief yogi
        lion lars lamb adafactor muon shampoo soap sophia schedule_free prodigy lbfgs sam rprop novograd adan sm3 adopt
        ademamix polyak_sgd""",
    "gradient transformations": """clip_by_value clip_by_norm clip_by_global_norm clip_by_block_rms adaptive_grad_clip
        add_noise centralize accumulate zero_nans apply_if_finite ema polyak swa lookahead masked partition freeze
        layerwise_learning_rate add_decayed_weights per_leaf max_norm proximal_l1 chain""",
    "schedules": """constant step multi_step piecewise_constant exponential inverse_time inverse_sqrt noam polynomial
        linear cosine cosine_restarts one_cycle linear_one_cycle cyclic warmup wsd join reduce_on_plateau
        slanted_triangular""",
    "initializers": """zeros ones constant normal truncated_normal uniform variance_scaling glorot_uniform
        glorot_normal he_uniform he_normal lecun_normal lecun_uniform orthogonal identity dirac delta_orthogonal sparse
        lsuv torch_linear""",
    "regularizers": """l2_penalty l1_penalty elastic_net dropout alpha_dropout spatial_dropout drop_connect_dense
        stochastic_depth gaussian_noise gaussian_dropout mixup cutmix cutout monte_carlo_predict""",
    "metrics": """accuracy top_k_accuracy confusion_matrix precision recall f1 f_beta balanced_accuracy
        matthews_correlation cohen_kappa roc_auc average_precision log_loss brier expected_calibration_error rmse mse
        mae median_absolute_error mape r2 explained_variance perplexity""",
    "averages": "ewma",
}
ROWS = [(title, name) for title, names in TABLES.items() for name in sorted(names)]


@pytest.mark.parametrize("title", WANTED)
def test_nothing_of_the_list_is_missing(title: str):
    there = {name.rpartition(".")[2] for name in TABLES[title]}
    assert not set(WANTED[title].split()) - there


def test_no_two_rows_are_one_function():
    objects = [catalogue.resolved(name) for _, name in ROWS]
    assert len({id(value) for value in objects}) == len(ROWS)


def test_every_row_has_a_formula_and_says_what_its_peers_do():
    for title, name in ROWS:
        value = catalogue.resolved(name)
        assert 3 <= len(catalogue.formula(value)) <= 300, f"{name}: its first paragraph is the formula"
        assert title == "layers" or catalogue.peers(value), f"{name}: a paragraph that begins with 'Peers:'"


def test_the_generated_tables_are_up_to_date():
    advice = "python -m scripts.catalogue --write"
    assert catalogue.FILE.read_text() == catalogue.catalogue(), advice
    shown = catalogue.README.read_text().partition(catalogue.BEGIN)[2].partition(catalogue.END)[0]
    assert shown.strip() == catalogue.summary(), advice


def test_the_readme_counts_are_those_of_the_tables():
    shown = catalogue.README.read_text().partition(catalogue.BEGIN)[2].partition(catalogue.END)[0]
    counts = [int(found) for found in re.findall(r"\| (\d+) \|", shown)]
    assert counts == [len(names) for names in TABLES.values()]
