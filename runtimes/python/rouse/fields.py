"""Values by name, more than one for a name: headers, and the fields of queries and forms."""

from __future__ import annotations

from .errors import Missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any


class Fields:
    """Fields in their order. `[name]` and `get` give the first value, `getlist` all of them. `Missing` if there is none."""

    __slots__ = ("_index", "_pairs")

    def __init__(self, pairs: Iterable[tuple[str, Any]] = ()) -> None:
        self._pairs: list[tuple[str, Any]] = list(pairs)
        self._index: dict[str, list[Any]] | None = None

    @staticmethod
    def _key(name: str) -> str:
        return name

    def _values(self, name: str) -> list[Any]:
        if self._index is None:
            index: dict[str, list[Any]] = {}
            for known, value in self._pairs:
                index.setdefault(self._key(known), []).append(value)
            self._index = index
        return self._index.get(self._key(name), [])

    def __getitem__(self, name: str) -> Any:
        values = self._values(name)
        if not values:
            raise Missing(name)
        return values[0]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self._values(name))

    def __iter__(self) -> Iterator[Any]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def __eq__(self, other: object) -> bool:
        return self._pairs == other._pairs if isinstance(other, Fields) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._pairs!r})"

    def get(self, name: str, default: Any = None, type: Callable[[Any], Any] | None = None) -> Any:
        """The first value, passed through `type`; the default if there is none or `type` refuses it with a `ValueError`."""
        values = self._values(name)
        if not values:
            return default
        if type is None:
            return values[0]
        try:
            return type(values[0])
        except (ValueError, TypeError):
            return default

    def getlist(self, name: str) -> list[Any]:
        return list(self._values(name))

    def keys(self) -> list[str]:
        return list(dict.fromkeys(name for name, _ in self._pairs))

    def values(self) -> list[Any]:
        return [value for _, value in self.items()]

    def items(self, multi: bool = False) -> list[tuple[str, Any]]:
        return list(self._pairs) if multi else [(name, self[name]) for name in self.keys()]

    def to_dict(self, flat: bool = True) -> dict[str, Any]:
        return {name: self[name] if flat else self.getlist(name) for name in self.keys()}


class Headers(Fields):
    """Header fields: names are case-insensitive, iteration gives pairs as Werkzeug's does."""

    __slots__ = ()

    def __init__(self, given: Headers | Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None) -> None:
        super().__init__()
        if given is not None:
            self.extend(given)

    @classmethod
    def received(cls, pairs: list[tuple[str, str]], index: dict[str, list[str]]) -> Headers:
        """Of a request: both forms are there already, and checked."""
        headers = cls.__new__(cls)
        headers._pairs = pairs
        headers._index = index
        return headers

    @staticmethod
    def _key(name: str) -> str:
        return name.lower()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    def keys(self) -> list[str]:
        return [name for name, _ in self._pairs]

    def items(self, multi: bool = True) -> list[tuple[str, str]]:
        return list(self._pairs)

    def add(self, name: str, value: Any) -> None:
        """`ValueError` for what cannot stand in a head: a line break in a value could forge one."""
        name, value = str(name), str(value)
        if not is_token(name):
            raise ValueError(f"not the name of a header: {name!a}")
        value = value.strip(" \t")
        if not value.isprintable() and any((c < " " and c != "\t") or c == "\x7f" for c in value):
            raise ValueError(f"a control character in the header {name}")
        encoded(value)
        self._pairs.append((name, value))
        self._index = None

    def extend(self, given: Headers | Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Adds pairs, or the entries of a mapping whose values may be lists."""
        if isinstance(given, Headers):
            pairs: Iterable[tuple[str, Any]] = given._pairs
        else:
            pairs = given.items() if hasattr(given, "items") else given
        for name, value in pairs:
            for each in value if isinstance(value, (list, tuple)) else (value,):
                self.add(name, each)

    def update(self, given: Headers | Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Like `extend`, but in place of fields of the same names."""
        new = Headers(given)
        for name in {self._key(name) for name, _ in new._pairs}:
            self.remove(name)
        self.extend(new)

    def __setitem__(self, name: str, value: Any) -> None:
        self.remove(name)
        self.extend([(name, value)])

    set = __setitem__

    def setdefault(self, name: str, value: Any) -> Any:
        if name not in self:
            self.add(name, value)
        return self[name]

    def remove(self, name: str) -> None:
        key = self._key(name)
        self._pairs = [pair for pair in self._pairs if self._key(pair[0]) != key]
        self._index = None

    __delitem__ = remove


def encoded(value: str) -> bytes:
    """A field's value as it is sent: Latin-1 as HTTP has it, UTF-8 for what that lacks. `ValueError` for half a character."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8")


_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def is_token(text: str) -> bool:
    """RFC 9110, section 5.6.2."""
    return (text.isascii() and text.replace("-", "a").isalnum()) or (bool(text) and _TOKEN.issuperset(text))
