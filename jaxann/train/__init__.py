"""Training: what is trained is a recipe; the verbs say on which data, how long, from which key.

    recipe(model, loss, optimizer, *, metrics, penalty, augment, stopping, compute_dtype, on_nonfinite, shuffle, ...)

    fit(recipe, train, *, key, epochs, batch_size, validation, ...)              one run, for a person waiting
    make_run(recipe, *, epochs, batch_size) -> run(key, train, validation)       the same as a pure function
    fit_population(build, hyperparameters, train, *, keys, epochs, ...)          many runs of build(hyperparameters)
    predict(model or recipe, params, state, x);  evaluate(recipe, params, state, data)
    generate(model or recipe, params, state, prompt, *, length, key, ...)        what a model of sequences writes
    stream(model or recipe, params, state, prompt, *, length, key, chunk, ...)   the same while it is written
    beam_search(model or recipe, params, state, prompt, *, length, beams, ...)   the likeliest that it may write
    export_run(path, build, hyperparameters, train, *, epochs, ...)              the program in a file

Data are `(x, y)` or `(x, y, weights)`: x, y and predictions are arrays, or trees of arrays whose leading axis is the
examples. Inside, they are one `Batch`.

The files, from what is trained to who waits for it. None knows of those below it.

    recipe       what is trained; early_stopping
    batches      which rows a step sees, which are padding, which noise it gets
    objective    the one mean;  steps: gradient, update, finite guard, and the scan over an epoch's steps
    measure      loss and metrics of a data set;  statistics: batch-norm statistics of averaged weights
    learned      what layers learn from the data before the first step
    epoch        one epoch: steps, history row, reactions;  run_epochs: the loop over them that every run goes through
    inputs       values a person hands in, checked;  prepare: recipe and data checked against each other
    run          the whole run as a function;  fit: the host's loop around chunks of it, with observers between
    grouping     members that share a program;  members, member_programs: a group in training, as a value
    trainer      a population in training, the one object that changes;  population: its face
"""

from jaxann.train import ensemble
from jaxann.train.beam_search import beam_search
from jaxann.train.early_stopping import early_stopping
from jaxann.train.export import export_run
from jaxann.train.fit import fit
from jaxann.train.generate import generate
from jaxann.train.monte_carlo import monte_carlo_predict
from jaxann.train.observers import Moment
from jaxann.train.placement import placement
from jaxann.train.population import Population, fit_population
from jaxann.train.predict import evaluate, predict
from jaxann.train.recipe import recipe
from jaxann.train.run import Result, Status, make_run
from jaxann.train.stream import Sampling, stream

__all__ = [
    "Moment",
    "Population",
    "Result",
    "Sampling",
    "Status",
    "beam_search",
    "early_stopping",
    "ensemble",
    "evaluate",
    "export_run",
    "fit",
    "fit_population",
    "generate",
    "make_run",
    "monte_carlo_predict",
    "placement",
    "predict",
    "recipe",
    "stream",
]
