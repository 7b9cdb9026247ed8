"""A source that cannot be loaded: exit code 78, one plain sentence, the user's lines of the traceback."""

from __future__ import annotations

import base64
import unittest
from typing import Any

from rouse.call import Call
from rouse.failure import shortened

from .process import Process, free_port, load

FAILURES: list[tuple[str | bytes, str, str]] = [
    # source, first line, what the trace has
    ("def handler(request):\n    pass\nx = (\n", "The source has a syntax error in line 3.", "'(' was never closed"),
    ("def handler(r):\nreturn 1\n", "The source has a syntax error in line 2.", "IndentationError"),
    ("raise ValueError('secret')\n", "The source raised ValueError while it was loaded, in line 1.", "ValueError: secret"),
    ("def f():\n    return 1 / 0\nf()\n", "The source raised ZeroDivisionError while it was loaded, in line 2.", "line 3, in <module>"),
    ("import json\njson.loads('{')\n", "The source raised JSONDecodeError while it was loaded, in line 2.", 'File "function.py", line 2'),
    (
        "import json\nimport nothing_like_this\n",
        "The source imports a module that is not there, in line 2: it has Python's standard library, and no packages.",
        "No module named 'nothing_like_this'",
    ),
    (
        "from flask import secret\n",
        "The source imports a module that is not there, in line 1: it has Python's standard library, and no packages.",
        "No module named 'flask'",
    ),
    ("from json import x\n", "The source raised ImportError while it was loaded, in line 1.", "cannot import name 'x'"),
    ("exec('x x')\n", "The source raised SyntaxError while it was loaded, in line 1.", 'File "function.py", line 1'),
    ("raise KeyboardInterrupt\n", "The source raised KeyboardInterrupt while it was loaded, in line 1.", "KeyboardInterrupt"),
    ("import sys\nsys.exit(3)\n", "The source called sys.exit(3) while it was loaded.", 'File "function.py", line 2'),
    ("exit()\n", "The source called sys.exit() while it was loaded.", 'File "function.py", line 1'),
    ("quit('bye')\n", "The source called sys.exit with a message while it was loaded.", "bye"),
    ("def main(r): pass\ndef hello(r): pass\n", "The source has no function named handler; it has: hello, main.", ""),
    ("import json\n_x = 1\ndef _private(r): pass\n", "The source has no function named handler; it has no functions.", ""),
    ("", "The source has no function named handler; it has no functions.", ""),
    ("handler = 'text'\n", "The source's handler is not a function but of type str.", ""),
    ("def handler(): pass\n", "The function handler cannot be called with one argument, the request.", ""),
    ("def handler(a, b): pass\n", "The function handler cannot be called with one argument, the request.", ""),
    ("def handler(a, *, b): pass\n", "The function handler cannot be called with one argument, the request.", ""),
    (
        "class C:\n    def __call__(self): pass\nhandler = C()\n",
        "The function handler cannot be called with one argument, the request.",
        "",
    ),
    (
        "def __getattr__(name): return {}[name]\n",
        "The source raised KeyError where its handler was looked for.",
        "KeyError: 'handler'",
    ),
    ("x = 1\r\ny = '\r\n", "The source has a syntax error in line 2.", "unterminated string"),
    ("x = 'é'\n".encode("latin-1"), "The source has a syntax error in line 1.", "SyntaxError"),
]

LOADABLE = [
    "def handler(request): return 'ok'",
    "def handler(request, more=1): return 'ok'",
    "def handler(*args): return 'ok'",
    "handler = lambda request: 'ok'",
    "class C:\n    def __call__(self, request): return 'ok'\nhandler = C()\n",
    "class C:\n    def f(self, request): return 'ok'\nhandler = C().f\n",
    "import functools\ndef f(a, request): return 'ok'\nhandler = functools.partial(f, 1)\n",
    "import functools\ndef d(f): return functools.wraps(f)(lambda *a: f(*a))\n@d\ndef handler(request): return 'ok'\n",
    "import functools\nasync def f(a, request): return 'ok'\nhandler = functools.partial(f, 1)\n",
    "class C:\n    async def __call__(self, request): return 'ok'\nhandler = C()\n",
]


