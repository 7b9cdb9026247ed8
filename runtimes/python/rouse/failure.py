"""What the world learns of an exception: the user's lines of the traceback, on stderr and in the termination log."""

from __future__ import annotations

import sys

from . import settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from traceback import TracebackException

LAST_WORDS_BYTES = 2000
"""The length of the termination log, in bytes of UTF-8. Kubernetes keeps 4,096, the Function's condition has less room."""

EXIT_UNLOADABLE = 78
"""EX_CONFIG of sysexits.h: the same source will fail again."""

EXIT_CRASHED = 1

_OURS = __file__.rpartition("/")[0]
_FROZEN = "<frozen "


def trace(error: BaseException) -> str:
    """The traceback of an exception and of those that led to it, without the frames of this server."""
    import traceback  # some 10 ms, and most processes never need it

    if isinstance(error, SystemExit) and error.__traceback__ is None:
        return ""
    told = traceback.TracebackException.from_exception(error)
    _strip(told)
    return "".join(told.format())


def log_trace(error: BaseException) -> None:
    """The traceback to stderr; within a request each line carries its id."""
    print(trace(error), end="", file=sys.stderr)


def last_words(sentence: str, error: BaseException | None) -> None:
    """Says why the process ends, in the termination log and to stderr. A log that cannot be written is no error."""
    detail = trace(error) if error is not None else ""
    # Stderr may be a pipe that nobody empties.
    try:
        with open(settings.termination_log(), "wb") as log:
            log.write(shortened(sentence, detail, LAST_WORDS_BYTES))
    except OSError:
        pass
    print(sentence, detail, sep="\n", end="", file=sys.stderr, flush=True)


def shortened(sentence: str, detail: str, limit: int) -> bytes:
    """The sentence, then as many of the last lines as fit into `limit` bytes; a last line that is too long loses its end."""
    text = _encoded(sentence.partition("\n")[0])[: limit - 1].decode("utf-8", "ignore").encode() + b"\n"
    room = limit - len(text)
    kept: list[bytes] = []
    for line in reversed(_encoded(detail).splitlines(keepends=True)):
        if len(line) > room:
            if not kept:
                kept.append(line[:room].decode("utf-8", "ignore").encode())
            break
        kept.append(line)
        room -= len(line)
    return text + b"".join(reversed(kept))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _strip(told: TracebackException) -> None:
    seen = set()
    todo: list[TracebackException | None] = [told]
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        one.stack[:] = [frame for frame in one.stack if not frame.filename.startswith(_OURS)]
        todo += [one.__cause__, one.__context__, *(getattr(one, "exceptions", None) or [])]
