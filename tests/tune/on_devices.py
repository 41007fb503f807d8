"""A search in a process of its own: `python -m tests.tune.on_devices DEVICES [PORT PROCESS PROCESSES]` prints it."""

from __future__ import annotations

import functools
import json
import sys

import jax

devices, *distributed = map(int, sys.argv[1:])
jax.config.update("jax_num_cpu_devices", devices)
if distributed:
    port, process, processes = distributed
    jax.distributed.initialize(f"localhost:{port}", processes, process)

import jaxann as ja  # noqa: E402
from tests.tune.problems import RANKED, SETTING, build, digits  # noqa: E402

assert jax.local_device_count() == devices
rates = [1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 0.3, 3e-3]
patient = functools.partial(build, stopping=ja.train.early_stopping(2, **RANKED))
common = {"key": jax.random.key(3), **SETTING}
pairs = ja.tune.k_fold(203, 3)
table = ja.tune.cross_validate(patient, {"learning_rate": rates}, digits(), epochs=6, folds=pairs, **common)
resampled = ja.tune.resampling(pairs)
halved = ja.tune.halving(build, {"learning_rate": rates}, digits(), epochs=4, factor=2, validation=resampled, **common)
found = {
    "table": {name: values.tolist() for name, values in table.scores.items()},
    "epochs": table.epochs.tolist(),
    "halved": {name: values.tolist() for name, values in halved.scores.items()},
    "rounds": halved.epochs.tolist(),
}
print("FOUND", json.dumps(found), flush=True)
