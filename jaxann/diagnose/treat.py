"""Treatment: a sick recipe and its remedies side by side, as one population from the same key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import check_integer, check_key, fail
from jaxann.core.programs import hands_over
from jaxann.core.typing import Key
from jaxann.diagnose.verdicts import Verdict
from jaxann.train.population import Population, fit_population
from jaxann.train.recipe import Recipe, as_recipe
from jaxann.train.run import Status

__all__ = ["Treatment", "treat"]


@dataclass(frozen=True)
class Treatment:
    """What `treat` found; print it for a table, the best first.

    Attributes:
        texts: "as it is", then each remedy's.
        recipes: what was trained.
        losses: the loss of each in the end, on the validation set where there is one; infinite for one that diverged.
        population: the runs.
    """

    texts: tuple[str, ...]
    recipes: tuple[Recipe, ...]
    losses: np.ndarray
    population: Population

    @property
    def best(self) -> Recipe:
        """The recipe with the least loss."""
        return self.recipes[int(np.argmin(self.losses))]

    @property
    def helped(self) -> tuple[str, ...]:
        """The remedies whose loss is below that of the recipe as it is, the best first."""
        order = np.argsort(self.losses, kind="stable")
        return tuple(self.texts[i] for i in order if self.losses[i] < self.losses[0])

    def __str__(self) -> str:
        order = np.argsort(self.losses, kind="stable")
        lines = [f"{'loss':>10}  treatment"]
        for i in order:
            told = "diverged" if np.isinf(self.losses[i]) else f"{self.losses[i]:.4g}"
            lines.append(f"{told:>10}  {self.texts[i]}")
        return "\n".join(lines)


@hands_over
def treat(
    recipe: Recipe,
    verdicts: Sequence[Verdict],
    data: tuple,
    key: Key,
    *,
    validation: tuple | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
) -> Treatment:
    """Train the recipe as it is and with each remedy, from the same key, and say which helped.

        found = ja.diagnose.preflight(recipe, train, key)
        treatment = ja.diagnose.treat(recipe, found.verdicts, train, key, validation=validation, epochs=20)
        print(treatment)
        recipe = treatment.best

    One population: remedies that change numbers alone (a rate) share a program, each that changes the net has its own.
    The first remedy of all verdicts together is among them where there is more than one verdict.

    Args:
        recipe: what is sick.
        verdicts: of `preflight` or `examine`; remedies that no recipe can carry out are left out.
        data, validation: as in `fit`.
        key: of all runs.
        epochs: of each.
        batch_size: examples an update, where neither the recipe nor a remedy says.

    Raises:
        InputError: no remedy changes the recipe, or what `fit` refuses.
    """
    check_key("treat", key)
    recipe = as_recipe("treat", recipe)
    if epochs is not None:
        check_integer("treat", "epochs", epochs)
    tried: dict[str, Recipe] = {"as it is": recipe}
    for verdict in verdicts:
        for remedy in verdict.remedies:
            if remedy.change is not None:
                tried.setdefault(remedy.text, remedy.change(recipe))
    firsts = [verdict for verdict in verdicts if any(remedy.change is not None for remedy in verdict.remedies)]
    if len(firsts) > 1:
        together = recipe
        for verdict in firsts:
            together = verdict.apply(together)
        tried["The first remedy of each verdict."] = together
    if len(tried) == 1:
        fail("treat", "verdicts", "some with a remedy that changes the recipe", [verdict.kind for verdict in verdicts])
    names = list(tried)
    size = recipe.batch_size or batch_size
    made = {str(i): _sized(tried[name], size, epochs) for i, name in enumerate(names)}
    keys = jnp.stack([key] * len(names))
    population = fit_population(
        lambda hyper: made[hyper["treatment"]], {"treatment": list(made)}, data, keys=keys, validation=validation
    )
    column = "validation_loss" if "validation_loss" in population.history else "loss"
    losses = np.where(population.status == Status.DIVERGED, np.inf, population.scores(column))
    return Treatment(tuple(names), tuple(made.values()), np.where(np.isnan(losses), np.inf, losses), population)


def _sized(recipe: Recipe, size: int | None, epochs: int | None) -> Recipe:
    changes: dict[str, Any] = {"probes": False} | ({} if recipe.batch_size is not None else {"batch_size": size})
    return recipe.replace(**changes, **({} if recipe.epochs is not None else {"epochs": epochs}))
