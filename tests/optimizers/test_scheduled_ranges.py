"""What a schedule gives later is checked when the rule is made, as its first value is."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from jaxann import optimizers as o
from jaxann import schedules as s
from jaxann.core import InputError
from jaxann.optimizers import scheduled
from jaxann.schedules.base import real
from tests.catalogue import OPTIMIZERS, OptimizerRow

NAMES = ("momentum", "b1", "weight_decay", "beta", "adam_weight_decay")
ROWS = [row for row in OPTIMIZERS if set(NAMES) & row.build(0.1).arguments.keys()]
LATER = {
    "linear to its end": s.linear(0.5, 1000, end=-0.25),
    "a peak inside": s.cosine(-0.5, 4000, warmup=300, start=0.5, end=0.5),
    "one step": s.join((0.5, -0.5, 0.5), (700, 701)),
    "beyond all steps": s.polynomial(0.5, 20000, power=2.0, end=-0.001),
    "a cycle": s.cyclic(0.5, -0.1, step_up=200),
    "without an end": s.exponential(0.5, 100, 3.0),
    "pieces": s.piecewise_constant(0.5, ((100, 1.0), (5000, 3.0))),
}


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_later_value_out_of_range_is_refused_by_every_rule(row: OptimizerRow):
    rule = row.build(0.1)
    for name in set(NAMES) & rule.arguments.keys():
        with pytest.raises(InputError, match=rf"{name} must be in .*, got -1\.0\.\n.* gives at step 9\.$"):
            rule.replace(**{name: s.linear(0.5, 9, end=-1.0)})


@pytest.mark.parametrize("name", LATER)
def test_the_step_that_is_out_of_range_is_found(name: str):
    schedule: Any = LATER[name]
    with pytest.raises(InputError, match=r"^sgd: momentum must be in \[0, 1\), got ") as caught:
        o.sgd(0.1, momentum=schedule)
    message = str(caught.value)
    given = message.partition("got ")[2].partition(".\n")[0]
    step = int(message.rpartition(" ")[2].rstrip("."))
    value = float(schedule(step))
    assert not 0 <= value < 1 and value == pytest.approx(float(given), rel=1e-5)


def test_what_stays_in_range_is_taken():
    for schedule in (s.linear(0.9, 30, end=0.0), s.one_cycle(0.9, 100), s.cosine(0.2, 40, warmup=10), s.constant(0.0)):
        assert o.sgd(0.1, momentum=schedule).arguments["momentum"] is schedule
    own = o.sgd(0.1, momentum=lambda step: 0.5 - 0.001 * real(step))  # right for the first 500 steps
    assert callable(own.arguments["momentum"])
    with pytest.raises(InputError, match=r"momentum must be .*, got 1\.5"):
        o.sgd(0.1, momentum=lambda step: 1.5 + 0 * real(step))
    mapped = jax.vmap(lambda top: o.sgd(0.1, momentum=s.linear(top, 5)).init({"w": jnp.ones(2)}).step)(jnp.ones(3))
    assert mapped.shape == (3,)  # traced numbers cannot be looked at


def test_equal_schedules_are_looked_at_once(monkeypatch: pytest.MonkeyPatch):
    seen = []
    inner = scheduled.value_at
    monkeypatch.setattr(scheduled, "value_at", lambda schedule, step: (seen.append(1), inner(schedule, step))[1])
    for _ in range(3):
        o.adamw(0.1, weight_decay=s.linear(0.123, 45))
    assert len(seen) == 1
