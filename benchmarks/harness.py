"""Worker processes that take turns, and the figures drawn from their turns.

On a shared machine the speed of one minute is not the speed of the next. So the contenders alternate: each has a
process of its own, one works while the others block on their input, the order moves on by one every round, and what
is compared is the ratio within a round. The processor time of the waiting processes is measured, not assumed away.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.contenders import CONTENDERS

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds both `benchmarks/` and `jaxann/`."""

GPU_ENVIRONMENT = {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.1"}
"""Several workers share one accelerator: none may reserve most of its memory. Without effect on a CPU."""


EXCEPTION = re.compile(r"[\w.]+(Error|Exception|Interrupt): ")
"""How Python ends a traceback; JAX writes a note after it."""

QUIET_SECONDS = 0.05
"""A worker that used no processor time for so long counts as waiting (the clock ticks every 0.01 s)."""


class WorkerError(Exception):
    """A worker died, answered nonsense or ran out of time. The message is what a person should read."""


class Worker:
    """One contender's process."""

    def __init__(self, contender: str, task: Path, *, timeout: float, environment: Mapping[str, str] | None = None):
        self.contender = contender
        self.timeout = timeout
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed in stop)
        self.answers: queue.Queue[str | None] = queue.Queue()
        spawned = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", contender, str(task), repr(spawned)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            cwd=ROOT,
            env={**GPU_ENVIRONMENT, **os.environ, **CONTENDERS[contender].environment, **(environment or {})},
        )
        threading.Thread(target=self._read, daemon=True).start()
        try:
            ready = self._answer()
        except WorkerError:
            self.stop()
            raise
        self.startup: dict[str, float] = ready["startup"]
        self.platform: str = ready["platform"]

    def _read(self) -> None:
        for line in self.process.stdout:
            self.answers.put(line)
        self.answers.put(None)

    def _answer(self) -> dict:
        try:
            line = self.answers.get(timeout=self.timeout)
        except queue.Empty:
            raise WorkerError(f"no answer within {self.timeout:.0f} s") from None
        if line is None:
            raise WorkerError(f"exit status {self.process.wait()}: {self._last_words()}")
        try:
            return json.loads(line)
        except json.JSONDecodeError:
            raise WorkerError(f"answered {line.strip()!r}") from None

    def _last_words(self) -> str:
        """Return the line of standard error that tells most: the last exception of the last lines, or the last line."""
        self.log.seek(0)
        lines = [line.strip() for line in self.log if line.strip()][-20:]
        exceptions = [line for line in lines if EXCEPTION.match(line)]
        return [*lines, *exceptions][-1] if lines else "nothing on standard error"

    def ask(self, **order: object) -> dict:
        """Send one order and wait for its answer; stop the process if none comes."""
        with contextlib.suppress(BrokenPipeError):  # the process is gone; its standard error tells why, see below
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
        try:
            return self._answer()
        except WorkerError:
            self.stop()
            raise

    def cpu_seconds(self) -> float:
        """Processor time that the process has used so far, all threads together."""
        try:
            times = psutil.Process(self.process.pid).cpu_times()
        except psutil.Error:
            return 0.0
        return times.user + times.system

    def wait_quiet(self, limit: float = 2.0) -> None:
        """Return once the process uses no processor time: some thread pools spin on for a while after their work."""
        end = time.monotonic() + limit
        used = self.cpu_seconds()
        while time.monotonic() < end:
            time.sleep(QUIET_SECONDS)
            before, used = used, self.cpu_seconds()
            if used == before:
                return

    def stop(self) -> None:
        """End the process."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def machine_cpu_seconds() -> float:
    """Processor time that the whole machine has spent working, or that its host has taken from it."""
    times = psutil.cpu_times()
    return sum(getattr(times, kind, 0.0) for kind in ("user", "nice", "system", "irq", "softirq", "steal"))


@dataclass
class Record:
    """Everything measured about one contender on one workload."""

    status: str = "ok"
    """`ok`, or why there are no (more) figures."""
    platform: str | None = None
    """Where it trained: `cpu`, `gpu` or `tpu`."""
    cold: list[dict[str, float]] = field(default_factory=list)
    """Per fresh process: seconds of start, import, data, build and of the first turn."""
    cold_cached: list[dict[str, float]] = field(default_factory=list)
    """The same with JAX's persistent compilation cache, filled by an earlier process."""
    settle: float | None = None
    """Seconds of the second turn, which is not counted: a late compilation would show here."""
    rounds: list[float] = field(default_factory=list)
    """Seconds of each counted turn."""
    waiting_cpu: list[float] = field(default_factory=list)
    """Per round: processor seconds the waiting workers used during this contender's turn."""
    foreign_cpu: list[float] = field(default_factory=list)
    """Per round: processor seconds everything else on the machine used during this contender's turn."""
    losses: list[float] = field(default_factory=list)
    """Mean training loss, epoch by epoch."""
    accuracy: float | None = None
    notes: list[str] = field(default_factory=list)


Report = Callable[[str], None]


def rotate(names: Sequence[str], by: int) -> list[str]:
    """Return `names`, starting `by` places further on."""
    by %= max(len(names), 1)
    return [*names[by:], *names[:by]]


