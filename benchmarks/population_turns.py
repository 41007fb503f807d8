"""The worker processes of the population benchmark: started, asked in turn, watched, stopped.

As in `harness`: one works while the others block on their input, the order moves on by one every round, and ratios are
taken within a round. A contender that fails is out; the others go on.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path

import psutil

from benchmarks.harness import GPU_ENVIRONMENT, ROOT, Worker, WorkerError, machine_cpu_seconds
from benchmarks.machine import core_count
from benchmarks.population_work import Entry

Report = Callable[[str], None]
NOT_INHERITED = ("JAX_COMPILATION_CACHE", "JAX_PERSISTENT_CACHE", "JAX_ENABLE_COMPILATION_CACHE")
"""A cold start compiles everything, whatever the environment of the parent says."""


class PopulationWorker(Worker):
    """One contender's process, with the processes that it starts itself."""

    def __init__(self, contender: str, entry: Entry, task: Path, *, timeout: float):
        self.contender, self.timeout = contender, timeout
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed in stop)
        self.answers: queue.Queue[str | None] = queue.Queue()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
        inherited["JAX_ENABLE_COMPILATION_CACHE"] = "false"
        command = [sys.executable, "-m", "benchmarks.population_worker", entry.place, str(task), repr(time.monotonic())]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            cwd=ROOT,
            env={**GPU_ENVIRONMENT, **inherited, **entry.environment},
        )
        threading.Thread(target=self._read, daemon=True).start()
        try:
            ready = self._answer()
        except WorkerError:
            self.stop()
            raise
        self.startup: dict[str, float] = ready["startup"]
        self.platform: str = ready["platform"]

    def cpu_seconds(self) -> float:
        """Processor time that the process and its children have used so far."""
        used = super().cpu_seconds()
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    times = child.cpu_times()
                    used += times.user + times.system
        return used


def obstacle(entry: Entry) -> str | None:
    """Why a contender cannot take part here, or None."""
    missing = [package for package in entry.packages if importlib.util.find_spec(package) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if not entry.needs:
        return None
    import jaxann

    for name in entry.needs:
        try:
            reduce(getattr, name.split("."), jaxann)
        except AttributeError:
            return f"skipped: jaxann has no {name}"
    return None


class Contest:
    """The contenders of one part, their processes and what has become of them."""

    def __init__(self, entries: Mapping[str, Entry], task: Path, *, timeout: float, report: Report):
        self.entries, self.task, self.timeout, self.report = dict(entries), task, timeout, report
        self.status = {name: obstacle(entry) or "ok" for name, entry in entries.items()}
        self.platform: dict[str, str] = {}
        self.workers: dict[str, PopulationWorker] = {}
        for name, status in self.status.items():
            if status != "ok":
                report(f"{name} {status}")

    @property
    def names(self) -> list[str]:
        """Contenders that take part and have not failed."""
        return [name for name, status in self.status.items() if status == "ok"]

    def start(self, name: str) -> PopulationWorker | None:
        """Start a fresh process of a contender (and end the one it had)."""
        self.stop(name)
        try:
            worker = PopulationWorker(name, self.entries[name], self.task, timeout=self.timeout)
        except WorkerError as error:
            self.fail(name, error)
            return None
        self.workers[name], self.platform[name] = worker, worker.platform
        return worker

    def ask(self, name: str, do: str, **given: object) -> dict | None:
        """One order. The answer has `seconds`, and `foreign`: the share of the processor that others used meanwhile."""
        worker = self.workers[name]
        own, machine = worker.cpu_seconds(), machine_cpu_seconds()
        try:
            answer = worker.ask(do=do, given=given)
        except WorkerError as error:
            self.fail(name, error)
            return None
        others = machine_cpu_seconds() - machine - (worker.cpu_seconds() - own)
        answer["foreign"] = max(0.0, others) / answer["seconds"] / core_count()
        worker.wait_quiet()
        return answer

    def fail(self, name: str, error: WorkerError) -> None:
        """Take a contender out, and say why."""
        self.status[name] = f"failed: {error}"
        self.report(f"{name} {self.status[name]}")
        self.workers.pop(name, None)

    def stop(self, name: str | None = None) -> None:
        """End the process of a contender, or all."""
        for each in [name] if name else list(self.workers):
            worker = self.workers.pop(each, None)
            if worker:
                worker.stop()


def busy(turns: list[dict]) -> list[str]:
    """A warning if other processes used more than 2 % of the processor during these turns (of 0.1 s and more)."""
    turns = [turn for turn in turns if turn["seconds"] >= 0.1]  # the clock ticks every 0.01 s
    total = sum(turn["seconds"] for turn in turns)
    share = sum(turn["seconds"] * turn["foreign"] for turn in turns) / total if total else 0.0
    line = f"other processes used {share:.0%} of the processor during the counted turns: do not quote them"
    return [line] if share > 0.02 else []
