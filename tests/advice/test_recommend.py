"""What is recommended for which facts: the printed table row by row, the rules that take its place, the reasons."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

import jaxann as ja
from jaxann.advice import Facts, in_deviations, recommend
from tests.contract import assert_input_error, compiles

TABLE = Facts("regression", 5_000, (8,))
PICTURES = Facts("multiclass", 50_000, (32, 32, 3), "images", 10)
SEQUENCES = Facts("multiclass", 3_000, (40, 5), "sequences", 4)
TEXTS = Facts("multiclass", 3_000, (40,), "ids", 4, vocabulary=99)

# The table as it is printed: (task, what it goes by) -> (activation, loss, optimizers). One column holds hidden and
# last activation, and none gives a reason.
NOTES = {
    ("regression", "more independent features"): ("none or relu", "squared_error", ("adam", "rmsprop")),
    ("regression", "less independent features"): ("none or relu", "squared_error", ("adam", "sgd")),
    ("binary", "more independent features"): ("sigmoid", "sigmoid_cross_entropy", ("adam", "rmsprop")),
    ("binary", "less independent features"): ("sigmoid", "sigmoid_cross_entropy", ("adam", "sgd")),
    ("multiclass", "more independent features"): ("softmax", "softmax_cross_entropy", ("adam", "rmsprop")),
    ("multiclass", "less independent features"): ("softmax", "softmax_cross_entropy", ("adam", "sgd")),
    ("convolutional", "large data"): ("relu", "softmax_cross_entropy", ("adam", "rmsprop")),
    ("convolutional", "small data"): ("relu", "softmax_cross_entropy", ("adam", "sgd")),
    ("recurrent", "large data"): ("relu", "softmax_cross_entropy", ("adam", "rmsprop")),
    ("recurrent", "small data"): ("relu", "softmax_cross_entropy", ("adam", "sgd")),
}
BASES = {
    "regression": TABLE,
    "binary": TABLE._replace(task="binary"),
    "multiclass": TABLE._replace(task="multiclass", classes=3),
    "convolutional": Facts("multiclass", 2_500, (28, 28, 1), "images", 10),
    "recurrent": SEQUENCES,
}
CONDITIONS: dict[str, dict[str, Any]] = {
    "more independent features": {"correlation": 0.1},
    "less independent features": {"correlation": 0.99},
    "large data": {"examples": 60_000},
    "small data": {"examples": 2_500},
}
# What of a row does not hold, and which reason says so.
CORRECTED = {
    "regression": {"last layer": "E54", "optimizer": "E56"},
    "binary": {"optimizer": "E56"},
    "multiclass": {"optimizer": "E56"},
    "convolutional": {},
    "recurrent": {"hidden activation": "E55", "optimizer": "E56"},
}


@functools.cache
def recommended(facts: Facts) -> Any:
    """What is recommended, asked once."""
    return recommend(facts)


def reason(facts: Facts, choice: str) -> Any:
    """The reason for one choice."""
    return next(one for one in recommended(facts).reasons if one.choice == choice)


def base(loss: Any) -> Any:
    """A loss without the settings bound to it."""
    return loss.func if isinstance(loss, functools.partial) else loss


def rule(facts: Facts) -> Any:
    """The optimizer with a schedule's numbers left out: which rule it is."""
    chosen = reason(facts, "optimizer")
    return chosen.value, chosen.reason


@pytest.mark.parametrize(("task", "condition"), NOTES)
def test_each_row_of_the_printed_table(task: str, condition: str):
    activation, loss, _ = NOTES[task, condition]
    facts = BASES[task]._replace(**CONDITIONS[condition])
    found = recommended(facts)
    assert base(found.recipe.loss) is getattr(ja.losses, loss)
    last, hidden = reason(facts, "last layer"), reason(facts, "hidden activation")
    assert ("linear" if activation == "none or relu" else activation.replace("relu", "softmax")) in last.value
    assert hidden.value.startswith("tanh" if task == "recurrent" else "relu")
    for choice, number in CORRECTED[task].items():
        assert f"erratum {number}" in reason(facts, choice).reason
        assert any(row.number == number for row in ja.teach.errata())


