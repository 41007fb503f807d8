"""The few exceptions of jaxann, so that a caller can tell bad input from a bad file from a diverged run."""

from __future__ import annotations

from typing import Any

__all__ = ["CheckpointError", "DivergedError", "DivergedWarning", "InputError", "MissingDependencyError"]


class InputError(ValueError):
    """An argument is wrong; the text names the argument, what it must be, and what was given."""


class CheckpointError(ValueError):
    """A saved file is damaged, foreign, or does not fit what it is loaded into."""


class MissingDependencyError(ImportError):
    """An optional package is needed for what was asked; the text names the extra that installs it."""


class DivergedWarning(UserWarning):
    """Training met a loss, gradient or update that is not finite and stopped at the last good step."""


class DivergedError(ArithmeticError):
    """Training met a loss, gradient or update that is not finite and was told to raise, or had no good step.

    Attributes:
        step: number of the first bad optimizer step of the run, counted from 0.
        params, state: the last good parameters and layer state.
    """

    def __init__(self, message: str, *, step: int, params: Any, state: Any):
        super().__init__(message)
        self.step = step
        self.params = params
        self.state = state
