"""The errors that have a meaning beyond their module."""

from __future__ import annotations


class HTTPError(Exception):
    """Ends a request with a status and one plain sentence for the caller.

    Raised by our own reading of requests (400, 413, 415, 431, 501, 503) and usable by a handler.
    """

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text
        self.headers = headers

    def __str__(self) -> str:
        return f"{self.status}: {self.text}"


class Unloadable(Exception):
    """The function cannot run: `sentence` names the kind and the line, never a text of the source.

    `cause` is the exception of the user's code, if one was raised.
    """

    def __init__(self, sentence: str, cause: BaseException | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.cause = cause
