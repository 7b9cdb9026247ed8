"""The handler behind its signature: from a request to whatever it returns."""

from __future__ import annotations

import sys

from .errors import HTTPError, Unloadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .request import Request

_COROUTINE = 0x80  # inspect.CO_COROUTINE and CO_ASYNC_GENERATOR; the module `inspect` costs 6 ms
_ASYNC_GENERATOR = 0x200
_VARARGS = 0x04

DELIVERED = "OK"
"""The answer to each event that raised nothing: what a function of events returns is ignored, as Google's framework does."""


class Call:
    """`call(request)` runs the handler. `is_async` says that its value must be awaited or iterated on the loop."""

    __slots__ = ("_handler", "_run", "is_async", "signature")

    def __init__(self, handler: Callable[..., Any], name: str, signature: str) -> None:
        """`Unloadable` if the handler does not take the one argument that it will be given."""
        self._handler = handler
        mark = getattr(handler, "__rouse_signature__", signature)
        self.signature = mark if isinstance(mark, str) else "typed"
        self.is_async = _is_async(handler)
        _check(handler, name, {"http": "the request", "cloudevent": "the event"}.get(self.signature, "the value"))
        if self.signature == "http":
            self._run: Callable[[Request], Any] = handler
        elif self.signature == "cloudevent":
            self._run = self._event
        else:
            self._run = self._typed(mark)
        handlers = getattr(sys.modules.get("functions_framework"), "ERROR_HANDLERS", None)
        if handlers:
            from .rescue import rescued

            self._run = rescued(self._run, handlers)

    def __call__(self, request: Request) -> Any:
        return self._run(request)

    def _event(self, request: Request) -> Any:
        from .event import received

        value = self._handler(received(request))
        return _delivered(value) if hasattr(value, "__await__") else DELIVERED

    def _typed(self, kind: Any) -> Callable[[Request], Any]:
        def run(request: Request) -> Any:
            given = request.get_json(force=True)
            try:
                value = kind.from_dict(given)
            except (KeyError, TypeError, ValueError):
                raise HTTPError(400, "The body does not have the form that the function takes.") from None
            return _untyped(self._handler(value))

        return run


async def _delivered(value: Any) -> str:
    await value
    return DELIVERED


def _untyped(result: Any) -> Any:
    if hasattr(result, "to_dict"):
        return result.to_dict()
    return _awaited(result) if hasattr(result, "__await__") else result


async def _awaited(result: Any) -> Any:
    return _untyped(await result)


def _is_async(handler: Any) -> bool:
    while hasattr(handler, "func"):  # functools.partial
        handler = handler.func
    code = getattr(handler, "__code__", None) or getattr(type(handler).__call__, "__code__", None)
    return bool(getattr(code, "co_flags", 0) & (_COROUTINE | _ASYNC_GENERATOR))


def _check(handler: Any, name: str, what: str) -> None:
    code = getattr(handler, "__code__", None)
    if code is not None and not hasattr(handler, "__self__") and not hasattr(handler, "__wrapped__"):
        most = code.co_argcount
        least = most - len(handler.__defaults__ or ())
        keywords = code.co_kwonlyargcount - len(handler.__kwdefaults__ or ())
        if least <= 1 and (most >= 1 or code.co_flags & _VARARGS) and not keywords:
            return
    else:
        import inspect

        try:
            inspect.signature(handler).bind(None)
            return
        except ValueError:
            return  # written in C: it tells when it is called
        except TypeError:
            pass
    raise Unloadable(f"The function {name} cannot be called with one argument, {what}.")
