"""The recipe: what is trained, as one product. The verbs say on which data, how long, from which key.

A recipe holds the model, the loss, the optimizer and everything else a run may have. It is a factory product: floats
(rates, decays, patience, numbers bound to a loss or metric) are its leaves, the rest is its structure. So recipes of
equal structure share one compiled program, `vmap` over a recipe whose floats are arrays is a population, and `grad` by
a recipe is a hypergradient.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Self

import jax

from jaxann.core.augmentation import Augment
from jaxann.core.binding import as_partial, misfit
from jaxann.core.checks import check_choice, check_integer, fail
from jaxann.core.factories import Product, factory, product_class, some_declares
from jaxann.core.products import Layer, Metric, Optimizer, Penalty
from jaxann.core.typing import Loss, Scalar
from jaxann.layers import as_layer
from jaxann.metrics import direction_of
from jaxann.metrics.calling import uncallable
from jaxann.metrics.forms import is_known, sizes_of
from jaxann.optimizers import as_optimizer
from jaxann.train.early_stopping import Stopping

__all__ = ["DTYPES", "Recipe", "as_recipe", "recipe"]

DTYPES = ("bfloat16", "float16", "float32")
_ON_NONFINITE = {"stop": 1, "raise": 1, "skip": 10}  # bad steps in a row that end training
_TAKEN = ("loss", "learning_rate", "gradient_norm")  # columns of the history that metrics may not be called by


@product_class
class Recipe(Product):
    """What is trained; made by `recipe`, whose arguments are its attributes."""

    __slots__ = ()

    @property
    def model(self) -> Layer:
        """The layer or model."""
        return self._arguments["model"]

    @property
    def loss(self) -> Callable:
        """`(predictions, targets) -> values`; numbers bound to it are leaves."""
        return self._arguments["loss"]

    @property
    def optimizer(self) -> Optimizer:
        """The rule that takes the steps."""
        return self._arguments["optimizer"]

    @property
    def metrics(self) -> Mapping[str, Any]:
        """From name to a streaming metric, or a function on whole arrays."""
        return self._arguments["metrics"]

    @property
    def penalty(self) -> Penalty | None:
        """A term added to the objective."""
        return self._arguments["penalty"]

    @property
    def augment(self) -> tuple[Augment, ...]:
        """Changes of the training examples."""
        return self._arguments["augment"]

    @property
    def stopping(self) -> Stopping | None:
        """When training stops early."""
        return self._arguments["stopping"]

    @property
    def compute_dtype(self) -> str | None:
        """What the layers compute in."""
        return self._arguments["compute_dtype"]

    @property
    def on_nonfinite(self) -> str:
        """What happens at a loss, gradient or update that is not finite, or too long."""
        return self._arguments["on_nonfinite"]

    @property
    def shuffle(self) -> bool:
        """Whether each epoch has a new order."""
        return self._arguments["shuffle"]

    @property
    def probes(self) -> bool:
        """Whether layers are measured after epochs."""
        return self._arguments["probes"]

    @property
    def batch_size(self) -> int | None:
        """Examples an update."""
        return self._arguments["batch_size"]

    @property
    def epochs(self) -> int | None:
        """Passes over the data."""
        return self._arguments["epochs"]

    @property
    def most_bad_steps(self) -> Scalar:
        """Bad steps in a row, with a loss, gradient or update that is not finite or too long, that end training."""
        how = self.on_nonfinite
        return _ON_NONFINITE[how] if isinstance(how, str) else how

    @property
    def whole_batch(self) -> bool:
        """Whether the optimizer wants all examples in every step."""
        return some_declares(self.optimizer, "whole_batch")

    @property
    def stops_early(self) -> bool:
        """Whether training may end before its last epoch for want of improvement."""
        return self.stopping is not None and self.stopping.patience is not None

    @property
    def restores_best(self) -> bool:
        """Whether the best epoch's weights are returned."""
        return self.stopping is not None and self.stopping.restore_best

    @property
    def monitor(self) -> str:
        """The column of the history that says which epoch is the best."""
        return "validation_loss" if self.stopping is None else self.stopping.monitor

    @property
    def mode(self) -> str:
        """Whether "min" or "max" of it is better."""
        if self.stopping is None:
            return "min"
        return self.stopping.mode or _declared_mode(self.stopping, self.metrics) or "min"

    def columns(self, validated: bool) -> tuple[str, ...]:
        """The keys of the history, in order."""
        names = ("loss", "learning_rate", "gradient_norm", *self.metrics)
        if not validated:
            return names
        return (*names, "validation_loss", *(f"validation_{name}" for name in self.metrics))

    def updated(self, **changes: Any) -> Self:
        """The same recipe with arguments of the same kind in the place of some, unchecked; for use in a program."""
        return type(self)._make(self._factory, self._arguments | changes, self._dynamic)

    def counting(self, most_bad_steps: Scalar) -> Self:
        """The same recipe with that number for `on_nonfinite`, a leaf: "skip" then runs the program of "stop"."""
        dynamic = dict.fromkeys((*self._dynamic, "on_nonfinite"))
        return type(self)._make(self._factory, self._arguments | {"on_nonfinite": most_bad_steps}, tuple(dynamic))


