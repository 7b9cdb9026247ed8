"""HTTP/1.1 as bytes (RFC 9112): heads and bodies of requests. No socket is touched here.

In front is a strict proxy, so what is malformed is refused, never mended.
"""

from __future__ import annotations

from io import BytesIO

from .errors import HTTPError
from .fields import Headers, is_token

MAX_HEAD_BYTES = 64 * 1024
"""A request line and its fields. The activator lets 16 KiB of fields through by default."""

MAX_CHUNK_LINE_BYTES = 4096
"""The size line of a chunk with its extensions, and each trailer."""

MAX_EMPTY_LINES = 4
"""Before a request. RFC 9112, section 2.2, asks that one be ignored."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_CONTROLS = bytes(c for c in range(32) if c not in b"\t\r\n") + b"\x7f"


class Head:
    """A request's first line and fields, and what they say about its body and its connection."""

    __slots__ = ("chunked", "expects", "headers", "http10", "keep_alive", "length", "method", "target")

    def __init__(self, block: bytes) -> None:
        """`block` ends before the empty line. `HTTPError` if it is malformed."""
        lines = block.decode("latin-1").split("\r\n")
        breaks = len(lines) - 1
        if block.count(b"\n") != breaks or block.count(b"\r") != breaks or len(block.translate(None, _CONTROLS)) != len(block):
            raise HTTPError(400, "The head has a control character.")
        first = lines[0].split(" ")
        if len(first) != 3 or not is_token(first[0]) or not first[1]:
            raise HTTPError(400, "The request line is malformed.")
        self.method, self.target, version = first
        if version not in ("HTTP/1.1", "HTTP/1.0"):
            raise HTTPError(505, "Only HTTP/1.1 is spoken here.")
        pairs: list[tuple[str, str]] = []
        index: dict[str, list[str]] = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or not is_token(name):
                raise HTTPError(400, "A header is malformed.")
            value = value.strip(" \t")
            pairs.append((name, value))
            index.setdefault(name.lower(), []).append(value)
        self.headers = Headers.received(pairs, index)
        self.http10 = version == "HTTP/1.0"
        self.chunked = _chunked(index, self.http10)
        self.length = 0 if self.chunked else _length(index)
        self.keep_alive = not self.http10 and not _closes(index)
        self.expects = not self.http10 and "100-continue" in (v.lower() for v in index.get("expect", ()))
        if len(index.get("host", ())) != 1 and not self.http10:
            raise HTTPError(400, "The request must have one Host header.")


def _closes(index: dict[str, list[str]]) -> bool:
    """RFC 9112, section 9.6: `close` may be one of several options."""
    return "connection" in index and "close" in (option.strip(" \t") for option in ",".join(index["connection"]).lower().split(","))


def _chunked(index: dict[str, list[str]], http10: bool) -> bool:
    if "transfer-encoding" not in index:
        return False
    if http10 or "content-length" in index:
        raise HTTPError(400, "Transfer-Encoding has no place here.")
    if ",".join(index["transfer-encoding"]).lower() != "chunked":
        raise HTTPError(501, "The only transfer coding is chunked.")
    return True


def _length(index: dict[str, list[str]]) -> int:
    given = index.get("content-length")
    if given is None:
        return 0
    if len(set(given)) != 1 or not (given[0].isascii() and given[0].isdecimal()) or len(given[0]) > 18:
        raise HTTPError(400, "The Content-Length is malformed.")
    return int(given[0])


class Body:
    """A body of a known length, as it arrives."""

    __slots__ = ("_data", "_missing", "complete", "size")

    def __init__(self, length: int) -> None:
        self._data = BytesIO()
        self.size = 0
        self._missing = length
        self.complete = length == 0

    def feed(self, received: bytes) -> bytes:
        """Takes its part of the bytes and gives back what belongs to the next request."""
        part = received[: self._missing]
        self._data.write(part)
        self.size += len(part)
        self._missing -= len(part)
        self.complete = self._missing == 0
        return received[len(part) :]

    def data(self) -> bytes:
        """What has arrived. Not a copy of it: bytes are what a `BytesIO` grows in."""
        return self._data.getvalue()


class ChunkedBody:
    """A body in chunks (RFC 9112, section 7.1). Extensions and trailers are dropped. `HTTPError` past `limit` bytes."""

    __slots__ = ("_data", "_limit", "_missing", "_part", "complete", "size")

    def __init__(self, limit: int) -> None:
        self._data = BytesIO()
        self.size = 0
        self.complete = False
        self._limit = limit
        self._part = "size"
        self._missing = 0

    def feed(self, received: bytes) -> bytes:
        """Takes what it can; gives back an unfinished line, or what follows the last chunk."""
        at = 0
        while not self.complete:
            if self._part == "data":
                part = received[at : at + self._missing]
                self._data.write(part)
                self.size += len(part)
                self._missing -= len(part)
                at += len(part)
                if self._missing:
                    break
                self._part = "end"
            end = received.find(b"\r\n", at)
            if end < 0:
                if len(received) - at > MAX_CHUNK_LINE_BYTES:
                    raise HTTPError(400, "A line between chunks is too long.")
                break
            self._line(received[at:end])
            at = end + 2
        return received[at:]

    def _line(self, line: bytes) -> None:
        if self._part == "end":
            if line:
                raise HTTPError(400, "A chunk is longer than it says.")
            self._part = "size"
        elif self._part == "size":
            digits = line.partition(b";")[0].rstrip(b" \t")
            if not digits or len(digits) > 15 or digits.translate(None, b"0123456789abcdefABCDEF"):
                raise HTTPError(400, "The size of a chunk is malformed.")
            self._missing = int(digits, 16)
            if self.size + self._missing > self._limit:
                raise too_large(self._limit)
            self._part = "data" if self._missing else "trailer"
        elif not line:
            self.complete = True

    def data(self) -> bytes:
        return self._data.getvalue()


def too_large(limit: int) -> HTTPError:
    return HTTPError(413, f"The body has more than {limit} bytes.")


def body(head: Head, limit: int) -> Body | ChunkedBody:
    """Where the bytes after this head go. `HTTPError` if it announces more than `limit` of them."""
    if head.chunked:
        return ChunkedBody(limit)
    if head.length > limit:
        raise too_large(limit)
    return Body(head.length)
