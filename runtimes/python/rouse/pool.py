"""Plain handlers: threads around the server's epoll. Each takes an event, and with it a request, from reading to answering."""

from __future__ import annotations

import os
import select
import threading

from . import failure, log, response
from .connection import Gone
from .server import HEAD_SECONDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .call import Call
    from .response import Response
    from .server import Exchange, Server

THREADS = 128
"""How many plain handlers run at once, whatever the CPU: most wait for something else, and a stream holds its thread to its end. More
than the hundred requests for which the autoscaler keeps one pod (docs/scaling.md).
"""


class Pool:
    """A thread more is started whenever the last free one takes a request."""

    def __init__(self, server: Server, call: Call) -> None:
        self._server = server
        self._call = call
        self._size = THREADS
        self._started = 0
        self._free = 0
        self._lock = threading.Lock()

    def run(self, stop: int) -> None:
        """Serves until `stop` becomes readable, then drains."""
        self._start()
        os.read(stop, 1)
        self._server.drain()
        drained = select.poll()
        drained.register(self._server.drained, select.POLLIN)
        if not drained.poll(HEAD_SECONDS * 1000):
            self._server.end_heads()
            drained.poll()

    def _start(self) -> None:
        with self._lock:
            if self._started == self._size:
                return
            self._started += 1
            self._free += 1
            name = f"rouse-{self._started}"
        try:
            threading.Thread(target=self._work, name=name, daemon=True).start()
        except RuntimeError:  # the pod's limit of processes: those that run have to do
            with self._lock:
                self._size = self._started = self._started - 1
                self._free -= 1

    def _work(self) -> None:
        poll, ready = self._server.epoll.poll, self._server.ready
        while True:
            for fd, _ in poll(-1, 1):
                exchange = ready(fd)
                if exchange is not None:
                    with self._lock:
                        self._free -= 1
                        short = self._free == 0
                    if short:
                        self._start()
                    self._serve(exchange)
                    exchange = None  # nor is its body kept until the next one comes
                    with self._lock:
                        self._free += 1

    def _serve(self, exchange: Exchange) -> None:
        token = log.current.set(exchange.scope)
        try:
            answer = self._run(exchange)
            if answer.stream is None and answer.async_stream is None:
                self._respond(exchange, answer)
            else:
                self._stream(exchange, answer)
        except Exception as error:  # ours: no thread is lost for it
            failure.log_trace(error)
            self._server.cut(exchange.connection)
        finally:
            log.finish(exchange.scope)
            log.current.reset(token)

    def _run(self, exchange: Exchange) -> Response:
        try:
            value = self._call(exchange.request)
            if hasattr(value, "__await__"):
                from . import bridge

                value = bridge.wait(value)
            return response.of(value)
        except BaseException as error:
            return response.raised(error, exchange.request.id)

    def _respond(self, exchange: Exchange, answer: Response) -> None:
        log.finish(exchange.scope)  # before the caller has the answer and may look for them
        self._server.respond(exchange, answer)

    def _stream(self, exchange: Exchange, answer: Response) -> None:
        """Sends each piece as it comes. An error before the first one is answered as any other, a later one cuts the connection."""
        source: Any = answer.stream
        if answer.async_stream is not None:
            from . import bridge

            source = bridge.Pieces(answer.async_stream)
        form = self._server.answer(exchange, answer)
        connection = exchange.connection
        begun = False
        try:
            if not form.bodiless:
                for piece in pieces(source):
                    data = form.chunk(piece)
                    connection.write(data if begun else form.head + data)
                    begun = True
            end = b"" if form.bodiless else form.end()
            _close(source)
            connection.write(end if begun else form.head + end)
        except Gone:
            _close(source)
            self._server.cut(connection)
        except BaseException as error:
            if begun:
                failure.log_trace(error)
                _close(source)
                self._server.cut(connection)
            else:
                refusal = response.raised(error, exchange.request.id)
                _close(source)
                self._respond(exchange, refusal)
        else:
            log.finish(exchange.scope)
            self._server.release(connection, form.close)


def pieces(source: Iterator[Any]) -> Iterator[bytes]:
    """The stream as bytes, without the empty pieces: one of those would end a chunked body."""
    for piece in source:
        data = encoded(piece)
        if data:
            yield data


def encoded(piece: Any) -> bytes:
    if isinstance(piece, str):
        return piece.encode("utf-8", "surrogatepass")
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return bytes(piece)
    raise TypeError(f"a stream gives str or bytes, not {type(piece).__name__}")


def _close(source: Any) -> None:
    close = getattr(source, "close", None)
    if close is not None:
        try:
            close()
        except BaseException as error:
            failure.log_trace(error)
