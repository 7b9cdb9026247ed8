"""The decorators of Google's Functions Framework, so that a function written for it runs as it is.

A decorator decides the signature of its function, whatever FUNCTION_SIGNATURE_TYPE says. Nothing else of that package is here.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MARK = "__rouse_signature__"
"""The attribute of a decorated function: `http`, `cloudevent`, or the input type of a typed one."""

ERROR_HANDLERS: dict[Any, Callable[..., Any]] = {}
"""What `errorhandler` has declared, by status or class."""


def http(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function(request)`."""
    setattr(function, MARK, "http")
    return function


def cloud_event(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function(event)`."""
    setattr(function, MARK, "cloudevent")
    return function


def typed(given: Any) -> Any:
    """`function(value)`: the type has `from_dict` for the request's JSON, what is returned has `to_dict`.

    Used as `@typed(Type)`, or as `@typed` on a function whose argument is annotated with the type.
    """
    if isinstance(given, type):

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            return _typed(function, given)

        return decorate
    from typing import get_type_hints

    hints = [hint for name, hint in get_type_hints(given).items() if name != "return"]
    if not hints:
        raise TypeError("the argument of a typed function must be annotated with its type")
    return _typed(given, hints[0])


def errorhandler(given: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`function(error)` answers for exceptions of a class, or of a status: 500 is also that of all that have none."""
    if not isinstance(given, int) and not (isinstance(given, type) and issubclass(given, BaseException)):
        raise TypeError(f"an error handler is for a status or a class of exceptions, not {given!r}")

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        ERROR_HANDLERS[given] = function
        return function

    return decorate


def _typed(function: Callable[..., Any], kind: Any) -> Callable[..., Any]:
    if not hasattr(kind, "from_dict"):
        raise TypeError(f"the type {kind.__name__} has no from_dict")
    setattr(function, MARK, kind)
    return function
