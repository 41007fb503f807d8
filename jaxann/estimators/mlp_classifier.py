"""A multi-layer perceptron that tells classes apart, with scikit-learn's arguments and what was left out there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sklearn.base import ClassifierMixin

from jaxann.estimators.classification import NetworkClassifier
from jaxann.estimators.perceptrons import MultiLayer

__all__ = ["MLPClassifier"]


class MLPClassifier(ClassifierMixin, MultiLayer, NetworkClassifier):
    """softmax(net(x)), or sigmoid(net(x)) for two classes and for several labels, the net a multi-layer perceptron.

        MLPClassifier((64,), dropout=0.2, early_stopping=True).fit(x, y).predict_proba(x_test)

    Minimizes, batch by batch, the weighted mean of the loss plus alpha |W|^2 / (2 sum of the batch's weights).

    Args:
        hidden_layer_sizes: units of each hidden layer.
        activation: name of one of `ja.activations` ("logistic" is the sigmoid), a function, or a layer.
        loss: "log_loss", "focal", or a function `(logits, targets) -> values`.
        solver: name of one of `ja.optimizers` ("adam", "sgd", "lbfgs", "adamw", ...), or an optimizer as it is.
        alpha: strength of the L2 penalty of the weights.
        batch_size: rows of an update; "auto" is min(200, rows).
        learning_rate: "constant", "invscaling", "adaptive" as scikit-learn's, "cosine", "linear", "one_cycle" over the
            whole training, or a schedule of `ja.schedules`, which counts updates.
        learning_rate_init: of solvers by name.
        power_t: of "invscaling".
        max_iter: epochs at most.
        shuffle: whether each epoch has an order of its own.
        random_state: of weights, order, noise and the rows to stop by.
        tol, n_iter_no_change: training ends when the loss (the score, with early_stopping) has not got better by tol
            in so many epochs.
        verbose: whether to draw a bar.
        warm_start: whether fit goes on from the weights and the optimizer's state of the fit before.
        momentum, nesterovs_momentum: of "sgd".
        early_stopping: whether to stop by the accuracy on `validation_fraction` of the rows, or on those of
            `fit(validation=)`, and to go back to the best weights.
        validation_fraction: the share of the rows, taken from each class.
        beta_1, beta_2, epsilon: of "adam".
        max_fun: taken for scikit-learn's sake; `ja.optimizers.lbfgs(max_evaluations=)` bounds each line search.
        dropout: probability of dropping after each hidden activation.
        batch_norm: whether to normalize before each hidden activation.
        class_weight: None, "balanced" or a dict from class to weight, times the sample weights.
        members: nets trained from seeds of their own, whose probabilities are averaged.
        observers: functions called between chunks of epochs, as in `ja.fit`.

    Attributes:
        classes_: in order; of several labels a list of them.
        history_: "loss", "learning_rate", "gradient_norm" and what was validated, a value an epoch.
        model_, params_, state_: of the first member, for `ja.predict`, `ja.save`, `ja.diagnose` and the others.
        loss_curve_, loss_, best_loss_, validation_scores_, best_validation_score_, n_iter_, n_layers_, n_outputs_,
            out_activation_, coefs_, intercepts_, n_features_in_, feature_names_in_: scikit-learn's.
        interrupted_: whether Ctrl-C ended training.

    Peers: scikit-learn's MLPClassifier has neither dropout, normalization, class weights, other losses and optimizers,
    ensembles nor a validation set of one's own; weights begin by `ja.initializers.init_for(activation)` here. Sums are
    taken in float32.

    Source: Rumelhart, Hinton and Williams 1986.

    Raises:
        InputError: by `fit`, an argument is out of range, or data are not what they have to be.
    """

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: Any = "relu",
        *,
        loss: Any = "log_loss",
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
        max_fun: int = 15000,
        dropout: float = 0.0,
        batch_norm: bool = False,
        class_weight: str | Mapping | None = None,
        members: int = 1,
        observers: Any = None,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.loss = loss
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.class_weight = class_weight
        self.members = members
        self.observers = observers
