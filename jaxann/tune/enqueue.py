"""Known settings that a search tries before any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxann.core.checks import fail
from jaxann.tune.dimensions import Dimension, plain
from jaxann.tune.on_host import on_host

__all__ = ["Dimensions", "Enqueued", "Settings", "enqueue"]

Dimensions = Mapping[str, Dimension]
Settings = Mapping[str, Sequence | np.ndarray | jax.Array]


class Enqueued(NamedTuple):
    """A space, or columns of settings, with known settings before it; made by `enqueue`."""

    space: Dimensions | Settings
    settings: tuple[dict[str, Any], ...]


@on_host
def enqueue(space: Dimensions | Settings, settings: Sequence[Mapping[str, object]]) -> Enqueued:
    """The space, or the columns of settings, with known settings that are tried first.

        space = {"learning_rate": ja.tune.log_uniform(1e-5, 1e-1), "width": ja.tune.integer(8, 512, log=True)}
        table = ja.tune.hyperband(build, ja.tune.enqueue(space, [{"learning_rate": 1e-3, "width": 64}]), data, ...)

    Every search and sampler takes it in the place of a space or of columns. What it draws begins with these settings,
    and goes on as it does without them: a draw of n is the known ones and the first n less their number of those drawn
    from the same key. In a grid, and among columns, a setting that is known already does not come again. Under a time
    budget `cross_validate` trains them before the others, each to its end.

    Args:
        space: from name to dimension; or from name to column, for searches over given settings.
        settings: each a dict with a value for every name of the space; the names of inactive conditionals may be left
            out. That the values are in their dimensions is checked by the search.

    Peers: Optuna's `Study.enqueue_trial`, Ray Tune's `points_to_evaluate`.

    Raises:
        InputError: the space is no dict, or the settings no list of dicts.
    """
    if not isinstance(space, Mapping) or not space:
        fail("enqueue", "space", "a dict from names to dimensions or columns", space)
    if isinstance(settings, Mapping | str) or not isinstance(settings, Sequence):
        fail("enqueue", "settings", "a list of dicts, one a setting", settings)
    for number, setting in enumerate(settings):
        if not isinstance(setting, Mapping):
            fail("enqueue", f"settings[{number}]", "a dict from name to value", setting)
    return Enqueued(space, tuple({name: plain(value) for name, value in one.items()} for one in settings))
