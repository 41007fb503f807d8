"""One contender in a process of its own, under orders from the parent: `python -m benchmarks.worker`.

Orders come as JSON lines on standard input (`{"train": 5}`, `{"accuracy": true}`), answers leave as JSON lines on what
was standard output. Between orders the process blocks on its input. Anything a library prints goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from benchmarks.contenders.base import Contender

STARTED = time.monotonic()


def take_output() -> TextIO:
    """Return the pipe to the parent, and point standard output at standard error."""
    pipe = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return pipe


def answer_orders(contender: Contender, output: TextIO) -> None:
    """Carry out orders until the parent closes the pipe."""
    for line in sys.stdin:
        order = json.loads(line)
        if "train" in order:
            start = time.perf_counter()
            losses = contender.train(order["train"])
            seconds = time.perf_counter() - start
            print(json.dumps({"seconds": seconds, "losses": losses}), file=output, flush=True)
        else:
            print(json.dumps({"accuracy": contender.accuracy()}), file=output, flush=True)


def main() -> None:
    """Import, load the data, build the contender, report how long each took, and wait for orders."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("contender", help="name in the table of contenders")
    parser.add_argument("task", help="folder written by the parent: task.json and the arrays")
    parser.add_argument("spawned", type=float, help="monotonic clock at which the parent started this process")
    arguments = parser.parse_args()
    output = take_output()

    from benchmarks.contenders import load_contender

    build = load_contender(arguments.contender)
    imported = time.monotonic()

    from benchmarks.workloads import read_task

    task = read_task(arguments.task)
    loaded = time.monotonic()
    contender = build(task)
    built = time.monotonic()
    seconds = {
        "start": STARTED - arguments.spawned,
        "import": imported - STARTED,
        "data": loaded - imported,
        "build": built - loaded,
    }
    print(json.dumps({"startup": seconds, "platform": contender.platform}), file=output, flush=True)
    answer_orders(contender, output)


if __name__ == "__main__":
    main()