def _declared_mode(stopping: Stopping, metrics: Mapping[str, Any]) -> str | None:
    """What the monitored metric declares to be better; None for one that does not say."""
    name = stopping.monitor.removeprefix("validation_")
    return direction_of(metrics[name]) if name in metrics else "min"


def _check_mode(stopping: Stopping, metrics: Mapping[str, Any]) -> None:
    """What is better is what the metric declares; a mode that says otherwise would keep the worst weights."""
    declared = _declared_mode(stopping, metrics)
    if stopping.mode is None:
        if declared is None:
            hint = "Or declare it at the metric: jaxann.metrics.higher_is_better, lower_is_better."
            fail("recipe", "mode of stopping", f"'min' or 'max' for {stopping.monitor!r}", None, hint=hint)
        return
    if stopping.monitor in ("learning_rate", "gradient_norm"):
        return
    if declared is not None and declared != stopping.mode:
        better = "more" if declared == "max" else "less"
        expected = f"{declared!r} for {stopping.monitor!r}, of which {better} is better"
        fail("recipe", "mode of stopping", expected, stopping.mode)


def _bound(loss: Any) -> Any:
    """A loss with numbers bound to it as a pytree of them; a plain function as it is."""
    return as_partial(loss) if isinstance(loss, functools.partial) else loss


def _metrics(metrics: Any) -> Any:
    if metrics is None:
        return OrderedDict()
    if not isinstance(metrics, Mapping):
        hint = 'metrics={"accuracy": ja.metrics.accuracy}'
        fail("recipe", "metrics", "a dict from name to metric", metrics, hint=hint)
    # an ordered dict: a plain one comes out of a compiled program sorted by name, and the history mislabelled
    return OrderedDict((name, _metric(name, metric)) for name, metric in metrics.items())


def _metric(name: Any, metric: Any) -> Any:
    if not isinstance(name, str) or name in _TAKEN or "validation" in name:
        fail("recipe", "each metric's name", f"a string other than {', '.join(_TAKEN)}", name)
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str) or not callable(metric):
        fail("recipe", f"metrics[{name!r}]", "a metric function (predictions, targets[, weights]) -> figure", metric)
    if not is_known(metric) and (got := uncallable(metric)) is not None:
        fail("recipe", f"metrics[{name!r}]", "a metric function (predictions, targets[, weights]) -> figure", f" {got}")
    return as_partial(metric, sizes_of(metric))  # average="macro" and classes=10 are structure, beta=2.0 a leaf


