"""The errors that have a meaning beyond their module."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


MAX_NAME_CHARACTERS = 60
"""How much of a missing field's name its caller is shown."""


class HTTPError(Exception):
    """Ends a request with a status and what its caller is told: one plain sentence, or a dict or list as JSON.

    Raised by our own reading of requests (400, 413, 415, 431, 501, 503) and usable by a handler.
    """

    def __init__(self, status: int, text: Any, headers: dict[str, str] | None = None) -> None:
        """`ValueError` or `TypeError`, here where the source's own line is to blame, for what is no such answer."""
        super().__init__(status, text)
        self.status = int(status)
        if not 400 <= self.status <= 599:
            raise ValueError(f"not the status of an error: {self.status}")
        if not isinstance(text, (str, dict, list)):
            raise TypeError(f"an HTTPError tells a str, dict or list, not {type(text).__name__}")
        self.text = text
        self.headers = headers

    def __str__(self) -> str:
        return f"{self.status}: {self.text}"


class Missing(HTTPError, KeyError):
    """A field that the request does not have: the caller's fault, as in Flask, unless the handler catches it as a `KeyError`."""

    def __init__(self, name: object) -> None:
        super().__init__(400, f"The request has no {str(name)[:MAX_NAME_CHARACTERS]!a}.")
        self.args = (name,)


class Unloadable(Exception):
    """The function cannot run: `sentence` names the kind and the line, never a text of the source.

    `cause` is the exception of the user's code, if one was raised.
    """

    def __init__(self, sentence: str, cause: BaseException | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.cause = cause
