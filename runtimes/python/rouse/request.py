"""What a handler is given: a request with the names that Flask's has. All but the parsed head is made when it is asked for."""

from __future__ import annotations

import os

from .errors import HTTPError, Missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    import io
    from typing import Any

    from .authorization import Authorization
    from .fields import Fields, Headers
    from .wire import Head

_UNSET: Any = object()


class Cookies(dict[str, str]):
    """`Missing` if there is none of a name."""

    def __missing__(self, name: str) -> str:
        raise Missing(name)


class Request:
    """One HTTP request; its body is in memory."""

    def __init__(self, head: Head, body: bytes, peer: str) -> None:
        self._head = head
        self._body = body
        self._peer = peer
        self._json: Any = _UNSET
        self._form: tuple[Fields, Fields] | None = None
        self._args: Fields | None = None
        self._stream: io.BytesIO | None = None
        self.method = head.method
        self.headers: Headers = head.headers
        self.id: str = head.headers.get("x-request-id") or os.urandom(8).hex()

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.full_path}>"

    # --- the target

    @property
    def _target(self) -> tuple[str, str]:
        """Path and query as they were sent; an absolute target loses its scheme and authority (RFC 9112, section 3.2.2)."""
        target = self._head.target
        if not target.startswith("/") and "://" in target:
            rest = target.partition("://")[2]
            target = rest[len(rest.partition("/")[0].partition("?")[0]) :]
            if not target.startswith("/"):
                target = "/" + target
        path, _, query = target.partition("?")
        return path, query

    @property
    def path(self) -> str:
        """The path without escapes, as text."""
        path = self._target[0]
        if "%" not in path and path.isascii():
            return path
        from urllib.parse import unquote_to_bytes

        return unquote_to_bytes(path.encode("latin-1")).decode("utf-8", "replace")

    @property
    def query_string(self) -> bytes:
        return self._target[1].encode("latin-1")

    @property
    def full_path(self) -> str:
        return f"{self.path}?{self.query_string.decode('utf-8', 'replace')}"

    @property
    def scheme(self) -> str:
        """What the caller spoke, as the activator says (docs/security.md)."""
        return self.headers.get("x-forwarded-proto", "http")  # type: ignore[no-any-return]

    @property
    def is_secure(self) -> bool:
        return self.scheme == "https"

    @property
    def host(self) -> str:
        return self.headers.get("host", "")  # type: ignore[no-any-return]

    @property
    def host_url(self) -> str:
        return f"{self.scheme}://{self.host}/"

    url_root = root_url = host_url

    @property
    def base_url(self) -> str:
        return f"{self.scheme}://{self.host}{self._target[0]}"

    @property
    def url(self) -> str:
        query = self._target[1]
        return f"{self.base_url}?{query}" if query else self.base_url

    @property
    def args(self) -> Fields:
        """The fields of the query."""
        if self._args is None:
            from .form import urlencoded

            self._args = urlencoded(self.query_string)
        return self._args

    @property
    def values(self) -> Fields:
        """The fields of the query, and then those of a form that was sent with a method that has a body."""
        from .fields import Fields

        form = self.form.items(multi=True) if self.method in ("POST", "PUT", "PATCH") else []
        return Fields(self.args.items(multi=True) + form)

    @property
    def remote_addr(self) -> str:
        """The caller's address: the activator's word for it, else the connection's peer."""
        forwarded: str = self.headers.get("x-forwarded-for", "")
        return forwarded.rpartition(",")[2].strip() or self._peer

    # --- headers

    @property
    def content_type(self) -> str | None:
        return self.headers.get("content-type")  # type: ignore[no-any-return]

    @property
    def mimetype(self) -> str:
        """The content type without parameters, in lower case; empty if there is none."""
        return (self.content_type or "").partition(";")[0].strip().lower()

    @property
    def mimetype_params(self) -> dict[str, str]:
        from .form import parameters

        return parameters(self.content_type or "")[1]

    @property
    def content_length(self) -> int | None:
        """As the caller announced it, in bytes; None for a chunked body."""
        return self._head.length if "content-length" in self.headers else None

    @property
    def cookies(self) -> Cookies:
        cookies = Cookies()
        for line in self.headers.getlist("cookie"):
            for pair in line.split(";"):
                name, equals, value = pair.strip().partition("=")
                if equals:
                    if len(value) > 1 and value[0] == value[-1] == '"':
                        value = value[1:-1]
                    cookies.setdefault(name.strip(), value.strip())
        return cookies

    @property
    def authorization(self) -> Authorization | None:
        """What the Authorization header says, with `type`, `username`, `password` and `token`; None without a usable one."""
        from .authorization import parsed

        return parsed(self.headers.get("authorization", ""))

    @property
    def user_agent(self) -> str:
        return self.headers.get("user-agent", "")  # type: ignore[no-any-return]

    # --- the body

    @property
    def data(self) -> bytes:
        return self._body

    def get_data(self, cache: bool = True, as_text: bool = False, parse_form_data: bool = False) -> Any:
        """The body, as bytes or as text in its charset. The other arguments are Flask's and change nothing: it is in memory."""
        return self._text() if as_text else self._body

    @property
    def stream(self) -> io.BytesIO:
        if self._stream is None:
            from io import BytesIO

            self._stream = BytesIO(self._body)
        return self._stream

    @property
    def is_json(self) -> bool:
        kind = self.mimetype
        return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))

    @property
    def json(self) -> Any:
        return self.get_json()

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """The body's JSON. A caller that sent another content type gets 415 (unless `force`), one that sent no JSON 400;
        with `silent` the value is None instead.
        """
        if not (force or self.is_json):
            if silent:
                return None
            raise HTTPError(415, "The Content-Type must be application/json.")
        if self._json is _UNSET:
            import json

            try:
                self._json = json.loads(self._body)
            except (ValueError, RecursionError):
                if silent:
                    return None
                raise HTTPError(400, "The body is not JSON.") from None
        return self._json

    @property
    def form(self) -> Fields:
        """The fields of a form, urlencoded or multipart; none for any other body."""
        return self._parts()[0]

    @property
    def files(self) -> Fields:
        """The files of a multipart form, each with `filename`, `content_type`, `stream`, `read()` and `save(path)`."""
        return self._parts()[1]

    def _parts(self) -> tuple[Fields, Fields]:
        if self._form is None:
            from .form import parse

            self._form = parse(self.content_type or "", self._body)
        return self._form

    def _text(self) -> str:
        charset = self.mimetype_params.get("charset", "utf-8") if self.content_type else "utf-8"
        try:
            return self._body.decode(charset, "replace")
        except LookupError:
            return self._body.decode("utf-8", "replace")