@factory(
    Recipe,
    static=("batch_size", "epochs"),
    convert={
        "model": lambda value: as_layer(value, "recipe", "model"),
        "loss": _bound,
        "optimizer": lambda value: as_optimizer(value, "recipe", "optimizer"),
        "metrics": _metrics,
        "augment": lambda value: (value,) if isinstance(value, Augment) else value,
    },
)
def recipe(
    model: Layer,
    loss: Loss,
    optimizer: Optimizer,
    *,
    metrics: Mapping[str, Metric | Callable] | None = None,
    penalty: Penalty | None = None,
    augment: Augment | tuple[Augment, ...] = (),
    stopping: Stopping | None = None,
    compute_dtype: str | None = None,
    on_nonfinite: str = "stop",
    shuffle: bool = True,
    probes: bool = False,
    batch_size: int | None = None,
    epochs: int | None = None,
):
    """What is trained: min over w of mean loss(model(w, x), y) + penalty(w), by this optimizer.

        recipe = ja.recipe(ja.models.mlp((512, 10)), ja.losses.softmax_cross_entropy, ja.optimizers.adam(1e-3),
                           metrics={"accuracy": ja.metrics.accuracy}, stopping=ja.train.early_stopping(patience=5))
        result = ja.fit(recipe, (x, y), validation=(x_val, y_val), key=jax.random.key(0), epochs=20, batch_size=128)

    Every verb that trains, predicts, evaluates or searches takes a recipe, or a function `build(hyperparameters)` that
    returns one.

    Args:
        model: a layer (`jaxann.models.mlp((512, 10))`), or any object with `.init` and `.apply`.
        loss: `(predictions, targets) -> values`, one or more an example; the mean is taken by the trainer. Settings are
            bound to it by `functools.partial`; floats among them are leaves.
        optimizer: a jaxann optimizer, or an optax one (`optimizers.from_optax` compiles once for all its numbers).
        metrics: from name to metric, of the training set (in training mode) and the validation set. Labels that the
            loss is told to ignore are left out. A function of your own sees whole arrays, `(predictions, targets)`, and
            weights if it asks for them: a parameter `weights` or `sample_weight`, or a third one without a default,
            gets those of the data (ones where there are none; 0 for padding and ignored labels). To one without, what
            has weight 0 in the data is zeros, and a warning says so. One whose first parameter is `y_true`, as in
            scikit-learn, gets targets first. One that needs the values of arrays (NumPy, scikit-learn) runs on the host
            after each epoch of `fit`, and in `evaluate`; verbs that are one program refuse it.
        penalty: a term added to the objective, `jaxann.regularizers.l2_penalty(1e-4)`; `loss` in the history has it,
            `validation_loss` has not.
        augment: changes of the training examples, new for each batch, `jaxann.data.mixup(0.2)`; several are applied
            one after the other, `(pad_and_crop(4), horizontal_flip(), mixup())`, the randomness of each by its place.
            Metrics of the training set compare with each example's own target, also in a mixture. Where one changes
            shapes (`random_window`), the model is initialized and validated with those that come out.
        stopping: `jaxann.train.early_stopping(patience=5)`; None trains for all epochs and returns the last weights.
        compute_dtype: "bfloat16" or "float16": layers compute in it, parameters and sums stay float32.
        on_nonfinite: at a loss, gradient or update that is not finite, or a gradient longer than 2^60 that no clip
            shortens, "stop" with the last good (or best) weights and a DivergedWarning; "raise" a DivergedError; "skip"
            the step, and stop after 10 in a row.
        shuffle: whether each epoch has a new order.
        probes: whether the history has figures of each layer too, measured on one batch after an epoch (gradients,
            steps, activations; `train.probing` lists them). They change no bit of the run and take a twentieth of its
            time; `ja.diagnose` reads them.
        batch_size, epochs: of this recipe's own, for verbs that are not given them (and for members of a population
            whose others have others).

    Peers: Keras' compile() holds loss, optimizer and metrics inside the model; PyTorch and flax leave it to a loop.

    Raises:
        InputError: an argument is out of range or of another kind, or stopping monitors what no history will have, or
            takes for better what the metric declares to be worse.
    """
    if isinstance(loss, str) or not callable(loss):
        fail("recipe", "loss", "a function (predictions, targets) -> values", loss, hint="See jaxann.losses.")
    if (got := misfit(loss, 2)) is not None:
        fail("recipe", "loss", "a function (predictions, targets) -> values", f" {got}")
    if penalty is not None and not isinstance(penalty, Penalty):
        fail("recipe", "penalty", "a penalty such as jaxann.regularizers.l2_penalty(1e-4), or None", penalty)
    if not isinstance(augment, tuple) or not all(isinstance(one, Augment) for one in augment):
        fail("recipe", "augment", "an augmentation such as jaxann.data.mixup(0.2), or several", augment)
    if stopping is not None and not isinstance(stopping, Stopping):
        fail("recipe", "stopping", "jaxann.train.early_stopping(...), or None", stopping)
    if compute_dtype is not None:
        check_choice("recipe", "compute_dtype", compute_dtype, DTYPES)
    check_choice("recipe", "on_nonfinite", on_nonfinite, _ON_NONFINITE)
    if not isinstance(shuffle, bool):
        fail("recipe", "shuffle", "True or False", shuffle)
    if not isinstance(probes, bool):
        fail("recipe", "probes", "True or False", probes)
    if batch_size is not None:
        check_integer("recipe", "batch_size", batch_size)
    if epochs is not None:
        check_integer("recipe", "epochs", epochs, 0)
    if stopping is not None:
        measured = ("loss", *(metrics or {}))
        known = (*_TAKEN, *(metrics or {}), *(f"validation_{name}" for name in measured))
        check_choice("recipe", "monitor of stopping", stopping.monitor, known)
        _check_mode(stopping, metrics or {})
    return ()


def as_recipe(function: str, value: Any) -> Recipe:
    """A recipe as it is.

    Raises:
        InputError: it is none.
    """
    if isinstance(value, Recipe):
        return value
    if isinstance(value, jax.tree_util.Partial | Layer):
        fail(function, "recipe", "a recipe", value, hint="ja.recipe(model, loss, optimizer) makes one.")
    fail(function, "recipe", "a recipe, ja.recipe(model, loss, optimizer)", value)
