"""The listening socket and its connections, behind one epoll.

Every descriptor is armed for one event (EPOLLONESHOT), so whoever polls, be it one loop or many threads, gets a connection for
itself until it arms it again (`Connection.armed`: nobody has it). Requests that nobody has time for wait in the kernel, in their order.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
import time

from . import failure, log
from .answer import Answer
from .connection import Connection, Gone
from .errors import HTTPError
from .response import refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .request import Request
    from .response import Response
    from .room import Room
    from .wire import Head

BACKLOG = 1024
"""Connections that the kernel keeps until they are accepted; `net.core.somaxconn` may allow fewer."""

FULL_SECONDS = 0.05
"""The pause between two tries when user code has taken every descriptor."""

HEAD_SECONDS = 5
"""How long after SIGTERM the rest of a head may come: the activator sends one at once."""

_READ = select.EPOLLIN | select.EPOLLONESHOT
_AT_ONCE = select.EPOLLIN | select.EPOLLOUT | select.EPOLLONESHOT
_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Exchange:
    """One request and its way back."""

    __slots__ = ("connection", "head", "request", "scope")

    def __init__(self, connection: Connection, request: Request, head: Head) -> None:
        self.connection = connection
        self.request = request
        self.head = head
        self.scope = log.request_scope(request.id)


class Server:
    """Accepts, reads, answers, drains. Its methods may be called from any thread."""

    def __init__(self, port: int, room: Room) -> None:
        """Listens from here on. `OSError` if the port is taken."""
        self.epoll = select.epoll()
        self.draining = False
        self._room = room
        self._connections: dict[int, Connection] = {}
        self._sender: Sender | None = None
        self._full = False
        self._heads_are_late = False
        self._lock = threading.Lock()
        self._drained = os.eventfd(0, os.EFD_CLOEXEC)
        self._listener = _listen(port)
        self._listening_fd = self._listener.fileno()
        self.epoll.register(self._listening_fd, _READ)

    @property
    def drained(self) -> int:
        """A descriptor that becomes readable when `drain` was called and the last connection has ended."""
        return self._drained

    def ready(self, fd: int) -> Exchange | None:
        """Does what an event asks for. A request that is whole by then is the caller's to answer."""
        if fd == self._listening_fd:
            self._accept()
            return None
        connection = self._take(fd)
        if connection is None:
            return None
        try:
            complete = connection.advance()
        except Gone:
            self.cut(connection)
        except HTTPError as error:
            self._refuse(connection, error)
        except Exception as error:  # such as MemoryError: one request's end, not its thread's
            failure.log_trace(error)
            self.cut(connection)
        else:
            if complete is not None:
                return Exchange(connection, *complete)
            self._arm(connection)
        return None

    def answer(self, exchange: Exchange, response: Response) -> Answer:
        """The form of this response: the last on its connection once the server drains."""
        head = exchange.head
        return Answer(response, head.method, head.http10, head.keep_alive and not self.draining)

    def respond(self, exchange: Exchange, response: Response) -> None:
        """Sends a response that is no stream, and never waits for the other side."""
        answer = self.answer(exchange, response)
        data = answer.head if answer.bodiless else answer.head + response.data
        connection = exchange.connection
        connection.answered()  # first: its caller may send the next body on another connection as soon as it has the answer
        try:
            sent = connection.send(data)
        except Gone:
            self.cut(connection)
            return
        if sent == len(data):
            self.release(connection, answer.close)
        else:
            self._slow().finish(connection, memoryview(data)[sent:], answer.close)

    def release(self, connection: Connection, close: bool) -> None:
        """The answer is complete: the connection may bring the next request."""
        if close:
            self.cut(connection)
            return
        connection.end()
        self._arm(connection)

    def _take(self, fd: int) -> Connection | None:
        """Gives the connection to the one who was told of it. `drain` may have armed it a second time, and then two were."""
        with self._lock:
            connection = self._connections.get(fd)
            if connection is None or not connection.armed:
                return None
            connection.armed = False
            return connection

    def _arm(self, connection: Connection) -> None:
        """Gives the connection back to epoll, or closes it if the server drains and nothing is to be expected of it."""
        with self._lock:
            idle = self.draining and not connection.busy and not connection.buffered
            late = self._heads_are_late and connection.within_head
            if not (idle or late):
                connection.armed = True
                self.epoll.modify(connection.fd, _READ if connection.busy or not connection.buffered else _AT_ONCE)
        if idle or late:
            self.cut(connection)

    def cut(self, connection: Connection) -> None:
        """Closes the connection, whatever its state."""
        with self._lock:
            self._connections.pop(connection.fd, None)
            connection.close()
            if self._full and not self.draining:
                self._full = False
                self.epoll.modify(self._listening_fd, _READ)
            last = self.draining and not self._connections
        if last:
            os.eventfd_write(self._drained, 1)

    def drain(self) -> None:
        """Takes no more connections and ends the idle ones, once it is seen that they bring no request; the others end with
        their answer.
        """
        self._accept()
        with self._lock:
            if self.draining:
                return
            self.draining = True
            self.epoll.unregister(self._listening_fd)
            self._listener.close()
            for connection in self._connections.values():
                if connection.armed:
                    self.epoll.modify(connection.fd, _AT_ONCE)
            left = len(self._connections)
        if not left:
            os.eventfd_write(self._drained, 1)

    def end_heads(self) -> None:
        """To be called `HEAD_SECONDS` after `drain`: a head of which not even now the rest is there is given up."""
        with self._lock:
            self._heads_are_late = True
            for connection in self._connections.values():
                if connection.armed:
                    self.epoll.modify(connection.fd, _AT_ONCE)

    def _accept(self) -> None:
        while True:
            try:
                sock, address = self._listener.accept()
            except BlockingIOError:
                break
            except OSError as error:
                if self.draining:
                    return
                if error.errno not in _FULL:
                    break  # that one is gone again
                if self._full and self._connections:
                    return  # no descriptor is left: the next connection that closes makes room
                if not self._connections:
                    time.sleep(FULL_SECONDS)
                self._full = True
                continue  # once more, as room that was made meanwhile would be missed
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(sock, address[0].removeprefix("::ffff:"), self._room)
            with self._lock:
                if self.draining:
                    sock.close()
                    return
                connection.armed = True
                self._connections[connection.fd] = connection
                self.epoll.register(connection.fd, _READ)
        with self._lock:
            if not self.draining:
                self.epoll.modify(self._listening_fd, _READ)

    def _refuse(self, connection: Connection, error: HTTPError) -> None:
        response = refused(error)
        answer = Answer(response, "GET", http10=False, keep_alive=False)
        try:
            connection.end()
            connection.send(answer.head + response.data)
            connection.discard()
            self._arm(connection)
        except Gone:
            self.cut(connection)

    def _slow(self) -> Sender:
        with self._lock:
            if self._sender is None:
                self._sender = Sender(self)
            return self._sender


