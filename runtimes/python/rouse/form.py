"""Queries and forms. Loaded when the first one is asked for."""

from __future__ import annotations

from io import BytesIO
from urllib.parse import parse_qsl, unquote_to_bytes

from .errors import HTTPError
from .fields import Fields, Headers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_HEAD_BYTES = 16 * 1024
"""Of one part of a form."""

MAX_FIELDS = 1000
"""Fields of one form: hashing and listing more is work that a caller should not be able to order."""


class UploadedFile:
    """One file of a multipart form."""

    def __init__(self, name: str, filename: str, headers: Headers, data: bytes) -> None:
        self.name = name
        self.filename = filename
        self.headers = headers
        self.content_type: str = headers.get("content-type", "application/octet-stream")
        self.stream = BytesIO(data)

    @property
    def mimetype(self) -> str:
        return parameters(self.content_type)[0]

    def read(self, size: int = -1) -> bytes:
        return self.stream.read(size)

    def save(self, dst: Any, buffer_size: int = 16 * 1024) -> None:
        """Writes what is still unread, to a path or an open binary file."""
        from shutil import copyfileobj

        if hasattr(dst, "write"):
            copyfileobj(self.stream, dst, buffer_size)
            return
        with open(dst, "wb") as file:
            copyfileobj(self.stream, file, buffer_size)

    def __repr__(self) -> str:
        return f"<UploadedFile {self.filename!r}>"


def urlencoded(data: bytes) -> Fields:
    try:
        pairs = parse_qsl(data.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise HTTPError(413, f"There are more than {MAX_FIELDS} fields.") from None
    return Fields(pairs)


def parse(content_type: str, body: bytes) -> tuple[Fields, Fields]:
    """Fields and files of a form. `HTTPError` if it is a malformed one."""
    kind, given = parameters(content_type)
    if kind == "application/x-www-form-urlencoded":
        return urlencoded(body), Fields()
    if kind == "multipart/form-data":
        return _multipart(given.get("boundary", ""), body)
    return Fields(), Fields()


def parameters(value: str) -> tuple[str, dict[str, str]]:
    """`form-data; name="a"` as its first word in lower case and its parameters (RFC 9110, section 5.6.6; RFC 8187)."""
    pieces = _split(value)
    given: dict[str, str] = {}
    for piece in pieces[1:]:
        name, _, text = piece.partition("=")
        name, text = name.strip().lower(), text.strip()
        if len(text) > 1 and text[0] == text[-1] == '"':
            text = text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
        if name.endswith("*") and text.lower().startswith("utf-8'"):
            name, text = name[:-1], unquote_to_bytes(text.split("'", 2)[-1]).decode("utf-8", "replace")
        given[name] = text
    return pieces[0].strip().lower(), given


def _split(value: str) -> list[str]:
    """At each `;` that is in no quoted string."""
    pieces, quoted, escaped = [""], False, False
    for c in value:
        if c == ";" and not quoted:
            pieces.append("")
            continue
        if c == '"' and not escaped:
            quoted = not quoted
        escaped = c == "\\" and quoted and not escaped
        pieces[-1] += c
    return pieces


def _multipart(boundary: str, body: bytes) -> tuple[Fields, Fields]:
    """RFC 7578: parts between delimiters, the last of which ends in two hyphens."""
    delimiter = b"\r\n--" + boundary.encode("latin-1", "replace")
    parts = (b"\r\n" + body).split(delimiter, MAX_FIELDS + 2)
    if not boundary or len(parts) < 2:
        raise HTTPError(400, "The form has no parts.")
    if len(parts) > MAX_FIELDS + 2:
        raise HTTPError(413, f"There are more than {MAX_FIELDS} fields.")
    fields: list[tuple[str, str]] = []
    files: list[tuple[str, UploadedFile]] = []
    for part in parts[1:]:
        if part.startswith(b"--"):
            return Fields(fields), Fields(files)
        head, blank, data = part.lstrip(b" \t").partition(b"\r\n\r\n")
        if not blank:
            break
        if len(head) > MAX_HEAD_BYTES:
            raise HTTPError(400, f"A part's head has more than {MAX_HEAD_BYTES} bytes.")
        try:
            headers = Headers(_field(line) for line in head.split(b"\r\n") if line)
        except ValueError:
            raise HTTPError(400, "A part's head is not valid.") from None
        given = parameters(headers.get("content-disposition", ""))[1]
        name = given.get("name", "")
        if "filename" in given:
            files.append((name, UploadedFile(name, given["filename"], headers, data)))
        else:
            fields.append((name, data.decode("utf-8", "replace")))
    raise HTTPError(400, "The form ends within a part.")


def _field(line: bytes) -> tuple[str, str]:
    name, _, value = line.decode("utf-8", "replace").partition(":")
    return name.strip() or "-", value
