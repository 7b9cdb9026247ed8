"""Async handlers: one event loop in the main thread, which also watches the server's epoll. Loaded only for them."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import select

from . import failure, log, response
from .connection import STALL_SECONDS, Gone
from .pool import THREADS, encoded
from .server import HEAD_SECONDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from concurrent.futures import ThreadPoolExecutor
    from typing import Any, ClassVar

    from .call import Call
    from .connection import Connection
    from .response import Response
    from .server import Exchange, Server

EVENTS_AT_ONCE = 64
"""Events taken in one turn of the loop, so that running handlers get theirs."""

_END = object()


class Loop:
    """Each request is a task."""

    def __init__(self, server: Server, call: Call) -> None:
        self._server = server
        self._call = call
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._loop: asyncio.AbstractEventLoop

    def run(self, stop: int) -> None:
        """Serves until `stop` becomes readable, then drains. Not `asyncio.run`: that would wait for what user code left behind."""
        self._loop = asyncio.new_event_loop()
        main = self._loop.create_task(self._main(stop))
        main.add_done_callback(lambda _: self._loop.stop())
        while not main.done():
            with contextlib.suppress(SystemExit, KeyboardInterrupt):  # as in `bridge`
                self._loop.run_forever()
        main.result()

    async def _main(self, stop: int) -> None:
        loop = self._loop
        drained = asyncio.Event()
        loop.add_reader(self._server.epoll.fileno(), self._turn)
        loop.add_reader(self._server.drained, drained.set)
        loop.add_reader(stop, self._drain, stop)
        await drained.wait()

    def _drain(self, stop: int) -> None:
        os.read(stop, 1)
        self._loop.remove_reader(stop)
        self._server.drain()
        self._loop.call_later(HEAD_SECONDS, self._server.end_heads)

    def _turn(self) -> None:
        for fd, _ in self._server.epoll.poll(0, EVENTS_AT_ONCE):
            running = self._tasks.get(fd)
            if running is not None:
                running.cancel()  # the caller is gone, see `_watch`
                continue
            exchange = self._server.ready(fd)
            if exchange is not None:
                context = contextvars.copy_context()
                context.run(log.current.set, exchange.scope)
                self._tasks[fd] = self._loop.create_task(self._serve(exchange), context=context)
                self._watch(fd)

    def _watch(self, fd: int) -> None:
        """While the handler runs, the only event is that the caller has closed its side: a handler that waits for ever is not
        left behind. The activator never closes half a connection.
        """
        self._server.epoll.modify(fd, select.EPOLLRDHUP | select.EPOLLONESHOT)

    async def _serve(self, exchange: Exchange) -> None:
        connection = exchange.connection
        try:
            answer = await self._run(exchange)
            if answer.stream is None and answer.async_stream is None:
                self._respond(exchange, answer)
            else:
                await self._stream(exchange, answer)
        except asyncio.CancelledError:
            self._end(exchange)
            self._server.cut(connection)
        except Exception as error:  # ours: the caller is not left waiting
            failure.log_trace(error)
            self._end(exchange)
            self._server.cut(connection)

    def _end(self, exchange: Exchange) -> None:
        """Before the connection is given back: its next request must not find this one's task."""
        fd = exchange.connection.fd
        if self._tasks.get(fd) is asyncio.current_task():
            del self._tasks[fd]
        log.finish(exchange.scope)

    async def _run(self, exchange: Exchange) -> Response:
        try:
            value = self._call(exchange.request)
            if hasattr(value, "__await__"):
                value = await value
            return response.of(value)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and asyncio.current_task().cancelling():  # type: ignore[union-attr]
                raise
            return response.raised(error, exchange.request.id)

    def _respond(self, exchange: Exchange, answer: Response) -> None:
        self._end(exchange)
        self._server.respond(exchange, answer)

    async def _stream(self, exchange: Exchange, answer: Response) -> None:
        """As `Pool._stream`, on the loop. The steps of a plain generator run in threads."""
        source = answer.async_stream or _InThreads(answer.stream)  # type: ignore[arg-type]
        form = self._server.answer(exchange, answer)
        connection = exchange.connection
        begun = False
        try:
            if not form.bodiless:
                async for piece in source:
                    data = encoded(piece)
                    if data:
                        data = form.chunk(data)
                        await self._write(connection, data if begun else form.head + data)
                        begun = True
            end = b"" if form.bodiless else form.end()
            await _close(source)
            await self._write(connection, end if begun else form.head + end)
        except (Gone, asyncio.CancelledError) as error:
            await _close(source)
            self._end(exchange)
            self._server.cut(connection)
            if isinstance(error, asyncio.CancelledError):
                raise
        except BaseException as error:
            if begun:
                failure.log_trace(error)
                await _close(source)
                self._end(exchange)
                self._server.cut(connection)
            else:
                refusal = response.raised(error, exchange.request.id)
                await _close(source)
                self._respond(exchange, refusal)
        else:
            self._end(exchange)
            self._server.release(connection, form.close)

    async def _write(self, connection: Connection, data: bytes) -> None:
        sent = connection.send(data)
        while sent < len(data):
            data = data[sent:]
            await self._writable(connection.fd)
            sent = connection.send(data)

    async def _writable(self, fd: int) -> None:
        ready = asyncio.Event()
        self._loop.add_writer(fd, ready.set)
        try:
            await asyncio.wait_for(ready.wait(), STALL_SECONDS)
        except TimeoutError:
            raise Gone from None
        finally:
            self._loop.remove_writer(fd)


class _InThreads:
    """The pieces of a plain iterator, each made in a thread. As `bridge.Pieces`, the other way round."""

    _threads: ClassVar[ThreadPoolExecutor | None] = None
    """Not asyncio's own, which are few, and the user's."""

    def __init__(self, source: Iterator[Any]) -> None:
        self._source = source
        self._context = contextvars.copy_context()
        self._step: asyncio.Future[Any] | None = None

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        step = self._step = self._in_thread(next, self._source, _END)
        await asyncio.wait([step])  # a caller that goes ends this, and not the step, for which `aclose` waits then
        self._step = None
        piece = step.result()
        if piece is _END:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        if self._step is not None:
            await asyncio.wait([self._step])
            error = self._step.exception()
            if error is not None:
                failure.log_trace(error)
        close = getattr(self._source, "close", None)
        if close is not None:
            await self._in_thread(close)

    def _in_thread(self, function: Callable[..., Any], *given: Any) -> asyncio.Future[Any]:
        if _InThreads._threads is None:
            from concurrent.futures import ThreadPoolExecutor

            _InThreads._threads = ThreadPoolExecutor(THREADS, "rouse")
        return asyncio.get_running_loop().run_in_executor(_InThreads._threads, self._context.run, function, *given)


async def _close(source: Any) -> None:
    close = getattr(source, "aclose", None)
    if close is not None:
        try:
            await close()
        except BaseException as error:
            failure.log_trace(error)
