"""Penalties of weights whose squares overflow, and of a strength of 0."""

from __future__ import annotations

import jax
import numpy as np

from jaxann import regularizers
from tests.programs import quick_jit

HUGE = {"weight": np.full((2, 2), 1e20, np.float32)}
FINE = {"weight": np.full((2, 2), 3.0, np.float32)}


def test_a_factor_of_0_takes_a_sum_out_that_has_overflowed():
    def of(params, zero, one):
        reference = jax.tree.map(lambda a: a * 0, params)
        return {
            "l2": regularizers.l2_penalty(zero)(params),
            "l2_sp": regularizers.l2_sp(zero, reference)(params),
            "elastic": regularizers.elastic_net(zero)(params),
            "sizes": regularizers.elastic_net(1e-4, one)(params),
        }

    program = quick_jit(lambda p, *a: (of(p, *a), jax.jacrev(of, (0, 1))(p, *a)))
    values, gradients = program(HUGE, np.float32(0), np.float32(1))
    assert {k: float(values[k]) for k in ("l2", "l2_sp", "elastic")} == {"l2": 0, "l2_sp": 0, "elastic": 0}
    np.testing.assert_allclose(values["sizes"], 4e16, rtol=1e-6)
    assert not any(gradients[k][0]["weight"].any() for k in ("l2", "l2_sp", "elastic"))
    np.testing.assert_allclose(gradients["sizes"][0]["weight"], 1e-4, rtol=1e-6)
    _, gradients = program(FINE, np.float32(0), np.float32(1))
    np.testing.assert_allclose([gradients[k][1] for k in ("l2", "l2_sp", "elastic")], [36, 36, 24], rtol=1e-6)
