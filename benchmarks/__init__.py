"""Measured comparisons of jaxann with its peers and with hand-written JAX: `python -m benchmarks --help`."""
