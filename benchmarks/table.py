"""`python -m benchmarks table`: the README's tables from committed result files, so that no figure is typed."""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

from benchmarks.population_work import SEARCHES
from benchmarks.tabular import OURS, names_in, paired
from benchmarks.tabular_contenders import CONTENDERS
from benchmarks.workloads import WORKLOADS

RESULTS = Path(__file__).resolve().parent / "results"
README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"
IMAGES_BEGIN, IMAGES_END = "<!-- images:begin -->", "<!-- images:end -->"
SEQUENCES_BEGIN, SEQUENCES_END = "<!-- sequences:begin -->", "<!-- sequences:end -->"
TABLES_BEGIN, TABLES_END = "<!-- tables:begin -->", "<!-- tables:end -->"
POPULATION_BEGIN, POPULATION_END = "<!-- population:begin -->", "<!-- population:end -->"
NAMES = {
    "raw_jax": "raw JAX",
    "torch_eager": "PyTorch",
    "torch_compile": "torch.compile",
    "flax_nnx": "Flax NNX",
    "equinox": "Equinox",
    "keras": "Keras",
    "sklearn": "scikit-learn",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    add = parser.add_argument
    add("--device", default="cpu-2-cores", help="folder under benchmarks/results (default: cpu-2-cores)")
    add("--write", action="store_true", help="put the table into README.md between its markers")


def markdown(results: dict) -> str:
    """The table: jaxann's time an epoch, and each peer's time over it, the median of the ratios within a round."""
    lines = [
        f"| network, batch | jaxann, an epoch | {' | '.join(NAMES.values())} |",
        f"|---|---|{'---|' * len(NAMES)}",
    ]
    for name in (name for name in WORKLOADS if name in results["workloads"]):
        workload = results["workloads"][name]
        ours = workload["contenders"]["jaxann"]["rounds"]
        seconds = statistics.median(ours) / workload["epochs_per_turn"]
        cells = [_ratio(workload["contenders"].get(peer, {}), ours) for peer in NAMES]
        size = f"{name}: {'-'.join(map(str, workload['sizes']))}, {workload['batch_size']}"
        lines.append(f"| {size} | {_seconds(seconds)} | {' | '.join(cells)} |")
    first = next(iter(results["workloads"].values()))
    machine, versions = first["machine"], first["machine"]["versions"]
    where = (
        f"Time of one training epoch once compiled, and how many times as long the others take: medians of ratios "
        f"within a round, all in one run of `python -m benchmarks mlp` on {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['date'][:10]}, seed {first['seed']}, jax {versions['jax']}, PyTorch {versions['torch']}, "
        f"scikit-learn {versions['scikit-learn']}; a shared machine. All times, their spread, cold starts and "
        f"accuracies: [`benchmarks/`](benchmarks/README.md)."
    )
    return "\n".join([*lines, "", where])


def population_markdown(results: dict) -> str:
    """The search of a population against scikit-learn's: seconds, ratios, accuracy."""
    search = results["parts"]["search"]
    heads = ["search", "cold", "warm", "times faster, cold", "warm", "epochs run", "best accuracy"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, contender in search["contenders"].items():
        found = contender["summary"]
        if "warm_seconds" not in found:
            continue
        cold, warm = found["cold_ratio"], found["warm_ratio"]
        lines.append(
            f"| {SEARCHES[name].label} | {_seconds(found['cold_seconds'])} | {_seconds(found['warm_seconds'])} "
            f"| {cold['median']:.1f} | {warm['median']:.1f} | {found['share_trained']:.0%} "
            f"| {found['best_accuracy']:.4f} |"
        )
    machine, versions = search["machine"], search["machine"]["versions"]
    rounds = max(len(contender["warm"]) for contender in search["contenders"].values())
    where = (
        f"{search['settings']} settings on 5 folds of the 1,797 digits, {search['trainings']} trainings of a 64-100-10 "
        f"network for {search['epochs']} epochs, batch 200, Adam; the same folds for all, medians of ratios within "
        f"{rounds} rounds of `python -m benchmarks population` on {machine['cpu']}, {machine['cores']} cores as "
        f"{machine['cores']} devices, {machine['date'][:10]}, jax {versions['jax']}, scikit-learn "
        f"{versions['scikit-learn']} with n_jobs=2; a shared machine. Cold: a fresh process, import and compilation "
        f"included."
    )
    return "\n".join([*lines, "", where])


def images(folder: Path) -> tuple[dict, dict]:
    """The result files that `images_markdown` reads."""
    steps, resnet = (json.loads((folder / f"{name}.json").read_text()) for name in ("conv", "images_resnet"))
    return steps, resnet


def images_markdown(steps: dict, resnet: dict) -> str:
    """Training steps of nets of pictures, each peer's time over ours; and what ResNet-20 reaches on CIFAR-10."""
    peers = {None: "PyTorch", "compiled PyTorch": "torch.compile", "Flax": "Flax NNX", "Keras": "Keras"}
    lines = [
        f"| training step, batch {steps['batch']} | jaxann | {' | '.join(peers.values())} |",
        f"|---|---|{'---|' * len(peers)}",
    ]
    for name, row in {**steps["steps"], "8 small CNNs at once, of each": steps["population"]}.items():
        rounds = row["rounds"]
        cells = [_ratio({"rounds": rounds.get(peer or row["torch"])}, rounds["jaxann"]) for peer in peers]
        lines.append(f"| {name} | {_seconds(statistics.median(rounds['jaxann']) / 1e3)} | {' | '.join(cells)} |")
    machine, versions = steps["machine"], steps["machine"]["versions"]
    rows = resnet["rows"]
    ours, theirs = (statistics.mean(row["accuracy"][place] for row in rows) for place in (0, 1))
    pace = statistics.median(row["seconds"][1] / row["seconds"][0] for row in rows)
    where = (
        f"How many times as long the others take, medians of ratios within {steps['rounds']} rounds of `python -m "
        f"benchmarks conv` on {machine['cpu']}, {machine['cores']} cores, {machine['date'][:10]}, jax "
        f"{versions['jax']}, PyTorch {versions['torch']} (eager in the better of its layouts); a shared machine. A "
        f"ResNet-20 trained for {resnet['epochs']} epochs on the 10,000 CIFAR-10 pictures at hand reads "
        f"{ours:.1%} of the 1,000 test pictures, in PyTorch {theirs:.1%} (means of {len(rows)} seeds, `python -m "
        f"benchmarks images`), which takes {pace:.2f}x the time."
    )
    return "\n".join([*lines, "", where])


def sequences(folder: Path) -> tuple[dict, dict]:
    """The result files that `sequences_markdown` reads."""
    steps, trained = (json.loads((folder / f"{name}.json").read_text()) for name in ("sequence", "language"))
    return steps, trained


def sequences_markdown(steps: dict, trained: dict) -> str:
    """Steps and writing, each peer's time over ours; and what language models reach on a text."""
    peers = {"PyTorch": "PyTorch", "compiled PyTorch": "torch.compile", "Flax": "Flax", "Keras": "Keras"}
    lines = [f"| | jaxann | {' | '.join(peers.values())} |", f"|---|---|{'---|' * len(peers)}"]
    for name, row in steps.items():
        if isinstance(row, dict) and "PyTorch" in row.get("rounds", {}):
            cells = [_ratio({"rounds": row["rounds"].get(peer)}, row["rounds"]["jaxann"]) for peer in peers]
            lines.append(f"| {name} | {_seconds(row['ms']['jaxann'] / 1e3)} | {' | '.join(cells)} |")
    machine, versions = steps["machine"], steps["machine"]["versions"]
    told = []
    for kind, rows in trained["rows"].items():
        ours, theirs = (statistics.mean(row[n]["loss"] for row in rows.values()) for n in ("jaxann", "PyTorch"))
        pace = statistics.median(row["PyTorch"]["seconds"] / row["jaxann"]["seconds"] for row in rows.values())
        told.append(f"{kind} {ours:.3f} and {theirs:.3f} ({pace:.2f}x the time; seeds: {len(rows)})")
    where = (
        f"How many times as long the others take, medians of ratios within {steps['rounds']} rounds of `python -m "
        f"benchmarks sequence` on {machine['cpu']}, {machine['cores']} cores, {machine['date'][:10]}, jax "
        f"{versions['jax']}, PyTorch {versions['torch']}; a shared machine. LSTM and GRU: 256 units, 128 positions, "
        f"batch 32; GPT: nanoGPT's setting for a CPU. Tiny Shakespeare after {trained['steps']:,} steps of "
        f"{trained['batch']} windows, nats a character of the last tenth, here and in PyTorch (`python -m benchmarks "
        f"language`): {', '.join(told)}."
    )
    return "\n".join([*lines, "", where])


def tables_markdown(results: dict) -> str:
    """What the defaults reach on tables: the mean error of each contender, and by how much ours is less."""
    tables = results["tables"]
    names = [name for name in CONTENDERS if any(name in names_in(rows) for rows in tables.values())]
    lines = [f"| table | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for table, rows in tables.items():
        labels = any("log_loss" in found for row in rows.values() for found in row.values())
        cells = [_error(rows, name, labels) if name in names_in(rows) else "-" for name in names]
        lines.append(f"| {table.replace('_', ' ')}, {len(rows)} splits | {' | '.join(cells)} |")
    machine = results["machine"]
    versions = machine["versions"]
    peers = ", ".join(
        f"{name} {versions[name]}" for name in ("scikit-learn", "lightgbm", "catboost") if name in versions
    )
    where = (
        f"Root mean squared error, or share of wrong labels, on the fifth of the rows set aside, everyone by defaults; "
        f"in brackets ours less theirs within a split, and its standard error. `python -m benchmarks tabular` on "
        f"{machine['cpu']}, {machine['cores']} cores, {machine['date'][:10]}, jax {versions['jax']}, {peers}."
    )
    return "\n".join([*lines, "", where])


def _error(rows: dict, name: str, labels: bool) -> str:
    """The mean, and the difference from ours with its standard error."""
    mean, difference, error, _ = paired(rows, name, "error")
    factor, digits, unit = (100, 2, " %") if labels else (1, 3 if mean < 10 else 1, "")
    told = f"{factor * mean:.{digits}f}{unit}"
    if name == OURS:
        return told
    return f"{told} ({factor * difference:+.{digits}f} ± {factor * error:.{digits}f})"


def _ratio(peer: dict, ours: list[float]) -> str:
    rounds = peer.get("rounds") or []
    return f"{statistics.median(a / b for a, b in zip(rounds, ours, strict=True)):.2f}x" if rounds else "-"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{value * 1e3:.3g} ms" if value >= 1e-3 else f"{value * 1e6:.3g} us"


def run(arguments: argparse.Namespace) -> int:
    """Print the table, or write it into the README; return 0."""
    folder = RESULTS / arguments.device
    tables = {
        (BEGIN, END): markdown(json.loads((folder / "mlp.json").read_text())),
        (IMAGES_BEGIN, IMAGES_END): images_markdown(*images(folder)),
        (SEQUENCES_BEGIN, SEQUENCES_END): sequences_markdown(*sequences(folder)),
        (POPULATION_BEGIN, POPULATION_END): population_markdown(json.loads((folder / "population.json").read_text())),
    }
    if (folder / "tabular.json").exists():
        tables[TABLES_BEGIN, TABLES_END] = tables_markdown(json.loads((folder / "tabular.json").read_text()))
    for (begin, end), table in tables.items():
        if arguments.write:
            before, _, rest = README.read_text().partition(begin)
            README.write_text(f"{before}{begin}\n{table}\n{end}{rest.partition(end)[2]}")
        else:
            print(table, end="\n\n")
    return 0
