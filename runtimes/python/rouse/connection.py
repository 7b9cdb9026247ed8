"""One connection: requests out of the bytes that arrive, bytes of answers in."""

from __future__ import annotations

import select
import socket

from . import wire
from .errors import HTTPError
from .request import Request
from .room import LARGE_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .room import Room
    from .wire import Body, ChunkedBody, Head

RECEIVE_BYTES = 64 * 1024
"""The size of one read."""

STALL_SECONDS = 300
"""How long a caller of a streamed answer may take nothing of it. The activator's own limits are shorter."""


MAX_DISCARD_BYTES = 16 * 1024 * 1024
"""How much of a refused request is dropped, so that its caller may read the refusal; then the connection is closed."""


class Gone(Exception):
    """The other side has closed the connection, or broken it."""


class Connection:
    """Never blocks but in `write`. One thread at a time has it: the one whom epoll told of it (EPOLLONESHOT)."""

    __slots__ = (
        "_body",
        "_discarded",
        "_discarding",
        "_empty_lines",
        "_head",
        "_rest",
        "_room",
        "_share",
        "_socket",
        "armed",
        "busy",
        "fd",
        "peer",
    )

    def __init__(self, sock: socket.socket, peer: str, room: Room) -> None:
        self._socket = sock
        self._room = room
        self._share = 0
        self._rest = b""
        self._head: Head | None = None
        self._body: Body | ChunkedBody | None = None
        self._discarding = False
        self._discarded = 0
        self._empty_lines = 0
        self.fd = sock.fileno()
        self.peer = peer
        self.busy = False
        """From the first byte of a request to the end of its answer."""
        self.armed = False
        """Whether epoll has it, and nobody else. Guarded by the server's lock."""

    @property
    def buffered(self) -> bool:
        """Whether bytes of the next request are here already (pipelining)."""
        return bool(self._rest)

    @property
    def within_head(self) -> bool:
        """Whether a head has begun to arrive, and its end has not."""
        return self.busy and self._head is None

    def advance(self) -> tuple[Request, Head] | None:
        """The next request as soon as it is whole, else None. `Gone`, or `HTTPError` for one that will not be served."""
        while True:
            if self._rest and not self._discarding:
                complete = self._parse()
                if complete is not None:
                    return complete
            try:
                received = self._socket.recv(RECEIVE_BYTES)
            except BlockingIOError:
                return None
            except OSError:
                raise Gone from None
            if not received:
                raise Gone
            if not self._discarding:
                self._rest += received
                continue
            self._discarded += len(received)
            if self._discarded > MAX_DISCARD_BYTES:
                raise Gone

    def _parse(self) -> tuple[Request, Head] | None:
        if self._head is None:
            while self._rest.startswith(b"\r\n"):
                self._rest = self._rest[2:]
                self._empty_lines += 1
                if self._empty_lines > wire.MAX_EMPTY_LINES:
                    raise HTTPError(400, "There are empty lines before the request.")
            if not self._rest:
                return None
            self.busy = True
            end = self._rest.find(b"\r\n\r\n")
            if end > wire.MAX_HEAD_BYTES or (end < 0 and len(self._rest) > wire.MAX_HEAD_BYTES):
                raise HTTPError(431, f"The head has more than {wire.MAX_HEAD_BYTES} bytes.")
            if end < 0:
                return None
            self._head = wire.Head(self._rest[:end])
            self._empty_lines = 0
            self._rest = self._rest[end + 4 :]
            self._body = wire.body(self._head, self._room.largest)
            if self._head.expects and not self._rest and not self._body.complete:
                self.send(wire.CONTINUE)
        body, head = self._body, self._head
        assert body is not None
        if not body.complete:
            self._rest = body.feed(self._rest)
            came = body.size - self._share
            if came:
                self._room.take(came)
                self._share += came
                if self._share >= LARGE_BYTES:
                    self._room.large()
            if not body.complete:
                return None
        self._head = self._body = None
        return Request(head, body.data(), self.peer), head

    def answered(self) -> None:
        """The body is needed no more: its room is another's."""
        if self._share:
            self._room.give(self._share)
            self._share = 0

    def end(self) -> None:
        """The request that was read has its answer, or gets none."""
        self.busy = False
        self._head = self._body = None
        self.answered()

    def send(self, data: bytes) -> int:
        """Gives the kernel what it takes at once, and says how many bytes that was. `Gone` if nobody is there."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            raise Gone from None

    def write(self, data: bytes) -> None:
        """All of it, waiting for the other side where it must. `Gone` if that takes nothing for `STALL_SECONDS`."""
        sent = self.send(data)
        while sent < len(data):
            data = data[sent:]
            waiter = select.poll()
            waiter.register(self.fd, select.POLLOUT)
            if not waiter.poll(STALL_SECONDS * 1000):
                raise Gone
            sent = self.send(data)

    def discard(self) -> None:
        """After an answer to a request that was not read to its end: says that no more follows and drops what still comes.

        Closing at once would reset the connection, and the answer with it (RFC 9112, section 9.6).
        """
        self._discarding = True
        self._rest = b""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self) -> None:
        self.end()
        self._socket.close()
