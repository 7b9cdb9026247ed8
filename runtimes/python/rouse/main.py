"""From the environment to a served function, and to its end."""

from __future__ import annotations

import os
import signal
import sys

from . import failure, log, settings, source
from .call import Call
from .errors import Unloadable
from .room import Room
from .server import Server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

EXIT_FORCED = 128 + signal.SIGTERM
"""What a shell says of a process that SIGTERM ended: the second one does not wait for running requests."""


def main() -> NoReturn:
    """Exits 0 after SIGTERM, 78 for a source that cannot be loaded, 1 for anything else, and says the reason of the latter two."""
    log.install()
    try:
        serve()
    except Unloadable as error:
        failure.last_words(error.sentence, error.cause)
        _exit(failure.EXIT_UNLOADABLE)
    except BaseException as error:
        failure.last_words(f"The runtime ended by {type(error).__name__}.", error)
        _exit(failure.EXIT_CRASHED)
    _exit(0)


def serve() -> None:
    """Returns once SIGTERM has come and each running request is answered."""
    given = settings.take()
    # The kernel keeps from the first process of a container what that has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    handler = source.handler(source.load(given.source), given.target)
    call = Call(handler, given.target, given.signature)
    stop = _stop_signal()
    server = Server(given.port, Room(given.max_body_bytes, given.max_bodies_bytes))
    if call.is_async:
        from .loop import Loop

        Loop(server, call).run(stop)
    else:
        from .pool import Pool

        Pool(server, call).run(stop)


def _stop_signal() -> int:
    """A descriptor that the first SIGTERM makes readable; the second one ends the process.

    Set once the source is loaded: its own handler would lose running requests.
    """
    readable, writable = os.pipe2(os.O_CLOEXEC)
    stopping = False

    def stop(_signal: int, _frame: object) -> None:
        nonlocal stopping
        if stopping:
            os._exit(EXIT_FORCED)
        stopping = True
        os.write(writable, b"s")

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return readable


def _exit(code: int) -> NoReturn:
    """Runs what user code registered with `atexit`, and waits for no thread that it left behind."""
    import atexit

    try:
        atexit._run_exitfuncs()
    finally:
        log.finish()
        sys.stdout.flush()
        os._exit(code)
