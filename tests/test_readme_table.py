"""The README's tables of figures are those that the committed results give."""

from __future__ import annotations

import json

from benchmarks import table


def test_the_readme_shows_the_committed_results():
    shown = table.README.read_text().partition(table.BEGIN)[2].partition(table.END)[0].strip()
    results = json.loads((table.RESULTS / "cpu-2-cores" / "mlp.json").read_text())
    assert shown == table.markdown(results)


def test_the_readme_shows_the_committed_search():
    begin, end = table.POPULATION_BEGIN, table.POPULATION_END
    shown = table.README.read_text().partition(begin)[2].partition(end)[0].strip()
    results = json.loads((table.RESULTS / "cpu-2-cores" / "population.json").read_text())
    assert shown == table.population_markdown(results)


def test_the_readme_shows_the_committed_nets_of_pictures():
    shown = table.README.read_text().partition(table.IMAGES_BEGIN)[2].partition(table.IMAGES_END)[0].strip()
    assert shown == table.images_markdown(*table.images(table.RESULTS / "cpu-2-cores"))


def test_the_readme_shows_the_committed_nets_of_sequences():
    shown = table.README.read_text().partition(table.SEQUENCES_BEGIN)[2].partition(table.SEQUENCES_END)[0].strip()
    assert shown == table.sequences_markdown(*table.sequences(table.RESULTS / "cpu-2-cores"))
