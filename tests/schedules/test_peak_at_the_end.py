"""A cycle that rises to its last step ends at the peak."""

from __future__ import annotations

import pytest

from jaxann import schedules


@pytest.mark.parametrize("anneal", ["cosine", "linear"])
def test_one_cycle_that_only_rises_ends_at_the_peak(anneal: str):
    rate = schedules.one_cycle(0.5, 10, pct_start=1.0, anneal=anneal)
    assert [float(rate(c)) for c in (10, 11, 10**6)] == [0.5] * 3
    assert float(rate(9)) < 0.5
    three = schedules.linear_one_cycle(0.5, 10, pct_start=1.0, pct_final=1.0)
    assert [float(three(c)) for c in (10, 11)] == [0.5] * 2


def test_one_cycle_that_falls_for_one_step():
    rate = schedules.one_cycle(0.5, 10, pct_start=0.9)
    assert float(rate(9)) == 0.5 and float(rate(10)) == pytest.approx(0.5 / 25 / 1e4)
