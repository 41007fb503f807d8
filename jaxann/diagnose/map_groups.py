"""Which boxes of the map belong together: those of a block, so that a deep net stays readable."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["groups_of"]

_MOST = 14  # boxes of a group; of more, the blocks inside are groups by themselves
_FEW = 24  # boxes without a block that stand alone
_RUN = 10  # of more, boxes that are put together


def groups_of(names: Sequence[str]) -> list[str]:
    """For each box the name of its group, "" for one that stands alone; boxes of a group follow each other."""
    found = [""] * len(names)
    _split(names, list(range(len(names))), 0, found)
    for at, group in enumerate(found):  # what is interrupted is several groups
        if group and at and found[at - 1] != group and group in found[:at]:
            found[at:] = [f"{group} (again)" if one == group else one for one in found[at:]]
    loose = [at for at, group in enumerate(found) if not group]
    if len(loose) > _FEW:
        _runs(names, loose, found)
    return found


def _split(names: Sequence[str], members: list[int], depth: int, found: list[str]) -> None:
    """Group by the next part of the path, and once more within what is still large."""
    by_part: dict[str, list[int]] = {}
    for at in members:
        pieces = names[at].split(".")
        if len(pieces) > depth + 1:
            by_part.setdefault(".".join(pieces[: depth + 1]), []).append(at)
    for prefix, own in by_part.items():
        # What a block does itself, such as the sum of a residual, belongs to it.
        whole = own + [at for at in members if names[at] == prefix]
        if len(whole) > _MOST and any(len(names[at].split(".")) > depth + 2 for at in own):
            _split(names, own, depth + 1, found)
        elif len(whole) > 1:
            for at in whole:
                found[at] = prefix


def _runs(names: Sequence[str], loose: list[int], found: list[str]) -> None:
    """Boxes in a row as groups of some length, called by the first and the last."""
    run: list[int] = []
    for at in [*loose, -1]:
        if run and (at != run[-1] + 1 or len(run) == _RUN):
            if len(run) > 2:
                for one in run:
                    found[one] = f"{names[run[0]]} to {names[run[-1]]}"
            run = []
        run.append(at)
