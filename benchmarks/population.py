"""`python -m benchmarks population`: many small trainings at once, against the ways people train them today.

`search` is a cross-validated grid of 100 trainings, `sizes` the time per training for populations of 1 to 1,024,
`figures` what one population saves, costs and needs. The parts are `population_search`, `population_sizes` and
`population_figures`; the contenders `population_jaxann`, `population_sklearn` and `population_torch`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from benchmarks import machine, report
from benchmarks import population_figures as figures
from benchmarks import population_search as search
from benchmarks import population_sizes as sizes
from benchmarks.population_picture import draw_picture
from benchmarks.population_work import SEARCHES, TRAININGS, write_rows

RESULTS = Path(__file__).resolve().parent / "results"
PARTS = ("search", "sizes", "figures")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    add = parser.add_argument
    add("--part", nargs="+", choices=PARTS, default=list(PARTS), help="which parts (default: all)")
    add("--search", nargs="+", choices=list(SEARCHES), default=list(SEARCHES), help="contenders of the search")
    add("--training", nargs="+", choices=list(TRAININGS), default=list(TRAININGS), help="contenders of the sizes")
    add("--rounds", type=int, default=None, help="counted turns of each contender (default: 3; quick: 1)")
    add("--starts", type=int, default=None, help="fresh processes whose cold search is measured (default: 3; quick: 1)")
    add("--sizes", nargs="+", type=int, default=None, help="numbers of members (default: 1 to 1024; quick: 1 to 16)")
    add("--members", type=int, default=None, help="members of the population of `figures` (default: 64; quick: 16)")
    add("--epochs", type=int, default=None, help="epochs of `sizes` and `figures` (default: 20 to 200, by size)")
    add("--limit", type=float, default=60.0, help="seconds a turn of `sizes` may be expected to take (default: 60)")
    add("--timeout", type=float, default=900.0, help="seconds a contender may take to start or for a turn")
    add("--write", action="store_true", help="write population.json and population.png, parts not measured now kept")
    add("--out", type=Path, default=None, help="folder for --write (default: benchmarks/results; quick: none)")
    add("--quick", action="store_true", help="few settings, epochs, sizes: to see that everything runs, not to quote")


def measure(part: str, arguments: argparse.Namespace, task: Path, peak: dict, tell: Callable[[str], None]) -> dict:
    """One part: everything that goes into the result file."""
    module = {"search": search, "sizes": sizes, "figures": figures}[part]
    result = getattr(module, f"measure_{part}")(arguments, task, lambda line: tell(f"{part}: {line}"))
    if part == "search":
        if not arguments.quick:
            tell("measuring the matrix-product peak once more")
            peak = machine.measure_peak(quick=False, before=peak)
        module.summarise(result, peak["all_cores_gflops"])
    else:
        module.summarise(result)
    result |= {"peak": peak, "quick": arguments.quick, "machine": machine.describe_machine()}
    result["doubts"] = module.doubts(result)
    return result


def read_parts(path: Path) -> dict:
    """The parts of an earlier result file, none if there is no such file."""
    try:
        content = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError):
        return {}
    return content.get("parts", {})


def show(console: Console, part: str, result: dict) -> None:
    """Print a part."""
    printers = {
        "search": search.print_search,
        "sizes": sizes.print_sizes,
        "figures": figures.print_figures,
    }
    console.print()
    printers[part](console, result)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, write; return 1 if a contender failed, else 0."""
    console = report.make_console()
    arguments.rounds = arguments.rounds or (1 if arguments.quick else 3)
    arguments.starts = arguments.starts or (1 if arguments.quick else 3)
    arguments.members = arguments.members or (16 if arguments.quick else 64)
    out = arguments.out or (None if arguments.quick else RESULTS)
    console.print("measuring the matrix-product peak", style="dim")
    peak = machine.measure_peak(quick=arguments.quick)
    report.print_machine(console, machine.describe_machine(), peak)

    def tell(line: str) -> None:
        console.print(f"  {line}", style="dim", highlight=False, markup=False)

    measured: dict[str, dict] = {}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        write_rows(Path(folder))
        for part in arguments.part:
            measured[part] = measure(part, arguments, Path(folder), peak, tell)
            show(console, part, measured[part])
    if arguments.write and out:
        device = machine.device_name(peak["device"])
        measurements = read_parts(out / device / "population.json") | measured
        path = machine.write_result(out, "population", {"parts": measurements})
        console.print(f"written: {path}", style="dim", soft_wrap=True)
        if "sizes" in measured:
            draw_picture(path.with_suffix(".png"), measured["sizes"], device)
            console.print(f"written: {path.with_suffix('.png')}", style="dim", soft_wrap=True)
    return 1 if any("failed" in line for result in measured.values() for line in result["doubts"]) else 0
