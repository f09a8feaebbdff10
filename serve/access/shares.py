"""Places that callers share, so that nobody holds so many that the next one finds none."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from serve.access.identity import Principal
from serve.access.refusals import TooManyError

RETRY_S = 5.0


class Shares:
    """Places of one process, for all its threads; how many there are in all is the business of others.

    Parameters
    ----------
    places_n
        How many there are.
    refusal
        What a caller hears who holds enough: one plain sentence.
    """

    def __init__(self, places_n: int, *, refusal: str) -> None:
        self._places_n = places_n
        self._refusal = refusal
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()

    @contextmanager
    def hold(self, who: Principal) -> Iterator[None]:
        """Hold a place for as long as the block takes.

        Raises
        ------
        TooManyError
            This one holds enough of them, see `is_fair`.
        """
        with self._lock:
            free_n = self._places_n - self._held.total()
            if not is_fair(who, held=self._held[who.name], more=1, free=free_n):
                raise TooManyError(self._refusal, retry_after_s=RETRY_S)
            self._held[who.name] += 1
        try:
            yield
        finally:
            with self._lock:
                self._held -= Counter([who.name])


def is_fair(who: Principal, *, held: int, more: int, free: int) -> bool:
    """Whether a caller may have more of something, and others still find some.

    Nobody gets more than is free: one caller alone half of all, two callers a third each, n of them one part in n + 1.
    Who holds nothing always gets what is asked for. What calls from this machine without a key may be many people's
    pages, which cannot be told apart, so it counts as nobody.
    """
    return who.how == "local" or held == 0 or held + more <= free
