"""What a plain handler returns may still be asynchronous: an awaitable, an async generator. It runs on one loop in a thread of its
own, which the first one starts; the request's own thread waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator
    from typing import Any

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def wait(value: Awaitable[Any]) -> Any:
    """What the awaitable gives, or its exception."""

    async def run() -> tuple[Any, BaseException | None]:
        try:
            return await value, None
        except BaseException as error:  # as a value: out of a task, SystemExit and KeyboardInterrupt would go on out of the loop
            return None, error

    result, error = asyncio.run_coroutine_threadsafe(run(), _running()).result()
    if error is None:
        return result
    try:
        raise error
    finally:
        del error  # its traceback has this frame, and the two would hold each other


class Pieces:
    """The same pieces, for a thread. A class, as closing a generator that has not begun would not close its source."""

    def __init__(self, source: AsyncIterator[Any]) -> None:
        self._source = source

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return wait(self._source.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        close = getattr(self._source, "aclose", None)
        if close is not None:
            wait(close())


def _running() -> asyncio.AbstractEventLoop:
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_run, args=(_loop,), name="rouse-loop", daemon=True).start()
        return _loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    while True:
        with contextlib.suppress(SystemExit, KeyboardInterrupt):  # of a task of the user's own, which keeps it for whoever awaits it
            loop.run_forever()
