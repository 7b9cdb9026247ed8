"""The Authorization header (RFC 9110, section 11.6.2). Loaded when it is asked for."""

from __future__ import annotations

from binascii import Error, a2b_base64


class Authorization:
    """`type` in lower case; `username` and `password` of Basic (RFC 7617), `token` of Bearer and of any other."""

    __slots__ = ("password", "token", "type", "username")

    def __init__(self, kind: str, token: str | None = None, username: str | None = None, password: str | None = None) -> None:
        self.type = kind
        self.token = token
        self.username = username
        self.password = password


def parsed(value: str) -> Authorization | None:
    """None if there is nothing after the type, or nothing that Basic could have."""
    kind, _, token = value.partition(" ")
    kind, token = kind.lower(), token.strip()
    if not token:
        return None
    if kind != "basic":
        return Authorization(kind, token)
    try:
        username, colon, password = a2b_base64(token, strict_mode=True).decode().partition(":")
    except (Error, UnicodeDecodeError):
        return None
    return Authorization(kind, username=username, password=password) if colon else None