@pytest.mark.parametrize("task", BASES)
def test_neither_size_nor_dependence_choose_the_optimizer(task: str):
    rows = [condition for name, condition in NOTES if name == task]
    rules = [rule(BASES[task]._replace(**CONDITIONS[condition])) for condition in rows]
    assert rules[0] == rules[1] and NOTES[task, rows[0]][2] != NOTES[task, rows[1]][2]


def test_dependent_features_are_scaled_and_the_reason_says_why():
    assert "conditioning" in reason(TABLE._replace(examples=900, correlation=0.99), "preparation").reason
    assert "conditioning" not in reason(TABLE._replace(examples=900, correlation=0.5), "preparation").reason


NETS = {
    "few rows": (TABLE._replace(examples=300), "mlp((64, 1))"),
    "some rows": (TABLE._replace(examples=3_000), "mlp((128, 128, 1))"),
    "many rows": (TABLE._replace(examples=50_000), "mlp((256, 256, 1))"),
    "few pictures": (PICTURES._replace(examples=800), "3 stages"),
    "grey pictures": (PICTURES._replace(shape=(28, 28, 1)), "2 stages"),
    "pictures": (PICTURES, "resnet_cifar(20)"),
    "large pictures": (PICTURES._replace(shape=(224, 224, 3)), "resnet(18)"),
    "a million large pictures": (PICTURES._replace(shape=(224, 224, 3), examples=1_000_000), "resnet(50)"),
    "a class at each place": (PICTURES._replace(target_shape=(32, 32)), "unet"),
    "sequences": (SEQUENCES, "recurrent_classifier"),
    "long sequences": (SEQUENCES._replace(shape=(2_000, 5)), "temporal_conv_net"),
    "a class at each position": (SEQUENCES._replace(target_shape=(40,)), "bidirectional(lstm(64))"),
    "numbers at each position": (
        SEQUENCES._replace(task="regression", classes=None, target_shape=(40, 2)),
        "lstm(64)",
    ),
    "texts": (TEXTS, "recurrent_classifier"),
    "many texts": (TEXTS._replace(examples=200_000), "bert"),
    "little text": (Facts("language", 1_000, (64,), "ids", vocabulary=65), "recurrent_language_model"),
    "much text": (Facts("language", 200_000, (64,), "ids", vocabulary=65), "gpt(features=256"),
    "very much text": (Facts("language", 2_000_000, (64,), "ids", vocabulary=65), "gpt(features=768"),
    "pairs": (
        Facts("translation", 9_000, (12,), "pair", vocabulary=50, target_vocabulary=60, target_shape=(9,)),
        "recurrent_encoder_decoder",
    ),
    "many pairs": (
        Facts("translation", 90_000, (12,), "pair", vocabulary=50, target_vocabulary=60, target_shape=(9,)),
        "transformer",
    ),
    "a code of a table": (Facts("reconstruction", 3_000, (9,), target_shape=(9,), components=3), "autoencoder((18, 3)"),
    "a code of pictures": (
        Facts("reconstruction", 3_000, (16, 16, 1), "images", target_shape=(16, 16, 1)),
        "conv_autoencoder",
    ),
    "categories alone": (Facts("binary", 3_000, (), categories=(3, 5)), "mlp((128, 128, 1))"),
}


@pytest.mark.parametrize("name", NETS)
def test_the_net_goes_by_what_there_is_to_learn_from(name: str):
    facts, wanted = NETS[name]
    assert wanted in reason(facts, "net").value