class Sender:
    """Finishes the answers that a caller takes slowly, so that none of them holds a thread or the loop. Made when the first one
    is met. What a caller has not taken stays in memory until it goes: the activator ends exchanges, not we.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._epoll = select.epoll()
        self._left: dict[int, tuple[Connection, memoryview, bool]] = {}
        threading.Thread(target=self._run, name="rouse-sender", daemon=True).start()

    def finish(self, connection: Connection, data: memoryview, close: bool) -> None:
        self._left[connection.fd] = (connection, data, close)
        self._epoll.register(connection.fd, select.EPOLLOUT)

    def _run(self) -> None:
        while True:
            for fd, _ in self._epoll.poll():
                connection, data, close = self._left[fd]
                try:
                    data = data[connection.send(data) :]  # type: ignore[arg-type]
                except Gone:
                    self._forget(fd)
                    self._server.cut(connection)
                    continue
                if data:
                    self._left[fd] = (connection, data, close)
                else:
                    self._forget(fd)
                    self._server.release(connection, close)

    def _forget(self, fd: int) -> None:
        del self._left[fd]
        self._epoll.unregister(fd)


def _listen(port: int) -> socket.socket:
    """On all addresses of both families, or of IPv4 where the node has no IPv6."""
    try:
        listener = socket.create_server(("::", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise
        listener = socket.create_server(("", port), backlog=BACKLOG)
    listener.setblocking(False)
    return listener