class Failures(unittest.TestCase):
    def test_each_kind(self) -> None:
        for source, sentence, detail in FAILURES:
            with self.subTest(source=source):
                process = load(source)
                self.addCleanup(process.__exit__)
                self.assertEqual(process.exit_code(), 78)
                first, _, rest = process.termination_log.decode().partition("\n")
                self.assertEqual(first, sentence)
                self.assertIn(detail, rest)
                self.assertEqual(process.stderr, f"{first}\n{rest}")
                self.assertNotIn("rouse", rest)
                self.assertNotIn("secret", first)

    def test_the_trace_shows_the_lines_of_the_source(self) -> None:
        process = load("def f():\n    return 1 / 0  # ü\n\nf()\n")
        self.addCleanup(process.__exit__)
        self.assertEqual(process.exit_code(), 78)
        log = process.termination_log.decode()
        self.assertIn('  File "function.py", line 4, in <module>\n    f()\n', log)
        self.assertIn('  File "function.py", line 2, in f\n    return 1 / 0  # ü\n', log)

    def test_a_nul_is_named_with_its_line(self) -> None:
        source = base64.b64encode(b"x = 1\ny = '\0'\n").decode()
        process = load(source, ROUSE_SOURCE_ENCODING="base64")
        self.addCleanup(process.__exit__)
        self.assertEqual(process.exit_code(), 78)
        self.assertEqual(process.termination_log, b"The source has a NUL byte in line 2; Python source cannot have any.\n")

    def test_what_the_environment_cannot_mean(self) -> None:
        for env, sentence in [
            ({"FUNCTION_SIGNATURE_TYPE": "pubsub"}, "FUNCTION_SIGNATURE_TYPE is 'pubsub'; it can be http or cloudevent."),
            ({"FUNCTION_TARGET": "other"}, "The source has no function named other; it has: handler."),
            ({"FUNCTION_TARGET": "other.handler"}, "The source has no function named other.handler; it has: handler."),
            ({"FUNCTION_TARGET": "handler.x"}, "The source has no function named handler.x; it has: handler."),
            ({"PORT": "http"}, "PORT is 'http'; it must be a number from 1 to 65535."),
            ({"FUNCTION_MAX_BODY_BYTES": "-1"}, "FUNCTION_MAX_BODY_BYTES is '-1'; it must be a number from 0 to 1099511627776."),
            ({"ROUSE_SOURCE_ENCODING": "base64"}, "ROUSE_SOURCE is not the base64 that ROUSE_SOURCE_ENCODING promises."),
            ({"ROUSE_SOURCE_ENCODING": "zip"}, "ROUSE_SOURCE_ENCODING is 'zip'; it can be base64."),
        ]:
            with self.subTest(env=env):
                process = load("def handler(request): pass", **env)
                self.addCleanup(process.__exit__)
                self.assertEqual(process.exit_code(), 78)
                self.assertEqual(process.termination_log.decode(), sentence + "\n")

    def test_the_log_keeps_the_last_lines_within_2000_bytes(self) -> None:
        calls = "".join(f"def f{n}(): f{n + 1}()\n" for n in range(60))
        process = load(calls + "def f60(): raise ValueError('é' * 400)\nf0()\n")
        self.addCleanup(process.__exit__)
        self.assertEqual(process.exit_code(), 78)
        log = process.termination_log
        self.assertLessEqual(len(log), 2000)
        self.assertGreater(len(log), 1800)
        self.assertEqual(log.decode().splitlines()[0], "The source raised ValueError while it was loaded, in line 61.")
        self.assertEqual(log.decode().splitlines()[-1], "ValueError: " + "é" * 400)

    def test_a_log_that_cannot_be_written_changes_nothing(self) -> None:
        process = load("x = ", ROUSE_TERMINATION_LOG="/proc/nowhere/log")
        self.addCleanup(process.__exit__)
        self.assertEqual(process.exit_code(), 78)
        self.assertTrue(process.stderr.startswith("The source has a syntax error in line 1.\n"))

    def test_a_port_that_is_taken_is_a_crash(self) -> None:
        with Process("def handler(request): pass") as first:
            process = load("def handler(request): pass", PORT=str(first.port))
            self.addCleanup(process.__exit__)
            self.assertEqual(process.exit_code(), 1)
            self.assertTrue(process.termination_log.startswith(b"The runtime ended by OSError.\n"))

    def test_it_does_not_listen_before_the_source_is_loaded(self) -> None:
        port = free_port()
        source = (
            f"import socket\ntry:\n    socket.create_connection(('127.0.0.1', {port}), 1)\n    seen = 'open'\n"
            "except ConnectionRefusedError:\n    seen = 'closed'\ndef handler(request): return seen\n"
        )
        process = Process(source, PORT=str(port))
        process.port = port
        with process:
            self.assertEqual(process.get().text, "closed")


