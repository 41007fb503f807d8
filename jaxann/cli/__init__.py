"""The command `jaxann`: the only room that prints."""

from jaxann.cli.app import build, main

__all__ = ["build", "main"]
