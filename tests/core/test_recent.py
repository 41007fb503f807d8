"""What was used last is kept, whatever threads ask at once."""

from __future__ import annotations

import threading
from collections.abc import Callable

from jaxann.core import programs
from jaxann.core.recent import Recent


def test_the_entry_not_used_for_the_longest_time_goes():
    kept: Recent[int] = Recent(2)
    kept.put("a", 1)
    kept.put("b", 2)
    assert kept.get("a") == 1
    kept.put("c", 3)
    assert (kept.get("a"), kept.get("b"), kept.get("c"), len(kept)) == (1, None, 3, 2)
    kept.put("a", 4)
    assert kept.get("a") == 4


class _Key:
    """Lets another thread do its work between two looks at the same key."""

    def __init__(self, meanwhile: Callable[[], object]):
        self._meanwhile, self.is_slow = threading.Thread(target=meanwhile), False
        self._hashed = 0

    def __hash__(self) -> int:
        self._hashed += self.is_slow
        if self._hashed == 2:
            self._meanwhile.start()
            self._meanwhile.join(0.2)  # in vain where it has to wait for us
        return 1

    def finish(self) -> None:
        self._meanwhile.join()


def test_an_entry_that_was_found_does_not_go_before_it_is_handed_over():
    kept: Recent[int] = Recent(2)
    key = _Key(lambda: [kept.put(name, 0) for name in "abc"])
    kept.put(key, 5)
    kept.put("later", 0)
    key.is_slow = True
    assert kept.get(key) == 5
    key.finish()
    assert len(kept) == 2


class _Owner:
    pass


def test_nothing_is_reserved_while_the_reserved_are_counted():
    owner = _Owner()
    thread = threading.Thread(target=programs.reserve, args=(owner, 0))
    with programs._LOCK:
        thread.start()
        thread.join(0.1)
        assert owner not in programs._RESERVED
    thread.join()
    assert owner in programs._RESERVED
