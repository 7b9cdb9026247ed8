"""What a handler may return, as one type."""

from __future__ import annotations

from . import failure
from .errors import HTTPError
from .fields import Headers, is_token

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from typing import Any

HTML = "text/html; charset=utf-8"
"""The type of text and bytes without one: Flask's default, which functions for Google's framework rely on."""

PLAIN = "text/plain; charset=utf-8"
JSON = "application/json"


class Response:
    """A status, header fields and a body: bytes, or a stream that is sent as it comes."""

    def __init__(
        self,
        response: Any = b"",
        status: Any = 200,
        headers: Any = None,
        mimetype: str | None = None,
        content_type: str | None = None,
    ) -> None:
        self.headers = Headers(headers)
        self.status_code = status_code(status)
        self.data: bytes = b""
        self.stream: Iterator[Any] | None = None
        self.async_stream: AsyncIterator[Any] | None = None
        default = self._take(response)
        if content_type is None and mimetype is not None:
            content_type = f"{mimetype}; charset=utf-8" if mimetype.startswith("text/") else mimetype
        if content_type is not None:
            self.headers["Content-Type"] = content_type
        elif default is not None:
            self.headers.setdefault("Content-Type", default)

    def _take(self, body: Any) -> str | None:
        """Keeps the body and gives its usual content type."""
        if isinstance(body, str):
            self.data = body.encode("utf-8", "surrogatepass")
        elif isinstance(body, (bytes, bytearray, memoryview)):
            self.data = bytes(body)
        elif body is None:
            return None
        elif isinstance(body, (dict, list)):
            self.data = json_bytes(body)
            return JSON
        elif hasattr(body, "__next__"):
            self.stream = body
        elif hasattr(body, "__anext__"):
            self.async_stream = body
        else:
            raise TypeError(
                "a handler can return str, bytes, dict, list, an iterator, a Response, None or a tuple"
                f" (body, status, headers), but the body is of type {type(body).__name__}"
            )
        return HTML

    @property
    def status(self) -> int:
        return self.status_code

    def set_cookie(
        self,
        key: str,
        value: str = "",
        max_age: int | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: str | None = None,
    ) -> None:
        """RFC 6265. `ValueError` for what a cookie cannot have; a value that would need quoting has to be encoded first."""
        if not is_token(key):
            raise ValueError(f"not the name of a cookie: {key!a}")
        if any(c <= " " or c in '",;\\' or c > "~" for c in value):
            raise ValueError(f"not the value of a cookie: {value!a}")
        parts = [f"{key}={value}"]
        if samesite is not None:
            samesite = samesite.title()
        for name, given, valid in (
            ("Max-Age", max_age, _is_number),
            ("Path", path, _is_attribute),
            ("Domain", domain, _is_attribute),
            ("SameSite", samesite, _SAME_SITE.__contains__),
        ):
            if given is None:
                continue
            if not valid(str(given)):
                raise ValueError(f"not the {name} of a cookie: {given!a}")
            parts.append(f"{name}={given}")
        parts += [name for name, given in (("Secure", secure), ("HttpOnly", httponly)) if given]
        self.headers.add("Set-Cookie", "; ".join(parts))

    def delete_cookie(self, key: str, path: str | None = "/", domain: str | None = None) -> None:
        self.set_cookie(key, max_age=0, path=path, domain=domain)


_SAME_SITE = frozenset({"Strict", "Lax", "None"})


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdecimal() and text.isascii()


def _is_attribute(text: str) -> bool:
    """RFC 6265, section 4.1.1: `av-octet`."""
    return text.isascii() and text.isprintable() and ";" not in text


def of(value: Any) -> Response:
    """The response that a handler's value means. `TypeError` or `ValueError` for a value that means none."""
    if isinstance(value, Response):
        return value
    if value is None:
        return Response(None, 204)
    if isinstance(value, tuple):
        return _tuple(value)
    return Response(value)


def raised(error: BaseException, request_id: str) -> Response:
    """The answer to a request whose handler raised: the status of an `HTTPError`, else a 500 that says nothing of it, as the log does."""
    try:
        if isinstance(error, HTTPError):
            print(f"The request was refused with {error}")
            return refused(error)
    except Exception as another:  # a class of the source's own
        error = another
    failure.log_trace(error)
    return Response(f"The function failed. Request ID: {request_id}\n", 500, content_type=PLAIN)


def refused(error: HTTPError) -> Response:
    if isinstance(error.text, str):
        return Response(error.text + "\n", error.status, error.headers, content_type=PLAIN)
    return Response(error.text, error.status, error.headers)


def status_code(status: Any) -> int:
    """From a number, an `HTTPStatus` or a text such as `404 Not Found`."""
    number = int(status.partition(" ")[0]) if isinstance(status, str) else int(status)
    if not 200 <= number <= 999:
        raise ValueError(f"not the status of a final response: {number}")
    return number


def json_bytes(value: Any) -> bytes:
    import json

    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain_json).encode("utf-8", "surrogatepass") + b"\n"


def _tuple(value: tuple[Any, ...]) -> Response:
    if len(value) == 3:
        body, status, headers = value
    elif len(value) == 2:
        body, status, headers = value[0], None, value[1]
        if isinstance(headers, (int, str)):
            status, headers = headers, None
    else:
        raise TypeError(f"a tuple of a handler has a body and a status, headers or both, not {len(value)} values")
    if isinstance(body, Response):
        if status is not None:
            body.status_code = status_code(status)
        if headers is not None:
            body.headers.update(headers)
        return body
    return Response(body, 200 if status is None else status, headers)


def _plain_json(value: Any) -> Any:
    """What JSON lacks but handlers return: times as ISO 8601, UUID and Decimal as text, dataclasses as objects."""
    import dataclasses
    import datetime
    import decimal
    import uuid

    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (uuid.UUID, decimal.Decimal)):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"JSON has no form for a value of type {type(value).__name__}")
