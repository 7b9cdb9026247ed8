"""The environment, read once into checked values."""

from __future__ import annotations

import os

from .errors import Unloadable

MIB = 1024 * 1024

DEFAULT_MAX_BODY_BYTES = 32 * MIB
"""The largest body of a request, in bytes, where the heap is large enough or nothing is known of it; FUNCTION_MAX_BODY_BYTES changes it."""

BODIES_WITHOUT_HEAP = 4
"""How many of the largest bodies may be in memory at once where nothing is known of the heap."""

DEFAULT_TERMINATION_LOG = "/dev/termination-log"

SIGNATURES = ("http", "cloudevent")


class Settings:
    """One process's configuration. `Unloadable` if a value cannot be meant."""

    __slots__ = ("max_bodies_bytes", "max_body_bytes", "port", "signature", "source", "target")

    def __init__(self, environ: dict[bytes, bytes]) -> None:
        self.port = _number(environ, "PORT", 8080, 1, 65535)
        self.target = _text(environ, "FUNCTION_TARGET") or "handler"
        self.signature = _text(environ, "FUNCTION_SIGNATURE_TYPE") or "http"
        heap = _number(environ, "ROUSE_HEAP_MIB", 0, 0, 1 << 30) * MIB
        largest = min(heap // 4 or DEFAULT_MAX_BODY_BYTES, DEFAULT_MAX_BODY_BYTES)
        self.max_body_bytes = _number(environ, "FUNCTION_MAX_BODY_BYTES", largest, 0, 1 << 40)
        self.max_bodies_bytes = max(heap // 2, self.max_body_bytes) if heap else BODIES_WITHOUT_HEAP * self.max_body_bytes
        self.source = _source(environ)
        if self.signature not in SIGNATURES:
            raise Unloadable(f"FUNCTION_SIGNATURE_TYPE is {self.signature!a}; it can be {' or '.join(SIGNATURES)}.")


def take() -> Settings:
    """The settings of this process. The source leaves the environment, so that no child process inherits 64 KiB."""
    environ = dict(os.environb)
    for name in (b"ROUSE_SOURCE", b"ROUSE_SOURCE_ENCODING"):
        os.environb.pop(name, None)
    return Settings(environ)


def termination_log() -> str:
    """The file that Kubernetes reads the last words of the container from."""
    return os.environ.get("ROUSE_TERMINATION_LOG") or DEFAULT_TERMINATION_LOG


def _text(environ: dict[bytes, bytes], name: str) -> str:
    return environ.get(name.encode(), b"").decode("utf-8", "replace")


def _number(environ: dict[bytes, bytes], name: str, default: int, low: int, high: int) -> int:
    text = _text(environ, name)
    if not text:
        return default
    if not text.isdecimal() or not low <= int(text) <= high:
        raise Unloadable(f"{name} is {text!a}; it must be a number from {low} to {high}.")
    return int(text)


def _source(environ: dict[bytes, bytes]) -> bytes:
    source = environ.get(b"ROUSE_SOURCE")
    if source is None:
        raise Unloadable("There is no source: ROUSE_SOURCE is not set.")
    encoding = _text(environ, "ROUSE_SOURCE_ENCODING")
    if not encoding:
        return source
    if encoding != "base64":
        raise Unloadable(f"ROUSE_SOURCE_ENCODING is {encoding!a}; it can be base64.")
    import binascii

    try:
        return binascii.a2b_base64(source)
    except binascii.Error:
        raise Unloadable("ROUSE_SOURCE is not the base64 that ROUSE_SOURCE_ENCODING promises.") from None
