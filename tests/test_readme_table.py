"""The README's table of figures is the one that the committed results give."""

from __future__ import annotations

import json

from benchmarks import table


def test_the_readme_shows_the_committed_results():
    shown = table.README.read_text().partition(table.BEGIN)[2].partition(table.END)[0].strip()
    results = json.loads((table.RESULTS / "cpu-2-cores" / "mlp.json").read_text())
    assert shown == table.markdown(results)
