"""Functions that answer for exceptions of the handler, as `functions_framework.errorhandler` declares them. Loaded if there are any."""

from __future__ import annotations

from . import failure
from .errors import HTTPError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .request import Request


def rescued(run: Callable[[Request], Any], handlers: dict[Any, Callable[..., Any]]) -> Callable[[Request], Any]:
    """`run`, but for exceptions that one of `handlers` is for: by status, or by class."""

    def attempt(request: Request) -> Any:
        try:
            value = run(request)
        except Exception as error:
            return _rescue(error, handlers)
        return later(value) if hasattr(value, "__await__") else value

    async def later(value: Any) -> Any:
        try:
            return await value
        except Exception as error:
            value = _rescue(error, handlers)
        return await value if hasattr(value, "__await__") else value

    return attempt


def _rescue(error: Exception, handlers: dict[Any, Callable[..., Any]]) -> Any:
    """Flask's order: that of the status, that of the nearest class, and for what has no status that of 500. Else it is raised again."""
    status = [error.status] if isinstance(error, HTTPError) else []
    for key in [*status, *type(error).__mro__]:
        if key in handlers:
            return handlers[key](error)
    if status or 500 not in handlers:
        raise error
    failure.log_trace(error)
    whole = HTTPError(500, "The function failed.")
    whole.original_exception = error  # type: ignore[attr-defined]
    return handlers[500](whole)
