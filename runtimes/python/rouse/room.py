"""The memory for bodies of requests, which all connections share."""

from __future__ import annotations

import threading

from .errors import HTTPError

LARGE_BYTES = 256 * 1024
"""A body from which on its memory is worth a system call when it is freed."""


class Room:
    """Counts the bytes of bodies that are being read, or whose requests are being answered. For any thread."""

    __slots__ = ("_left", "_lock", "_seen_large", "largest")

    def __init__(self, largest: int, together: int) -> None:
        """In bytes: what one body may have, and what all that are in memory at once may."""
        self.largest = largest
        self._left = together
        self._lock = threading.Lock()
        self._seen_large = False

    def take(self, size: int) -> None:
        """For bytes that have arrived. `HTTPError` (503), and nothing is taken, if there is no room for them."""
        with self._lock:
            if size <= self._left:
                self._left -= size
                return
        raise HTTPError(
            503,
            "The function has as many bodies of requests in memory as it may. More resources.memory gives it more.",
            {"Retry-After": "1"},
        )

    def large(self) -> None:
        """Once a body turns out to be `LARGE_BYTES` long."""
        if not self._seen_large:
            self._seen_large = True
            from .heap import give_back

            give_back(LARGE_BYTES)

    def give(self, size: int) -> None:
        with self._lock:
            self._left += size