def example(facts: Facts, rows: int = 2) -> Any:
    """Shapes of a batch of such inputs."""

    def like(shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((rows, *shape), dtype)

    if facts.inputs == "pair":
        return {"source": like(facts.shape, jnp.int32), "target": like(facts.target_shape, jnp.int32)}
    x = like(facts.shape, jnp.int32 if facts.inputs == "ids" else jnp.float32)
    codes = {"categories": like((len(facts.categories),), jnp.int32)} if facts.categories else {}
    return x if not codes else codes | ({"numbers": x} if facts.shape else {})


SHAPES = NETS | {
    "multilabel": (TABLE._replace(task="multilabel", target_shape=(5,)), ""),
    "one column of answers": (TABLE._replace(task="binary", target_shape=(1,)), ""),
    "two numbers": (TABLE._replace(target_shape=(2,), center=(1.0, 2.0), deviation=(1.0, 50.0)), ""),
    "quantiles": (TABLE._replace(task="quantiles", levels=(0.1, 0.9)), ""),
    "quantiles of two numbers": (
        TABLE._replace(task="quantiles", levels=(0.1, 0.9), target_shape=(2,), center=(0.0, 9.0), deviation=(1.0, 2.0)),
        "",
    ),
    "counts": (TABLE._replace(task="counts", center=(3.0,), deviation=(2.0,)), ""),
    "numbers and categories": (TABLE._replace(categories=(3, 4), missing=0.1, heavy=0.5), ""),
    "bounded numbers of pictures": (PICTURES._replace(task="regression", classes=None, bounds=(0.0, 1.0)), ""),
}


@pytest.mark.parametrize("name", SHAPES)
def test_model_and_loss_fit_the_target(name: str):
    """By shapes alone: the loss takes what the model gives, and the number of parameters is the model's."""
    facts = SHAPES[name][0]
    found, x = recommended(facts), example(facts)
    whole = facts.task in ("multiclass", "language", "translation")
    target = facts.target_shape if facts.task != "language" else facts.shape
    y = jax.ShapeDtypeStruct((2, *target), jnp.int32 if whole else jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    params, state = jax.eval_shape(found.recipe.model.init, key, x)
    predictions = jax.eval_shape(lambda p, s, x: found.recipe.model.apply(p, s, x)[0], params, state, x)
    values = jax.eval_shape(lambda p, y: found.recipe.loss(p, y), predictions, y)
    assert values.shape[0] == 2
    assert found.parameters == sum(leaf.size for leaf in jax.tree.leaves(params))


def test_every_choice_has_a_reason_and_a_source():
    for facts, _ in SHAPES.values():
        found = recommended(facts)
        choices = [one.choice for one in found.reasons]
        assert len(set(choices)) == len(choices)
        wanted = {"task", "net", "hidden activation", "last layer", "loss", "metrics", "regularization", "optimizer",
                  "learning rate", "batch size", "epochs", "stopping"}  # fmt: skip
        assert wanted <= set(choices)
        for one in found.reasons:
            assert all(text.strip() for text in one), one
            assert one.reason.rstrip().endswith(".") and any(digit.isdigit() for digit in one.source), one
            assert (
                str(one).replace("\n", " ").split() == f"{one.choice} {one.value} {one.reason} [{one.source}]".split()
            )


def test_it_reads_as_a_page():
    found = recommend(TABLE._replace(examples=500, lowest=0.0, center=(3.0,), deviation=(2.0,)))
    text = str(found)
    assert max(map(len, text.splitlines())) <= 100
    assert text.startswith("regression from 500 examples of a table (8)")
    assert all(one.choice in text for one in found.reasons) and "Grinsztajn" in text and "bounds=(0, None)" in text


def test_the_same_facts_give_the_same_recommendation():
    for facts, _ in list(SHAPES.values())[::5]:
        first, second = recommended(facts), recommend(facts)
        assert first.recipe == second.recipe and first.reasons == second.reasons and str(first) == str(second)


def test_options_change_facts():
    told = recommend(TABLE, "quantiles", levels=0.5).facts
    assert (told.task, told.levels) == ("quantiles", (0.5,))
    assert recommend(TABLE, bounds=(0, None)).facts.bounds == (0.0, None)


def test_imbalance_weighs_classes_as_scikit_learn_does():
    counts = [600, 360, 40]
    shares = tuple(n / 1000 for n in counts)
    facts = TABLE._replace(task="multiclass", classes=3, shares=shares, examples=1000)
    found = recommend(facts).recipe
    wanted = compute_class_weight("balanced", classes=np.arange(3), y=np.repeat(np.arange(3), counts))
    np.testing.assert_allclose(found.loss.keywords["class_weights"], wanted, rtol=5e-3)  # three digits
    assert list(found.metrics) == ["balanced_accuracy", "f1"]
    binary = recommend(TABLE._replace(task="binary", shares=(0.04,))).recipe
    assert binary.loss.keywords["positive_weight"] == pytest.approx(0.96 / 0.04)
    assert list(binary.metrics) == ["balanced_accuracy", "average_precision"]
    assert recommend(facts._replace(shares=(0.3, 0.3, 0.4))).recipe.loss is ja.losses.softmax_cross_entropy
    assert base(recommend(TABLE._replace(task="binary", shares=(0.001,))).recipe.loss) is ja.losses.sigmoid_focal
    labels = recommend(TABLE._replace(task="multilabel", target_shape=(3,), shares=(0.5, 0.05, 0.0))).recipe.loss
    np.testing.assert_allclose(labels.keywords["positive_weight"], [1, 19, 1])


def test_rare_classes_are_told():
    facts = TABLE._replace(task="multiclass", classes=3, shares=(0.5, 0.499, 0.001))
    assert any("the rarest 5" in note for note in recommend(facts).notes)


def test_outliers_ask_for_a_robust_loss():
    facts = TABLE._replace(center=(10.0,), deviation=(2.0,), outliers=0.02)
    found = recommend(facts).recipe
    assert base(found.loss) is ja.losses.huber and found.loss.keywords["delta"] == pytest.approx(2.69)
    assert "r2" not in found.metrics
    assert recommend(facts._replace(outliers=0.0)).recipe.loss is ja.losses.squared_error


def test_in_deviations_is_the_error_of_scaled_numbers():
    random = np.random.default_rng(0)
    p, y = (random.normal(size=(6, 2)).astype(np.float32) * [1, 100] for _ in range(2))
    found = in_deviations(ja.losses.squared_error, (1.0, 100.0))(jnp.asarray(p, jnp.float32), y)
    np.testing.assert_allclose(found, ((p - y) / [1, 100]) ** 2, rtol=1e-5)


def test_the_end_of_the_net_has_the_targets_scale_and_bounds():
    net = dict(recommend(TABLE._replace(center=(1234.0,), deviation=(56.0,))).recipe.model.children)
    assert net["scale"] == ja.layers.unstandardize(1230.0, 56.0)
    above = recommend(TABLE._replace(center=(5.0,), deviation=(2.0,), bounds=(0.0, None))).recipe.model
    between = recommend(TABLE._replace(bounds=(-1.0, 3.0))).recipe.model
    z = jnp.linspace(-30.0, 30.0, 7)[:, None]
    for model, low, high in ((above, 0, np.inf), (between, -1, 3)):
        for name, child in list(model.children.items())[1:]:
            z = child.apply({}, {}, z)[0] if name != "shape" else z
        assert z.min() >= low and z.max() <= high
        z = jnp.linspace(-30.0, 30.0, 7)[:, None]


def test_examples_a_parameter_say_how_much_holds_back():
    few, some, many = (recommend(TABLE._replace(examples=n)) for n in (300, 4_900, 2_000_000))
    dropout = [reason(TABLE._replace(examples=n), "regularization").value for n in (300, 4_900, 2_000_000)]
    assert dropout == ["dropout 0.3, weight decay 0.01", "dropout 0.3, weight decay 0.01", "weight decay 0.0001"]
    assert few.parameters < some.parameters < many.parameters
    assert few.batch_size < many.batch_size and few.epochs > many.epochs


def test_without_validation_nothing_asks_for_it():
    found = recommend(TABLE, validated=False)
    assert found.recipe.stopping is None and "cosine" in str(found.recipe.optimizer)
    patient = recommended(TABLE)
    assert patient.recipe.stopping.patience == max(10, round(patient.epochs / 10))
    kept = recommended(PICTURES).recipe
    assert kept.stopping.patience is None and kept.stopping.restore_best


def test_a_schedule_spans_the_run():
    found = recommended(PICTURES)
    steps = -(-PICTURES.examples // found.batch_size) * found.epochs
    sgd = found.recipe.optimizer.arguments["transforms"][-1]
    schedule = sgd.arguments["learning_rate"]
    assert float(schedule(steps)) == 0 and float(schedule(steps - 1)) > 0
    assert float(schedule(round(0.03 * steps))) == pytest.approx(0.1)


def test_a_shorter_run_has_a_shorter_schedule():
    found = recommend(PICTURES, epochs=2)
    steps = 2 * -(-PICTURES.examples // found.batch_size)
    assert found.epochs == found.recipe.epochs == 2 and f"cosine(0.1, {steps}," in str(found)


def test_nothing_is_compiled():
    before = compiles()
    recommend(TABLE), recommend(SEQUENCES), recommend(TEXTS)
    x = np.random.default_rng(0).normal(size=(50, 3))
    recommend((x, x[:, 0])), recommend(x)
    assert compiles() == before


BAD = {
    "task": (lambda: recommend(TABLE, "classes"), "task"),
    "examples": (lambda: recommend(TABLE._replace(examples=0)), "examples"),
    "shape": (lambda: recommend(TABLE._replace(shape=(3, 3))), "shape"),
    "shape, no integers": (lambda: recommend(TABLE._replace(shape=(2.5,))), "each of shape"),
    "classes missing": (lambda: recommend(TABLE._replace(task="multiclass")), "classes"),
    "classes of numbers": (lambda: recommend(TABLE._replace(classes=3)), "classes"),
    "levels missing": (lambda: recommend(TABLE, "quantiles"), "levels"),
    "levels": (lambda: recommend(TABLE, "quantiles", levels=(0.5, 1.0)), "each of levels"),
    "levels of no quantiles": (lambda: recommend(TABLE, levels=0.5), "levels"),
    "bounds": (lambda: recommend(TABLE, bounds=(1, 0)), "high of bounds"),
    "bounds above alone": (lambda: recommend(TABLE, bounds=(None, 0)), "bounds"),
    "bounds of classes": (lambda: recommend(TABLE._replace(task="binary"), bounds=(0, 1)), "bounds"),
    "vocabulary": (lambda: recommend(TEXTS._replace(vocabulary=None)), "vocabulary"),
    "inputs": (lambda: recommend(TEXTS._replace(inputs="text")), "inputs"),
    "language of numbers": (lambda: recommend(TABLE, "language"), "inputs"),
    "target_shape": (lambda: recommend(TABLE._replace(target_shape=(2, 3))), "target_shape"),
    "several answers": (lambda: recommend(TABLE._replace(task="binary", target_shape=(4,))), "target_shape"),
    "share": (lambda: recommend(TABLE._replace(task="binary", shares=(1.5,))), "each of shares"),
    "deviation": (lambda: recommend(TABLE._replace(center=(0.0,), deviation=(0.0,))), "each of deviation"),
    "validated": (lambda: recommend(TABLE, validated=1), "validated"),
    "epochs": (lambda: recommend(TABLE, epochs=0), "epochs"),
}


@pytest.mark.parametrize("name", BAD)
def test_facts_that_do_not_go_together_are_refused(name: str):
    call, argument = BAD[name]
    assert_input_error(call, argument)
