"""What every search is called with, in one record: its trials and its storage are made from that."""

from __future__ import annotations

from typing import NamedTuple

from jaxann.core.typing import Key
from jaxann.train.grouping import Build
from jaxann.train.placement import Placement
from jaxann.tune.budget import UNLIMITED, Allowance
from jaxann.tune.resampling import Resampling

__all__ = ["Search"]


class Search(NamedTuple):
    """A call of a search, without the settings it tries; an argument that all searches get is added here alone."""

    function: str  # the search, for messages
    build: Build
    data: tuple
    scored_on: Resampling
    key: Key
    epochs: int | None
    batch_size: int | None = None
    placement: Placement | None = None
    progress: bool = False
    allowance: Allowance = UNLIMITED  # of time and retries
