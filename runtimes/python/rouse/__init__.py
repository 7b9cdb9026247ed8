"""What a function can import from its runtime: `from rouse import Response`.

Loaded on first use, as most functions need none of it.
"""

_HOMES = {"Response": "response", "Request": "request", "CloudEvent": "event", "HTTPError": "errors"}

__all__ = ["CloudEvent", "HTTPError", "Request", "Response"]


def __getattr__(name: str) -> type:
    if name not in _HOMES:
        raise AttributeError(f"module 'rouse' has no attribute {name!r}")
    import importlib

    found: type = getattr(importlib.import_module(f"rouse.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
