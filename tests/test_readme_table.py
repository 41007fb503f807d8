"""The README's tables of figures are those that the committed results give."""

from __future__ import annotations

import json

import pytest

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


def test_the_readme_shows_the_committed_tables():
    results = table.RESULTS / "cpu-2-cores" / "tabular.json"
    if not results.exists():
        pytest.skip("no result file of tables yet")
    shown = table.README.read_text().partition(table.TABLES_BEGIN)[2].partition(table.TABLES_END)[0].strip()
    assert shown == table.tables_markdown(json.loads(results.read_text()))


def test_a_row_of_tables_has_errors_and_differences_from_ours():
    versions = {"jax": "1", "scikit-learn": "2"}
    splits = {
        "0": {"jaxann": {"error": 0.01, "log_loss": 0.1}, "LightGBM": {"error": 0.02, "log_loss": 0.1}},
        "1": {"jaxann": {"error": 0.03, "log_loss": 0.1}, "LightGBM": {"error": 0.06, "log_loss": 0.1}},
    }
    machine = {"versions": versions, "cpu": "C", "cores": 2, "date": "2026-01-01T00"}
    lines = table.tables_markdown({"tables": {"wine": splits}, "machine": machine}).splitlines()
    assert lines[0] == "| table | jaxann | LightGBM |"
    assert lines[2] == "| wine, 2 splits | 2.00 % | 4.00 % (-2.00 ± 1.00) |"
