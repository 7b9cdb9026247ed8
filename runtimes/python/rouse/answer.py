"""A response as bytes (RFC 9112, section 6): its head, and how its body ends."""

from __future__ import annotations

import time

from .fields import encoded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .response import Response

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_OURS = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade", "trailer", "te"})
"""Fields about one connection (RFC 9110, section 7.6.1): a handler's are dropped, as it cannot know it."""

_date = (0, b"")


class Answer:
    """The form of one response to one request."""

    __slots__ = ("_framing", "bodiless", "close", "head", "left")

    def __init__(self, response: Response, method: str, http10: bool, keep_alive: bool) -> None:
        """`method` and `http10` are the request's. Its connection may serve another one unless `close` is true."""
        streamed = response.stream is not None or response.async_stream is not None
        status = response.status_code
        given = response.headers.get("content-length")
        empty = status in (204, 304)
        self.bodiless = method == "HEAD" or empty
        self.close = not keep_alive
        self.left = -1
        self._framing = b""
        if empty:
            length = None
        elif streamed or (method == "HEAD" and given is not None and not response.data):
            length = given if given is not None and given.isdecimal() and given.isascii() else None
        else:
            length = str(len(response.data))
        if length is not None:
            self._framing = b"Content-Length: %b\r\n" % length.encode()
            self.left = int(length)
        elif not empty and not http10:
            self._framing = b"Transfer-Encoding: chunked\r\n"
        # HTTP/1.0 knows no chunks: the body ends with the connection, which is never kept there
        self.head = self._head(response, status)

    def _head(self, response: Response, status: int) -> bytes:
        lines = [b"HTTP/1.1 %d %b\r\n" % (status, _REASONS.get(status, b""))]
        for name, value in response.headers:
            key = name.lower()
            if key == "content-length" or key in _OURS:
                continue
            lines.append(b"%b: %b\r\n" % (name.encode(), encoded(value)))
        if "date" not in response.headers:
            lines.append(date())
        lines.append(self._framing)
        lines.append(b"Connection: close\r\n\r\n" if self.close else b"\r\n")
        return b"".join(lines)

    def chunk(self, data: bytes) -> bytes:
        """One piece of a streamed body. `ValueError` if there is more of it than its Content-Length says."""
        if self.left < 0:
            return data if not self._framing else b"%x\r\n%b\r\n" % (len(data), data)
        if len(data) > self.left:
            raise ValueError("the stream is longer than its Content-Length")
        self.left -= len(data)
        return data

    def end(self) -> bytes:
        """What follows the last piece. `ValueError` if there was less of it than its Content-Length says."""
        if self.left > 0:
            raise ValueError("the stream is shorter than its Content-Length")
        return b"0\r\n\r\n" if self.left < 0 and self._framing else b""


def date() -> bytes:
    """The Date field, made once a second; `strftime` would speak the locale's language."""
    global _date
    now = int(time.time())
    if _date[0] != now:
        t = time.gmtime(now)
        text = f"{_DAYS[t.tm_wday]}, {t.tm_mday:02} {_MONTHS[t.tm_mon - 1]} {t.tm_year} {t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} GMT"
        _date = (now, b"Date: %b\r\n" % text.encode())
    return _date[1]


# `http.HTTPStatus` costs 4 ms of start. A status without a phrase here has none, as RFC 9112 allows.
_REASONS = {
    200: b"OK",
    201: b"Created",
    202: b"Accepted",
    204: b"No Content",
    206: b"Partial Content",
    301: b"Moved Permanently",
    302: b"Found",
    303: b"See Other",
    304: b"Not Modified",
    307: b"Temporary Redirect",
    308: b"Permanent Redirect",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    406: b"Not Acceptable",
    408: b"Request Timeout",
    409: b"Conflict",
    410: b"Gone",
    411: b"Length Required",
    412: b"Precondition Failed",
    413: b"Content Too Large",
    415: b"Unsupported Media Type",
    416: b"Range Not Satisfiable",
    422: b"Unprocessable Content",
    425: b"Too Early",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
}