class Shortened(unittest.TestCase):
    def test_lines(self) -> None:
        for detail, limit, kept in [
            ("a\nb\nc\n", 100, b"S\na\nb\nc\n"),
            ("a\nb\nc\n", 6, b"S\nb\nc\n"),
            ("a\nb\nc\n", 3, b"S\nc"),
            ("é" * 10, 7, "S\néé".encode()),
            ("", 100, b"S\n"),
            ("long line\n", 5, b"S\nlon"),
        ]:
            with self.subTest(detail=detail, limit=limit):
                self.assertEqual(shortened("S", detail, limit), kept)
        self.assertEqual(shortened("ééé", "x", 6), "éé\nx".encode())


class Loads(unittest.TestCase):
    def test_what_can_be_called(self) -> None:
        for source in LOADABLE:
            with self.subTest(source=source), Process(source) as function:
                self.assertEqual(function.get().text, "ok")

    def test_async_handlers_are_told_from_plain_ones(self) -> None:
        for source, is_async in [
            ("def handler(request): pass", False),
            ("async def handler(request): pass", True),
            ("async def handler(request): yield", True),
            ("import functools\nasync def f(a, request): pass\nhandler = functools.partial(functools.partial(f), 1)\n", True),
            ("class C:\n    async def __call__(self, request): pass\nhandler = C()\n", True),
            ("class C:\n    async def f(self, request): pass\nhandler = C().f\n", True),
        ]:
            scope: dict[str, Any] = {}
            exec(source, scope)
            with self.subTest(source=source):
                self.assertEqual(Call(scope["handler"], "handler", "http").is_async, is_async)

    def test_an_entrypoint_within_an_object(self) -> None:
        code = "class App:\n    def handle(self, request): return 'inner'\napp = App()"
        with Process(code, FUNCTION_TARGET="app.handle") as function:
            self.assertEqual(function.ask("GET", "/").text, "inner")

    def test_another_entrypoint(self) -> None:
        with Process("def main(request): return 'main'", FUNCTION_TARGET="main") as function:
            self.assertEqual(function.get().text, "main")

    def test_each_byte_of_the_source_arrives(self) -> None:
        text = "../\\ \u00e9 \N{SNOWMAN} \N{ROCKET} \x7f \x1b $HOME `x` %s {} \t"
        for mark, line_end, encoded in [(b"", "\n", False), (b"\xef\xbb\xbf", "\r\n", False), (b"", "\r\n", True)]:
            source = (
                mark
                + line_end.join(
                    ["größe = '''" + text.replace("\\", "\\\\") + "'''", "def handler(request):", "    return größe", ""]
                ).encode()
            )
            env = {"ROUSE_SOURCE_ENCODING": "base64"} if encoded else {}
            with self.subTest(mark=mark, line_end=line_end), Process(base64.b64encode(source) if encoded else source, **env) as function:
                self.assertEqual(function.get().text, text)

    def test_a_source_of_64_kib(self) -> None:
        source = "def handler(request): return str(len(x))\nx = '''" + "ü" * 32_000 + "'''\n"
        with Process(source) as function:
            self.assertEqual(function.get().text, "32000")

    def test_the_module_is_an_ordinary_one(self) -> None:
        source = """
import dataclasses, inspect, os, pickle, sys, typing

@dataclasses.dataclass
class Point:
    x: "typing.List[int]"

def handler(request):
    return {
        "name": __name__, "file": __file__, "module": Point.__module__, "here": sys.modules["function"].handler is handler,
        "pickled": pickle.loads(pickle.dumps(Point([1]))) == Point([1]), "hints": str(typing.get_type_hints(Point)),
        "lines": inspect.getsource(Point), "source": sorted(name for name in os.environ if name.startswith("ROUSE_SOURCE")),
        "children": os.popen("env").read().count("ROUSE_SOURCE"), "exit": exit is quit,
    }
"""
        import json

        with Process(source) as function:
            self.assertEqual(
                json.loads(function.get().text),
                {
                    "name": "function",
                    "file": "function.py",
                    "module": "function",
                    "here": True,
                    "pickled": True,
                    "hints": "{'x': typing.List[int]}",
                    "lines": '@dataclasses.dataclass\nclass Point:\n    x: "typing.List[int]"\n',
                    "source": [],
                    "children": 0,
                    "exit": True,
                },
            )

    def test_names_of_ours_hide_no_module_of_the_standard_library(self) -> None:
        with Process(
            "import select, signal, socket, json, token, http\ndef handler(request): return http.HTTPStatus.OK.phrase"
        ) as function:
            self.assertEqual(function.get().text, "OK")


if __name__ == "__main__":
    unittest.main()
