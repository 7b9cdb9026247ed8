"""The user's one file: compiled, run, and its handler found."""

from __future__ import annotations

import sys
from types import FunctionType, ModuleType

from .errors import Unloadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

FILE_NAME = "function.py"
MODULE_NAME = "function"

NAMES_SHOWN = 10
"""How many functions the message about a missing handler lists."""


class Loader:
    """Gives `linecache`, and so tracebacks and `inspect`, the lines of a file that is on no disk."""

    def __init__(self, text: bytes) -> None:
        self._text = text

    def get_source(self, _name: str) -> str:
        import io
        import tokenize

        lines = io.BytesIO(self._text)
        encoding, _ = tokenize.detect_encoding(lines.readline)
        return io.TextIOWrapper(io.BytesIO(self._text), encoding, "replace").read()


def load(text: bytes) -> ModuleType:
    """The module that the source makes when it runs. `Unloadable` names what went wrong and in which line."""
    module = ModuleType(MODULE_NAME)
    module.__file__ = FILE_NAME
    module.__dict__["__loader__"] = Loader(text)
    _exit_builtins()
    code = _compiled(text)
    sys.modules[MODULE_NAME] = module  # dataclasses, pickle and typing look their own module up
    try:
        exec(code, module.__dict__)
    except SystemExit as stop:
        raise Unloadable(f"The source called {_exit_call(stop)} while it was loaded.", stop) from None
    except ModuleNotFoundError as error:
        where = _line(error.__traceback__)
        sentence = f"The source imports a module that is not there{where}: it has Python's standard library, and no packages."
        raise Unloadable(sentence, error) from None
    except BaseException as error:
        where = _line(error.__traceback__)
        raise Unloadable(f"The source raised {type(error).__name__} while it was loaded{where}.", error) from None
    return module


def handler(module: ModuleType, name: str) -> Callable[..., Any]:
    """The function of that name, or of that path of names, such as `app.handle`. `Unloadable` if there is none or it cannot be called."""
    found: Any = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise Unloadable(f"The source has no function named {_plain(name)}; it has{_functions(module)}.") from None
        except BaseException as error:
            raise Unloadable(f"The source raised {type(error).__name__} where its {_plain(name)} was looked for.", error) from None
    if not callable(found):
        raise Unloadable(f"The source's {_plain(name)} is not a function but of type {type(found).__name__}.")
    return found  # type: ignore[no-any-return]


def _compiled(text: bytes) -> Any:
    if b"\0" in text:
        line = text.count(b"\n", 0, text.index(b"\0")) + 1
        raise Unloadable(f"The source has a NUL byte in line {line}; Python source cannot have any.")
    try:
        return compile(text, FILE_NAME, "exec", dont_inherit=True)
    except SyntaxError as error:
        where = f" in line {error.lineno}" if error.lineno else ""
        raise Unloadable(f"The source has a syntax error{where}.", error) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise Unloadable(f"The source cannot be compiled ({type(error).__name__}).", error) from None


def _exit_builtins() -> None:
    # `-S` leaves out `site`, which gives these two to every program. The rest of what it adds is for people at a prompt.
    import builtins

    for name in ("exit", "quit"):
        if not hasattr(builtins, name):
            setattr(builtins, name, sys.exit)


def _exit_call(stop: SystemExit) -> str:
    if stop.code is None:
        return "sys.exit()"
    return f"sys.exit({stop.code})" if type(stop.code) is int else "sys.exit with a message"


def _line(trace: TracebackType | None) -> str:
    """The innermost line of the source that a traceback passes through."""
    line = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILE_NAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    return "" if line is None else f", in line {line}"


def _functions(module: ModuleType) -> str:
    names = [
        name
        for name, value in module.__dict__.items()
        if type(value) is FunctionType and value.__module__ == MODULE_NAME and not name.startswith("_")
    ]
    if not names:
        return " no functions"
    more = ", …" if len(names) > NAMES_SHOWN else ""
    return ": " + ", ".join(sorted(names)[:NAMES_SHOWN]) + more


def _plain(name: str) -> str:
    return name if all(part.isidentifier() for part in name.split(".")) else ascii(name)