def start_cold(
    name: str, task: Path, epochs: int, timeout: float, environment: Mapping[str, str] | None = None
) -> tuple[Worker, dict[str, float], list[float]]:
    """Start a fresh process and run its first turn; return it, its seconds and its losses."""
    worker = Worker(name, task, timeout=timeout, environment=environment)
    turn = worker.ask(train=epochs)
    worker.wait_quiet()
    return worker, {**worker.startup, "first_turn": turn["seconds"]}, turn["losses"]


def measure_cached(
    records: Mapping[str, Record], task: Path, *, epochs: int, starts: int, timeout: float, report: Report
) -> None:
    """Measure cold starts with a persistent compilation cache on disk, which one start before them fills."""
    with tempfile.TemporaryDirectory(prefix="compilation-cache-") as folder:
        for start in range(starts + 1):
            for name in rotate(list(records), start):
                if records[name].notes:
                    continue
                environment = {
                    "JAX_ENABLE_COMPILATION_CACHE": "true",
                    "JAX_COMPILATION_CACHE_DIR": str(Path(folder) / name),
                    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
                }
                try:
                    worker, seconds, _ = start_cold(name, task, epochs, timeout, environment)
                except WorkerError as error:
                    records[name].notes.append(f"cold start with cache failed: {error}")
                    report(f"{name}: {records[name].notes[-1]}")
                    continue
                worker.stop()
                if start > 0:
                    records[name].cold_cached.append(seconds)
                    report(f"cold start {start} with cache: {name} first turn {seconds['first_turn']:.3f} s")


class Alternation:
    """The contenders of one workload, their processes, their records; a failure ends that contender's part only."""

    def __init__(self, names: Sequence[str], task: Path, *, epochs: int, timeout: float, report: Report):
        self.records = {name: Record() for name in names}
        self.workers: dict[str, Worker] = {}
        self.task, self.epochs, self.timeout, self.report = task, epochs, timeout, report

    def fail(self, name: str, error: WorkerError) -> None:
        """Take a contender out, and say why."""
        self.records[name].status = f"failed: {error}"
        self.report(f"{name} {self.records[name].status}")
        self.workers.pop(name, None)

    def start(self, number: int, *, keep: bool) -> None:
        """Measure the cold start of every contender, one after the other; keep the processes for the rounds or not."""
        for name in rotate([name for name, record in self.records.items() if record.status == "ok"], number):
            try:
                worker, seconds, losses = start_cold(name, self.task, self.epochs, self.timeout)
            except WorkerError as error:
                self.fail(name, error)
                continue
            self.records[name].cold.append(seconds)
            self.records[name].platform = worker.platform
            self.report(f"cold start {number + 1}: {name} first turn {seconds['first_turn']:.3f} s")
            if keep:
                self.workers[name], self.records[name].losses = worker, losses
            else:
                worker.stop()

    def clocks(self, name: str) -> tuple[float, float, float]:
        """Processor seconds so far: of a contender, of the others, of the whole machine."""
        others = sum(worker.cpu_seconds() for other, worker in self.workers.items() if other != name)
        return self.workers[name].cpu_seconds(), others, machine_cpu_seconds()

    def play(self, number: int) -> None:
        """Let every contender take a turn. Round 0 is not counted."""
        for name in rotate(list(self.workers), number):
            record, before = self.records[name], self.clocks(name)
            try:
                turn = self.workers[name].ask(train=self.epochs)
            except WorkerError as error:
                self.fail(name, error)
                continue
            own, waiting, machine = (now - then for now, then in zip(self.clocks(name), before, strict=True))
            self.workers[name].wait_quiet()
            record.losses += turn["losses"]
            if number == 0:
                record.settle = turn["seconds"]
            else:
                record.rounds.append(turn["seconds"])
                record.waiting_cpu.append(waiting)
                record.foreign_cpu.append(max(0.0, machine - own - waiting))
            self.report(
                f"round {number or '0, not counted'}: {name} {turn['seconds']:.3f} s, loss {turn['losses'][-1]:.4f}"
            )

    def finish(self) -> None:
        """Ask every contender for its accuracy."""
        for name, worker in list(self.workers.items()):
            try:
                self.records[name].accuracy = worker.ask(accuracy=True)["accuracy"]
            except WorkerError as error:
                self.fail(name, error)

    def stop(self) -> None:
        """End all processes."""
        for worker in self.workers.values():
            worker.stop()


def alternate(
    names: Sequence[str], task: Path, *, epochs: int, rounds: int, starts: int, timeout: float, report: Report
) -> dict[str, Record]:
    """Measure cold starts, then let the contenders take turns; return what was measured, by contender."""
    alternation = Alternation(names, task, epochs=epochs, timeout=timeout, report=report)
    try:
        for number in range(starts):
            alternation.start(number, keep=number == starts - 1)
        for number in range(rounds + 1):
            alternation.play(number)
        alternation.finish()
    finally:
        alternation.stop()
    return alternation.records


def quartiles_of(values: Sequence[float]) -> dict[str, float]:
    """Return median, quartiles and range."""
    if len(values) < 2:
        quartiles = [values[0]] * 3
    else:
        quartiles = statistics.quantiles(values, n=4, method="inclusive")
    return {
        "median": quartiles[1],
        "first_quartile": quartiles[0],
        "third_quartile": quartiles[2],
        "min": min(values),
        "max": max(values),
    }


def ratios(record: Record, reference: Record) -> list[float]:
    """Return the per-round ratios of one contender's seconds to the reference's."""
    return [mine / other for mine, other in zip(record.rounds, reference.rounds, strict=False)]
