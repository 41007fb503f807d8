"""Every public argument that takes an array, with a right array for it and the call that reads it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import jaxann as ja
from tests.train import diagnosis_arguments, importance_arguments

__all__ = ["CASES", "JAX_ALONE"]

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(8, 3)).astype(np.float32)
Y = RANDOM.normal(size=(8, 2)).astype(np.float32)
LABELS = (np.arange(8) % 2).astype(np.int32)
WEIGHTS = np.ones(8, np.float32)
IMAGES = np.ones((8, 4, 4), np.float32)
KEY = jax.random.key(0)
MODEL = ja.layers.dense(2)
WEIGHT = np.ones((3, 2), np.float32)
Q = np.ones((2, 3, 3, 2), np.float32)  # queries of heads
Z = np.ones((3, 2, 8), np.float32)  # of sequences, time first
PARAMS, STATE = {"weight": WEIGHT, "bias": np.zeros(2, np.float32)}, {}
LOSS = ja.losses.squared_error
RECIPE = ja.recipe(MODEL, LOSS, ja.optimizers.sgd(0.1), batch_size=8, epochs=1)
RUN = ja.train.make_run(RECIPE)
RATES = np.array([0.1, 0.2])
WRITER = ja.layers.sequential({"embed": ja.layers.embedding(3, 2), "rnn": ja.layers.gru(2), "out": ja.layers.dense(3)})
WRITTEN = WRITER.init(jax.random.key(0), LABELS[:, None])
SEQUENCES = np.ones((8, 5, 3), np.float32)
ATTENTION = ja.layers.multi_head_attention(4, 2, use_bias=False)
ATTENDED = ATTENTION.init(jax.random.key(0), SEQUENCES)

JAX_ALONE = ("ops.",)  # formulas that hand their arrays to JAX as they are; it refuses masked ones itself


def weighed(params, batch):
    return {"a": batch @ params["a"]["weight"]}


def build(hyper):
    return RECIPE.replace(optimizer=ja.optimizers.sgd(hyper["rate"]))


def batch(call: Callable[[Any], Any]) -> dict[str, tuple[Any, Callable[[Any], Any]]]:
    """The three arrays of a batch."""
    return {
        " x": (X, lambda v: call((v, Y))),
        " y": (Y, lambda v: call((X, v))),
        " weights": (WEIGHTS, lambda v: call((X, Y, v))),
    }


def several(name: str, cases: dict[str, tuple[Any, Callable[[Any], Any]]]) -> dict[str, tuple[Any, Any]]:
    return {name + rest: case for rest, case in cases.items()}


POPULATION = functools.partial(ja.train.fit_population, build, keys=jax.random.split(KEY, 2), epochs=1, batch_size=8)
SEARCH: dict[str, Any] = {"key": KEY, "epochs": 1}
SPACE = {"rate": ja.tune.log_uniform(0.01, 0.1)}


def written_by(verb: Callable[..., Any], name: str, value: Any) -> Any:
    """What a verb that writes on makes of a table or of a prompt."""
    params, state = WRITTEN
    if name == "params":
        return verb(WRITER, params | {"embed": {"weight": value}}, state, LABELS[:, None], length=1)
    return verb(WRITER, params, state, value, length=1)


CASES: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    **several("fit: train", batch(lambda d: ja.fit(RECIPE, d, key=KEY))),
    **several("fit: validation", batch(lambda d: ja.fit(RECIPE, (X, Y), key=KEY, validation=d))),
    "fit: initial": (WEIGHT, lambda v: ja.fit(RECIPE, (X, Y), key=KEY, initial=(PARAMS | {"weight": v}, STATE))),
    **several("train.make_run: train", batch(lambda d: RUN(KEY, d))),
    **several("train.make_run: validation", batch(lambda d: RUN(KEY, (X, Y), d))),
    **several("train.make_run inside: train", batch(lambda d: jax.eval_shape(lambda x: RUN(KEY, d, (x, Y)), X))),
    **several("train.make_run inside: validation", batch(lambda d: jax.eval_shape(lambda x: RUN(KEY, (x, Y), d), X))),
    "train.make_run: initial": (WEIGHT, lambda v: RUN(KEY, (X, Y), None, (PARAMS | {"weight": v}, STATE))),
    **several("train.fit_population: train", batch(lambda d: POPULATION({"rate": RATES}, d))),
    **several("train.fit_population: validation", batch(lambda d: POPULATION({"rate": RATES}, (X, Y), validation=d))),
    "train.fit_population: hyperparameters": (RATES, lambda v: POPULATION({"rate": v}, (X, Y))),
    "train.fit_population: dataset": (
        np.zeros(2, np.int32),
        lambda v: POPULATION({"rate": RATES}, [(X, Y), (X, Y)], dataset=v),
    ),
    "predict: x": (X, lambda v: ja.predict(MODEL, PARAMS, STATE, v)),
    "predict inside: x": (X, lambda v: jax.eval_shape(lambda p: ja.predict(MODEL, p, STATE, v), PARAMS)),
    **{
        f"train.{verb.__name__}: {name}": (array, functools.partial(written_by, verb, name))
        for verb in (ja.train.generate, ja.train.stream, ja.train.beam_search)
        for name, array in {"params": WEIGHT, "prompt": LABELS[:, None]}.items()
    },
    "predict: params": (WEIGHT, lambda v: ja.predict(MODEL, PARAMS | {"weight": v}, STATE, X)),
    **several("train.evaluate: data", batch(lambda d: ja.train.evaluate(RECIPE, PARAMS, STATE, d))),
    **several(
        "train.evaluate inside: data",
        batch(lambda d: jax.eval_shape(lambda p: ja.train.evaluate(RECIPE, p, STATE, d), PARAMS)),
    ),
    "train.evaluate: params": (WEIGHT, lambda v: ja.train.evaluate(RECIPE, PARAMS | {"weight": v}, STATE, (X, Y))),
    "train.monte_carlo_predict: x": (
        X,
        lambda v: ja.train.monte_carlo_predict(MODEL, PARAMS, STATE, v, key=KEY, samples=2),
    ),
    "train.monte_carlo_predict: params": (
        WEIGHT,
        lambda v: ja.train.monte_carlo_predict(MODEL, PARAMS | {"weight": v}, STATE, X, key=KEY, samples=2),
    ),
    **several("train.export_run: train", batch(lambda d: ja.train.export_run(None, build, {"rate": 0.1}, d))),
    **several(
        "train.export_run: validation",
        batch(lambda d: ja.train.export_run(None, build, {"rate": 0.1}, (X, Y), validation=d)),
    ),
    **several("recommend: data", batch(ja.recommend)),
    "train.ensemble.classify: predictions": (np.ones((2, 8, 2), np.float32), ja.train.ensemble.classify),
    "train.ensemble.regress: predictions": (np.ones((2, 8), np.float32), ja.train.ensemble.regress),
    "train.ensemble.mixture: means": (
        np.ones((2, 8), np.float32),
        lambda v: ja.train.ensemble.mixture(v, np.ones((2, 8), np.float32)),
    ),
    "train.ensemble.mixture: variances": (
        np.ones((2, 8), np.float32),
        lambda v: ja.train.ensemble.mixture(np.ones((2, 8), np.float32), v),
    ),
    **several(
        "tune.hypergradient: train",
        batch(lambda d: ja.tune.hypergradient(build, {"rate": 0.1}, d, (X, Y), **SEARCH)),
    ),
    **several(
        "tune.hypergradient: validation",
        batch(lambda d: ja.tune.hypergradient(build, {"rate": 0.1}, (X, Y), d, **SEARCH)),
    ),
    **several(
        "tune.cross_validate: data", batch(lambda d: ja.tune.cross_validate(build, {"rate": RATES}, d, **SEARCH))
    ),
    "tune.cross_validate: hyperparameters": (
        RATES,
        lambda v: ja.tune.cross_validate(build, {"rate": v}, (X, Y), **SEARCH),
    ),
    **several(
        "tune.nested_cross_validate: data",
        batch(lambda d: ja.tune.nested_cross_validate(build, {"rate": RATES}, d, outer=2, inner=2, **SEARCH)),
    ),
    **several(
        "tune.halving: data",
        batch(lambda d: ja.tune.halving(build, {"rate": RATES}, d, validation=(X, Y), **SEARCH)),
    ),
    **several("tune.hyperband: data", batch(lambda d: ja.tune.hyperband(build, SPACE, d, validation=(X, Y), **SEARCH))),
    **several(
        "tune.population_based: data",
        batch(lambda d: ja.tune.population_based(build, SPACE, d, validation=(X, Y), members=4, **SEARCH)),
    ),
    **several(
        "tune.bayes: data", batch(lambda d: ja.tune.bayes(build, SPACE, d, validation=(X, Y), trials=1, **SEARCH))
    ),
    "tune.grouped_k_fold: groups": (LABELS, lambda v: ja.tune.grouped_k_fold(v, 2, key=KEY)),
    "tune.stratified_k_fold: labels": (LABELS, lambda v: ja.tune.stratified_k_fold(v, 2, key=KEY)),
    "tune.decode: unit_points": (np.full((2, 1), 0.5), lambda v: ja.tune.decode(SPACE, v)),
    "backprop.forward: x": (X, lambda v: ja.backprop.forward(MODEL, PARAMS, STATE, v)),
    "backprop.forward: example_mask": (
        WEIGHTS,
        lambda v: ja.backprop.forward(MODEL, PARAMS, STATE, X, example_mask=v),
    ),
    "backprop.forward: sequence_mask": (
        np.ones((8, 5)),
        lambda v: ja.backprop.forward(MODEL, PARAMS, STATE, np.ones((8, 5, 3), np.float32), sequence_mask=v),
    ),
    "backprop.forward: params": (WEIGHT, lambda v: ja.backprop.forward(MODEL, PARAMS | {"weight": v}, STATE, X)),
    "backprop.backward: x": (X, lambda v: ja.backprop.backward(MODEL, PARAMS, STATE, v, Y, LOSS)),
    "backprop.backward: y": (Y, lambda v: ja.backprop.backward(MODEL, PARAMS, STATE, X, v, LOSS)),
    "backprop.backward: params": (
        WEIGHT,
        lambda v: ja.backprop.backward(MODEL, PARAMS | {"weight": v}, STATE, X, Y, LOSS),
    ),
    "backprop.backward: weights": (
        WEIGHTS,
        lambda v: ja.backprop.backward(MODEL, PARAMS, STATE, X, Y, LOSS, weights=v),
    ),
    "backprop.backward: example_mask": (
        WEIGHTS,
        lambda v: ja.backprop.backward(MODEL, PARAMS, STATE, X, Y, LOSS, example_mask=v),
    ),
    "backprop.backward: sequence_mask": (
        np.ones((8, 5)),
        lambda v: ja.backprop.backward(
            MODEL, PARAMS, STATE, np.ones((8, 5, 3), np.float32), np.ones((8, 5, 2)), LOSS, sequence_mask=v
        ),
    ),
    "backprop.value_and_grad: x": (X, lambda v: ja.backprop.value_and_grad(MODEL, LOSS)(PARAMS, STATE, v, Y)),
    "backprop.value_and_grad: y": (Y, lambda v: ja.backprop.value_and_grad(MODEL, LOSS)(PARAMS, STATE, X, v)),
    "backprop.value_and_grad: weights": (
        WEIGHTS,
        lambda v: ja.backprop.value_and_grad(MODEL, LOSS)(PARAMS, STATE, X, Y, weights=v),
    ),
    "core.Layer.apply: x": (X, lambda v: MODEL.apply(PARAMS, STATE, v)),
    "core.padded: values": (np.ones((8, 5, 3)), lambda v: ja.core.padded(v, np.full(8, 3))),
    "core.padded: lengths": (np.full(8, 3), lambda v: ja.core.padded(np.ones((8, 5, 3)), v)),
    "core.unpadded: predictions": (Y, lambda v: ja.core.unpadded(v, Y)),
    "core.unpadded: targets": (Y, lambda v: ja.core.unpadded(Y, v)),
    "core.unpadded: weights": (WEIGHTS, lambda v: ja.core.unpadded(Y, Y, v)),
    "data.mixup: x": (X, lambda v: ja.data.mixup(0.2)(KEY, v, Y)),
    "data.language_windows: ids": (np.arange(9), lambda v: ja.data.language_windows(v, 3)),
    "data.random_swap: x": (np.ones((8, 4), np.int32), lambda v: ja.data.random_swap(0.5)(KEY, v, Y)),
    "data.random_window: y": (IMAGES, lambda v: ja.data.random_window(2)(KEY, IMAGES, v)),
    "data.time_stretch: x": (X, lambda v: ja.data.time_stretch()(KEY, v, LABELS)),
    "data.Tokenizer.decode: ids": (np.arange(9), lambda v: ja.data.byte_tokenizer().decode(v)),
    "data.Tokenizer.decode_batch: batch": (
        np.ones((2, 4), np.int32),
        lambda v: ja.data.byte_tokenizer().decode_batch(v),
    ),
    "data.mixup: y": (Y, lambda v: ja.data.mixup(0.2)(KEY, X, v)),
    "data.cutmix: x": (IMAGES[..., None], lambda v: ja.data.cutmix(0.2)(KEY, v, Y)),
    "data.cutmix: y": (Y, lambda v: ja.data.cutmix(0.2)(KEY, IMAGES[..., None], v)),
    "data.cutout: x": (IMAGES[..., None], lambda v: ja.data.cutout(2)(KEY, v, Y)),
    "data.random_erasing: x": (IMAGES[..., None], lambda v: ja.data.random_erasing(0.5)(KEY, v, Y)),
    "diagnose.attention_maps: x": (SEQUENCES, lambda v: ja.diagnose.attention_maps(ATTENTION, *ATTENDED, v)),
    "diagnose.attention_maps: params": (
        ATTENDED[0]["qkv"]["weight"],
        lambda v: ja.diagnose.attention_maps(ATTENTION, ATTENDED[0] | {"qkv": {"weight": v}}, ATTENDED[1], SEQUENCES),
    ),
    "diagnose.attention_maps: sequence_mask": (
        np.ones((8, 5)),
        lambda v: ja.diagnose.attention_maps(ATTENTION, *ATTENDED, SEQUENCES, sequence_mask=v),
    ),
    **diagnosis_arguments.CASES,
    **importance_arguments.CASES,
    "diagnose.check_gradients: args": (
        X.astype(np.float64),
        lambda v: ja.diagnose.check_gradients(lambda a: (a**2).sum(), (v,)),
    ),
    "diagnose.check_layer: x": (X, lambda v: ja.diagnose.check_layer(MODEL, v)),
    "diagnose.check_loss: predictions": (Y, lambda v: ja.diagnose.check_loss(LOSS, v, Y + 1)),
    "diagnose.check_loss: targets": (Y, lambda v: ja.diagnose.check_loss(LOSS, Y + 1, v)),
    "initializers.log_prior: targets": (LABELS, lambda v: ja.initializers.log_prior(v, classes=2)),
    "initializers.lsuv: batch": (
        X,
        lambda v: ja.initializers.lsuv(weighed, {"a": {"weight": WEIGHT}}, v, key=KEY),
    ),
    "initializers.lsuv: params": (
        WEIGHT,
        lambda v: ja.initializers.lsuv(weighed, {"a": {"weight": v}}, X, key=KEY),
    ),
    "losses.mean: values": (Y, ja.losses.mean),
    "losses.mean: where": (Y > 0, lambda v: ja.losses.mean(Y, where=v)),
    "losses.mean: weights": (WEIGHTS, lambda v: ja.losses.mean(Y, weights=v)),
    "losses.masked: predictions": (Y, lambda v: ja.losses.masked(v, Y, where=WEIGHTS)),
    "losses.masked: targets": (Y, lambda v: ja.losses.masked(Y, v, where=WEIGHTS)),
    "losses.masked: where": (WEIGHTS, lambda v: ja.losses.masked(Y, Y, where=v)),
    "metrics.classification_report: predictions": (
        LABELS,
        lambda v: ja.metrics.classification_report(v, LABELS, classes=2),
    ),
    "metrics.classification_report: targets": (
        LABELS,
        lambda v: ja.metrics.classification_report(LABELS, v, classes=2),
    ),
    "metrics.classification_report: weights": (
        WEIGHTS,
        lambda v: ja.metrics.classification_report(LABELS, LABELS, v, classes=2),
    ),
    "neuron.fit_perceptron: x": (
        X,
        lambda v: ja.neuron.fit_perceptron(v, LABELS, learning_rate=0.1, bias_input=-1.0, epochs=1),
    ),
    "neuron.fit_perceptron: targets": (
        LABELS,
        lambda v: ja.neuron.fit_perceptron(X, v, learning_rate=0.1, bias_input=-1.0, epochs=1),
    ),
    "neuron.fit_perceptron: initial": (
        np.zeros(4, np.float32),
        lambda v: ja.neuron.fit_perceptron(X, LABELS, learning_rate=0.1, bias_input=-1.0, epochs=1, initial=v),
    ),
    **{
        f"neuron.{f.__name__}: {name}": (
            array,
            functools.partial(lambda f, name, given, v: f(**given | {name: v}), f, name, given),
        )  # fmt: skip
        for f, given in {
            ja.neuron.margin: {"x": X, "targets": LABELS, "weights": np.ones(4, np.float32), "bias_input": -1.0},
            ja.neuron.mistake_bound: {"x": X, "targets": LABELS, "weights": np.ones(4, np.float32), "bias_input": -1.0},
            ja.neuron.perceptron: {"x": X, "weights": np.ones(4, np.float32), "bias_input": -1.0},
            ja.neuron.threshold_unit: {"x": X, "weights": np.ones(3, np.float32), "threshold": 0.0},
            ja.neuron.threshold_net: {"x": X, "layers": ((np.ones((3, 1), np.float32), np.zeros(1, np.float32)),)},
        }.items()
        for name, array in given.items()
        if isinstance(array, np.ndarray)
    },
    **{
        f"ops.{f.__name__}: {name}": (
            array,
            functools.partial(lambda f, name, given, v: f(**given | {name: v}), f, name, given),
        )  # fmt: skip
        for f, given in {
            ja.ops.conv: {"x": IMAGES[..., None], "weight": np.ones((2, 2, 1, 3), np.float32), "bias": X[0]},
            ja.ops.conv_transpose: {"x": IMAGES[..., None], "weight": np.ones((2, 2, 3, 1), np.float32), "bias": X[0]},
            ja.ops.max_pool: {"x": IMAGES[..., None], "window": 2},
            ja.ops.avg_pool: {"x": IMAGES[..., None], "window": 2},
            ja.ops.lp_pool: {"x": IMAGES[..., None], "window": 2, "p": 2.0},
            ja.ops.adaptive_pool: {"x": IMAGES[..., None], "sizes": 2, "kind": "avg"},
            ja.ops.resize: {"x": IMAGES[..., None], "size": 3},
            ja.ops.pad: {"x": IMAGES[..., None], "widths": 1},
            ja.ops.crop: {"x": IMAGES[..., None], "widths": 1},
            ja.ops.ctc_greedy: {"logits": Z, "lengths": np.full(len(Z), 1)},
            ja.ops.ctc_beam_search: {"logits": Z, "lengths": np.full(len(Z), 1)},
            ja.ops.pixel_shuffle: {"x": np.ones((2, 3, 3, 4), np.float32), "factor": 2},
            ja.ops.pixel_unshuffle: {"x": IMAGES[..., None], "factor": 2},
            ja.ops.alpha_dropout: {"x": X, "key": KEY, "rate": 0.5},
            ja.ops.dropout: {"x": X, "key": KEY, "rate": 0.5},
            ja.ops.drop_block: {"x": IMAGES[..., None], "key": KEY, "rate": 0.5, "block": 2, "real": WEIGHTS},
            ja.ops.gaussian_dropout: {"x": X, "key": KEY, "rate": 0.5},
            ja.ops.gaussian_noise: {"x": X, "key": KEY, "stddev": 0.5},
            ja.ops.spatial_dropout: {"x": IMAGES, "key": KEY, "rate": 0.5},
            ja.ops.stochastic_depth: {"x": X, "key": KEY, "rate": 0.5},
            ja.ops.dense: {"x": X, "weight": WEIGHT, "bias": WEIGHT[0]},
            ja.ops.embed: {"ids": LABELS, "weight": WEIGHT},
            ja.ops.attention: {"query": Q, "key": Q, "value": Q, "mask": np.eye(3, dtype=bool), "bias": Q[0, :, :, :1]},
            ja.ops.attention_weights: {"query": Q, "key": Q, "mask": np.eye(3, dtype=bool), "bias": Q[0, :, :, :1]},
            ja.ops.attention_mask: {"queries": 2, "keys": 3, "real": WEIGHT.T > 0},
            ja.ops.rotary: {"x": Q, "positions": np.arange(3)},
            ja.ops.rnn: {"z": Z[:, :, :2], "h": Z[0, :, :2], "weight": Z[0, :2, :2], "mask": Z[:, :, 0] > 0},
            ja.ops.lstm: {"z": Z, "h": Z[0, :, :2], "c": Z[0, :, :2], "weight": Z[0, :2], "mask": Z[:, :, 0] > 0},
            ja.ops.gru: {
                "z": Z[:, :, :6],
                "h": Z[0, :, :2],
                "weight": Z[0, :2, :6],
                "bias": Z[0, 0, :6],
                "mask": Z[:, :, 0] > 0,
            },
            ja.ops.rnn_cell: {"z": Z[0, :, :2], "h": Z[0, :, :2], "weight": Z[0, :2, :2]},
            ja.ops.lstm_cell: {"z": Z[0], "h": Z[0, :, :2], "c": Z[0, :, :2], "weight": Z[0, :2]},
            ja.ops.gru_cell: {"z": Z[0, :, :6], "h": Z[0, :, :2], "weight": Z[0, :2, :6], "bias": Z[0, 0, :6]},
            ja.ops.batch_normalize: {"x": X, "scale": X[0], "bias": X[0], "eps": 1e-5, "mask": WEIGHTS},
            ja.ops.moments: {"x": X, "mask": WEIGHTS},
            ja.ops.normalize: {"x": X, "mean": X[0], "variance": X[0] ** 2, "scale": X[0], "bias": X[0], "eps": 1e-5},
            ja.ops.layer_norm: {"x": X, "scale": X[0], "bias": X[0], "mask": WEIGHTS},
            ja.ops.group_norm: {"x": X, "scale": X[0], "bias": X[0], "mask": WEIGHTS, "groups": 1},
            ja.ops.instance_norm: {"x": IMAGES, "scale": IMAGES[0, 0], "bias": IMAGES[0, 0], "mask": WEIGHTS},
            ja.ops.rms_norm: {"x": X, "scale": X[0]},
            ja.ops.weight_standardized: {"weight": WEIGHT, "scale": WEIGHT[0]},
            ja.ops.weight_norm: {"direction": WEIGHT, "scale": WEIGHT[0]},
            ja.ops.spectral_norm: {"weight": WEIGHT, "u": WEIGHT[0], "v": WEIGHT[:, 0]},
            ja.ops.power_iteration: {"weight": WEIGHT, "u": WEIGHT[0], "v": WEIGHT[:, 0]},
            ja.ops.ewma: {"x": X, "beta": 0.5},
            ja.ops.ewma_init: {"x": X},
            ja.ops.ewma_update: {"state": ja.ops.ewma_init(X), "x": X, "beta": 0.5},
        }.items()
        for name, array in given.items()
        if isinstance(array, np.ndarray)
    },
    "plot.confusion: predictions": (LABELS, lambda v: ja.plot.confusion(v, LABELS)),
    "plot.confusion: targets": (LABELS, lambda v: ja.plot.confusion(LABELS, v)),
    "plot.examples: x": (IMAGES, lambda v: ja.plot.examples(v, ["a"] * 8)),
    "plot.learning_curves: history": (WEIGHTS, lambda v: ja.plot.learning_curves({"loss": v}, "loss")),
    "plot.mistakes: x": (IMAGES, lambda v: ja.plot.mistakes(v, LABELS, LABELS)),
    "plot.mistakes: predictions": (LABELS, lambda v: ja.plot.mistakes(IMAGES, v, LABELS)),
    "plot.mistakes: targets": (LABELS, lambda v: ja.plot.mistakes(IMAGES, LABELS, v)),
    **{
        f"plot.report: {name}": (
            array,
            functools.partial(
                lambda name, v: ja.plot.report(
                    **{
                        "history": {"loss": WEIGHTS, "accuracy": WEIGHTS},
                        "predictions": LABELS,
                        "targets": LABELS,
                        "x": IMAGES,
                    }
                    | {name: v}
                ),
                name,
            ),
        )  # fmt: skip
        for name, array in {"predictions": LABELS, "targets": LABELS, "x": IMAGES}.items()
    },
    "metrics.edit_distance: predictions": (LABELS[:, None], lambda v: ja.metrics.edit_distance(v, LABELS[:, None])),
    "metrics.edit_distance: targets": (LABELS[:, None], lambda v: ja.metrics.edit_distance(LABELS[:, None], v)),
    "teach.explain: x": (X[:2], lambda v: ja.explain(RECIPE, PARAMS, v, Y[:2])),
    "teach.explain: y": (Y[:2], lambda v: ja.explain(RECIPE, PARAMS, X[:2], v)),
    "teach.explain: params": (WEIGHT, lambda v: ja.explain(RECIPE, PARAMS | {"weight": v}, X[:2], Y[:2])),
    "io.save: params": (WEIGHT, lambda v: ja.save("never.safetensors", MODEL, PARAMS | {"weight": v}, STATE)),
    "io.save_arrays: arrays": (WEIGHT, lambda v: ja.io.save_arrays("never.safetensors", {"a": v})),
}
