"""Command line: `python -m benchmarks mlp`, `population`, `tuning`, `memory`, `optimizers`, ...; see `--help`."""

from __future__ import annotations

import argparse
import os
import sys

from benchmarks import (
    backprop,
    conv,
    estimators,
    images,
    language,
    memory,
    mlp,
    optimizers,
    overhead,
    population,
    probes,
    sequence,
    table,
    tabular,
    tuning,
)

COMMANDS = {
    "backprop": backprop,
    "conv": conv,
    "estimators": estimators,
    "images": images,
    "language": language,
    "mlp": mlp,
    "population": population,
    "memory": memory,
    "optimizers": optimizers,
    "overhead": overhead,
    "probes": probes,
    "sequence": sequence,
    "table": table,
    "tabular": tabular,
    "tuning": tuning,
}


def main() -> int:
    """Parse the command line and run one command; nothing is compiled before, but where that is what is measured."""
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure jaxann against its peers.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        about = module.__doc__.splitlines()[0].partition(": ")[2]
        command = commands.add_parser(name, help=about, description=about)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    arguments = parser.parse_args()
    return arguments.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
