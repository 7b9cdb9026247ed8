"""stdout and stderr of user code: whole lines, each with the id of the request that it belongs to.

A line leaves with one `write(2)` under a lock, so lines of concurrent requests never mix. What a request has not ended with a
newline follows when the request ends.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_LINE_BYTES = 16 * 1024
"""The longest line, its prefix and newline included: the size at which container runtimes split one."""

MAX_ID_CHARACTERS = 128


class Scope:
    """Where a piece of code logs to: the prefix of its lines, and the unfinished line of each stream."""

    __slots__ = ("parts", "prefix")

    def __init__(self, prefix: bytes = b"") -> None:
        self.prefix = prefix
        self.parts: dict[int, bytes] = {}


def request_scope(request_id: str) -> Scope:
    """The scope of one request. An id that is not plain ASCII is escaped: it comes from outside."""
    shown = request_id[:MAX_ID_CHARACTERS]
    if not (shown.isascii() and shown.isprintable()):
        shown = ascii(shown)[1:-1]
    return Scope(f"[{shown}] ".encode())


current: ContextVar[Scope | None] = ContextVar("scope", default=None)


class _Outside(threading.local):
    """Each thread's lines outside of any request."""

    def __init__(self) -> None:
        self.scope = Scope()


_outside = _Outside()


class LineStream(io.TextIOBase):
    """Stands in for `sys.stdout` or `sys.stderr`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.RLock()  # a finalizer may print while its thread is in here

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        return "backslashreplace"

    @property
    def buffer(self) -> BytesStream:
        return BytesStream(self)

    def fileno(self) -> int:
        return self._fd

    def writable(self) -> bool:
        return True

    def reconfigure(self, **_options: object) -> None:
        """Accepted and ignored: the form of our lines is fixed."""

    def close(self) -> None:
        """Ignored: the process keeps its streams."""

    def write(self, text: str) -> int:
        self.write_bytes(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:  # type: ignore[override]
        self.write("".join(lines))

    def write_bytes(self, data: bytes) -> None:
        scope = current.get() or _outside.scope
        with self._lock:
            lines = (scope.parts.pop(self._fd, b"") + data).split(b"\n")
            rest = lines.pop()
            room = MAX_LINE_BYTES - len(scope.prefix) - 1
            if len(rest) > room:
                *whole, rest = split(rest, room)
                lines += whole
            if rest:
                scope.parts[self._fd] = rest
            if lines:
                self._emit(scope.prefix, lines, room)

    def finish(self, scope: Scope) -> None:
        """Writes what the scope left without a newline."""
        with self._lock:
            rest = scope.parts.pop(self._fd, b"")
            if rest:
                self._emit(scope.prefix, [rest], MAX_LINE_BYTES - len(scope.prefix) - 1)

    def _emit(self, prefix: bytes, lines: list[bytes], room: int) -> None:
        if any(len(line) > room for line in lines):
            lines = [piece for line in lines for piece in split(line, room)]
        data = b"".join([prefix + line + b"\n" for line in lines])
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            pass  # nobody reads: a function does not fail for its log


class BytesStream(io.RawIOBase):
    """`sys.stdout.buffer`: bytes that take the same way."""

    def __init__(self, stream: LineStream) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def close(self) -> None:
        """Ignored, see `LineStream.close`."""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._stream.write_bytes(bytes(data))
        return len(data)


STDOUT = LineStream(1)
STDERR = LineStream(2)


def install() -> None:
    """From here on all that Python code prints goes by lines."""
    sys.stdout = STDOUT
    sys.stderr = STDERR


def finish(scope: Scope | None = None) -> None:
    """Ends the scope's unfinished lines; without one, those of this thread outside of requests."""
    scope = scope or _outside.scope
    if scope.parts:
        STDOUT.finish(scope)
        STDERR.finish(scope)


def split(line: bytes, room: int) -> list[bytes]:
    """Pieces of at most `room` bytes that do not cut a character of UTF-8."""
    pieces = []
    while len(line) > room:
        end = room
        while end > room - 3 and line[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(line[:end])
        line = line[end:]
    return [*pieces, line]
