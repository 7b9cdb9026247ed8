"""CloudEvents over HTTP, binary and structured (CloudEvents 1.0, HTTP protocol binding)."""

from __future__ import annotations

from .errors import HTTPError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .request import Request

STRUCTURED = "application/cloudevents+json"
REQUIRED = ("id", "source", "specversion", "type")
VERSIONS = ("1.0", "0.3")


class CloudEvent:
    """An event with the names that the CloudEvents SDK gives it: `event["type"]`, `event.data`."""

    def __init__(self, attributes: dict[str, Any], data: Any = None) -> None:
        """`HTTPError` (400) if an attribute that each event must have is missing."""
        self._attributes = attributes
        self.data = data
        missing = [name for name in REQUIRED if not attributes.get(name)]
        if missing:
            raise HTTPError(400, f"The CloudEvent has no {missing[0]}.")
        if attributes["specversion"] not in VERSIONS:
            raise HTTPError(400, "The CloudEvent is of another specversion than 1.0.")

    def __getitem__(self, name: str) -> Any:
        return self._attributes[name]

    def get(self, name: str, default: Any = None) -> Any:
        return self._attributes.get(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self._attributes

    def __iter__(self) -> Iterator[str]:
        return iter(self._attributes)

    def __len__(self) -> int:
        return len(self._attributes)

    def __repr__(self) -> str:
        return f"CloudEvent({self._attributes!r}, {self.data!r})"

    def get_attributes(self) -> dict[str, Any]:
        return dict(self._attributes)

    def get_data(self) -> Any:
        return self.data

    def to_dict(self) -> dict[str, Any]:
        """The event in structured form; bytes as `data_base64`."""
        whole = dict(self._attributes)
        if isinstance(self.data, bytes):
            from base64 import b64encode

            whole["data_base64"] = b64encode(self.data).decode()
        elif self.data is not None:
            whole["data"] = self.data
        return whole


def received(request: Request) -> CloudEvent:
    """The event that a request carries. `HTTPError` (400) if it carries none."""
    if request.mimetype == STRUCTURED:
        return _structured(request)
    if "ce-specversion" in request.headers:
        return _binary(request)
    raise HTTPError(400, "The request is not a CloudEvent: it has neither ce- headers nor the type application/cloudevents+json.")


def _structured(request: Request) -> CloudEvent:
    whole = request.get_json()
    if not isinstance(whole, dict):
        raise HTTPError(400, "The CloudEvent is not a JSON object.")
    data = whole.pop("data", None)
    encoded = whole.pop("data_base64", None)
    if encoded is not None:
        from base64 import b64decode

        try:
            data = b64decode(encoded, validate=True)
        except (ValueError, TypeError):
            raise HTTPError(400, "The data_base64 of the CloudEvent is not base64.") from None
    return CloudEvent(whole, data)


def _binary(request: Request) -> CloudEvent:
    attributes = {name[3:].lower(): _decoded(value) for name, value in request.headers if name[:3].lower() == "ce-"}
    if request.content_type is not None:
        attributes["datacontenttype"] = request.content_type
    return CloudEvent(attributes, _data(request))


def _data(request: Request) -> Any:
    """JSON and text as what they are, anything else as bytes."""
    if not request.data:
        return None
    if request.is_json or not request.mimetype:
        return request.get_json(force=True)
    return request.get_data(as_text=True) if request.mimetype.startswith("text/") else request.data


def _decoded(value: str) -> str:
    """Section 3.1.3.2 of the binding: header values are percent-encoded UTF-8."""
    if "%" not in value:
        return value
    from urllib.parse import unquote

    return unquote(value)
