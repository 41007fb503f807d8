"""The summary of several runs of pytest in one line: `python scripts/total.py TOTALS SECONDS`."""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path

__all__ = ["summary"]

KINDS = ("failed", "passed", "skipped", "error")


def summary(totals: dict, seconds: int) -> str:
    """What failed, then pytest's last line with the sums."""
    counts = {kind: totals["counts"].get(kind, 0) for kind in KINDS}
    said = ", ".join(f"{number} {kind}" for kind, number in counts.items() if number) or "no tests ran"
    line = f" {said} in {seconds}.00s ({datetime.timedelta(seconds=seconds)}) "
    return "\n".join([*(f"FAILED {name}" for name in totals["failed"]), line.center(100, "=")])


if __name__ == "__main__":
    text = Path(sys.argv[1]).read_text()
    print(summary(json.loads(text) if text else {"counts": {}, "failed": []}, int(sys.argv[2])))
