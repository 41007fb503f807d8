"""One contender of the population benchmark in a process of its own: `python -m benchmarks.population_worker`.

Orders come as JSON lines on standard input, `{"do": "train", "given": {...}}`: a method of the contender and its
arguments. Answers leave as JSON lines: the seconds the method took and what it returned. Between orders the process
blocks on its input. Anything a library prints goes to standard error.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time

STARTED = time.monotonic()


def main() -> None:
    """Import, load the rows, build the contender, report how long each took, and carry out orders."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("place", help="module:Class of the contender")
    parser.add_argument("task", help="folder written by the parent, with the rows")
    parser.add_argument("spawned", type=float, help="monotonic clock at which the parent started this process")
    arguments = parser.parse_args()
    from benchmarks.worker import take_output

    output = take_output()
    module, _, name = arguments.place.partition(":")
    build = getattr(importlib.import_module(f"benchmarks.{module}"), name)
    imported = time.monotonic()

    from benchmarks.population_work import read_rows

    rows = read_rows(arguments.task)
    loaded = time.monotonic()
    contender = build(*rows)
    seconds = {
        "start": STARTED - arguments.spawned,
        "import": imported - STARTED,
        "data": loaded - imported,
        "build": time.monotonic() - loaded,
    }
    print(json.dumps({"startup": seconds, "platform": contender.platform}), file=output, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        begun = time.perf_counter()
        found = getattr(contender, order["do"])(**order["given"])
        answer = {"seconds": time.perf_counter() - begun, **(found or {})}
        print(json.dumps(answer), file=output, flush=True)


if __name__ == "__main__":
    main()
