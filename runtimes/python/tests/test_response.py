"""What a handler may return, and what a failing one does to its caller."""

from __future__ import annotations

import http.client
import unittest

from .process import Process, answers, until

SOURCE = """
import dataclasses, datetime, decimal, http, threading, uuid
from rouse import HTTPError, Response

@dataclasses.dataclass
class Point:
    x: int

def cookie():
    response = Response("c", 201, {"X-A": ["1", "2"]}, mimetype="text/css")
    response.set_cookie("k", "v", max_age=5, secure=True, httponly=True, samesite="Lax")
    response.delete_cookie("old")
    response.set_cookie("s", path="/a b", domain="x.example", samesite="strict")
    response.set_cookie("t", path=None, samesite="None")
    return response

def fails(after):
    try:
        for n in range(after):
            yield "part"
        raise RuntimeError("in the stream")
    finally:
        print("closed")

go_on = threading.Event()

class Changed(HTTPError):
    def __init__(self, status, text):
        super().__init__(status, text)
        self.status = 100

class Untold(HTTPError):
    def __str__(self):
        raise RuntimeError

def refuse(error, *more):
    raise HTTPError(error, *more) if more else error

def refuse_late(*given):
    refuse(*given)
    yield

def slowly():
    yield "first"
    go_on.wait()
    yield "second"

def bad_close():
    try:
        yield "x"
    finally:
        raise OSError("in the end")

def returned(what):
    return eval(what, globals())

def handler(request):
    return returned(request.headers["X-Return"])
"""

ASYNC_SOURCE = SOURCE.replace("def handler", "async def handler")

GOOD = [
    ("'text'", 200, "text/html; charset=utf-8", "text"),
    ("b'bytes'", 200, "text/html; charset=utf-8", "bytes"),
    ("bytearray(b'bytes')", 200, "text/html; charset=utf-8", "bytes"),
    ("''", 200, "text/html; charset=utf-8", ""),
    ("{'a': ['\\u00e9', None]}", 200, "application/json", '{"a":["\u00e9",null]}\n'),
    ("[1, 2]", 200, "application/json", "[1,2]\n"),
    (
        "[datetime.date(2026, 1, 2), decimal.Decimal('1.50'), uuid.UUID(int=1), Point(3)]",
        200,
        "application/json",
        '["2026-01-02","1.50","00000000-0000-0000-0000-000000000001",{"x":3}]\n',
    ),
    ("None", 204, None, ""),
    ("('no', 404)", 404, "text/html; charset=utf-8", "no"),
    ("('no', '404 Not Found')", 404, "text/html; charset=utf-8", "no"),
    ("('no', http.HTTPStatus.NOT_FOUND)", 404, "text/html; charset=utf-8", "no"),
    ("('no', 799)", 799, "text/html; charset=utf-8", "no"),
    ("('css', {'content-type': 'text/css'})", 200, "text/css", "css"),
    ("({'a': 1}, 201, [('Content-Type', 'application/problem+json')])", 201, "application/problem+json", '{"a":1}\n'),
    ("('a', 202, {'X-A': '1'})", 202, "text/html; charset=utf-8", "a"),
    ("(Response('a', 404), 410, {'Content-Type': 'text/css'})", 410, "text/css", "a"),
    ("(x for x in ['a', b'b'])", 200, "text/html; charset=utf-8", "ab"),
    ("((x for x in 'ab'), 201, {'Content-Type': 'text/event-stream'})", 201, "text/event-stream", "ab"),
    ("map(str, range(3))", 200, "text/html; charset=utf-8", "012"),
    ("Response('a', content_type='x/y')", 200, "x/y", "a"),
    ("Response({'a': 1})", 200, "application/json", '{"a":1}\n'),
    ("Response('a', mimetype='text/css')", 200, "text/css; charset=utf-8", "a"),
]

BAD = [
    ("1 / 0", "ZeroDivisionError: division by zero"),
    ("42", "the body is of type int"),
    ("{1}", "the body is of type set"),
    ("object", "the body is of type type"),
    ("{'a': object()}", "JSON has no form for a value of type object"),
    ("('a', 100)", "not the status of a final response: 100"),
    ("('a', 200, {}, 1)", "a tuple of a handler has"),
    ("('a', {'X-A': 'b\\r\\nX-B: c'})", "a control character in the header X-A"),
    ("('a', {'X A': 'b'})", "not the name of a header"),
    ("('a', {'X-A': '\\ud800'})", "UnicodeEncodeError"),
    ("iter([1])", "a stream gives str or bytes, not int"),
    ("exit(3)", "SystemExit: 3"),
    ("(_ for _ in ()).throw(KeyboardInterrupt)", "KeyboardInterrupt"),
    ("Response('a').set_cookie('k', 'a;b')", "not the value of a cookie"),
    ("Response('a').set_cookie('k; Path=/', 'a')", "not the name of a cookie: 'k; Path=/'"),
    ("Response('a').set_cookie('', 'a')", "not the name of a cookie: ''"),
    ("Response('a').set_cookie('k\\u00e9', 'a')", "not the name of a cookie: 'k\\xe9'"),
    ("Response('a').delete_cookie('k=x')", "not the name of a cookie: 'k=x'"),
    ("Response('a').set_cookie('k', path='/; Domain=x')", "not the Path of a cookie: '/; Domain=x'"),
    ("Response('a').set_cookie('k', path='/\\u00e9')", "not the Path of a cookie: '/\\xe9'"),
    ("Response('a').set_cookie('k', domain='x;Secure')", "not the Domain of a cookie: 'x;Secure'"),
    ("Response('a').set_cookie('k', max_age='1; Secure')", "not the Max-Age of a cookie: '1; Secure'"),
    ("Response('a').set_cookie('k', samesite='Lax; Secure')", "not the SameSite of a cookie: 'Lax; Secure'"),
    ("Response('a').set_cookie('k', samesite='x')", "not the SameSite of a cookie: 'X'"),
    ("fails(0)", "RuntimeError: in the stream"),
    ("refuse(100, 'x')", "not the status of an error: 100"),
    ("refuse(200, 'x')", "not the status of an error: 200"),
    ("refuse(600, 'x')", "not the status of an error: 600"),
    ("refuse('no', 'x')", "ValueError: invalid literal"),
    ("refuse(404, object())", "an HTTPError tells a str, dict or list, not object"),
    ("refuse(404, {'error': object()})", "JSON has no form for a value of type object"),
    ("refuse(404, 'x', {'X-A': 'b\\r\\nc'})", "a control character in the header X-A"),
    ("refuse_late(404, object())", "an HTTPError tells a str, dict or list, not object"),
    ("refuse(Changed(404, 'x'))", "not the status of a final response: 100"),
    ("refuse(Untold(404, 'x'))", "Untold"),
]


class Responses(unittest.TestCase):
    function: Process

    @classmethod
    def setUpClass(cls) -> None:
        cls.function = cls.enterClassContext(Process(cls.source()))

    @staticmethod
    def source() -> str:
        return SOURCE

    def test_each_form(self) -> None:
        for what, status, kind, body in GOOD:
            with self.subTest(what=what):
                answer = self.function.get(X_Return=what)
                self.assertEqual(
                    (answer.status, answer.headers.get("content-type"), answer.text), (status, kind, body), self.function.stderr
                )

    def test_headers_and_cookies(self) -> None:
        answer = self.function.get(X_Return="cookie()")
        self.assertEqual(answer.status, 201)
        self.assertEqual([value for name, value in answer.fields if name == "X-A"], ["1", "2"])
        more = ["s=; Path=/a b; Domain=x.example; SameSite=Strict", "t=; SameSite=None"]
        self.assertEqual(
            [value for name, value in answer.fields if name == "Set-Cookie"],
            ["k=v; Max-Age=5; Path=/; SameSite=Lax; Secure; HttpOnly", "old=; Max-Age=0; Path=/", *more],
        )
        answer = self.function.get(
            X_Return="('a', {'Connection': 'upgrade', 'Transfer-Encoding': 'x', 'Content-Length': '9', 'Date': 'now'})"
        )
        self.assertEqual(answer.text, "a")
        self.assertEqual(
            self.function.get(X_Return="('a', {'X-A': '\\u00e9\\u20ac'})").headers["x-a"].encode("latin-1"), "\u00e9\u20ac".encode()
        )
        self.assertEqual({n: v for n, v in answer.headers.items() if n != "content-type"}, {"content-length": "1", "date": "now"})

    def test_a_failure_is_a_500_without_a_word_of_it(self) -> None:
        for what, told in BAD:
            with self.subTest(what=what):
                answer = self.function.get(X_Return=what, X_Request_Id="id-7")
                self.assertEqual((answer.status, answer.text), (500, "The function failed. Request ID: id-7\n"))
                self.assertEqual(answer.headers["content-type"], "text/plain; charset=utf-8")
                until(lambda told=told: told in self.function.stderr)
        self.assertEqual(self.function.get(X_Return="'alive'").text, "alive")
        for line in self.function.stderr.splitlines():
            self.assertRegex(line, r"^\[(id-7|cut|traced)\] ")
            self.assertNotIn("/rouse/", line)

    def test_the_trace_has_the_users_lines(self) -> None:
        self.function.get(X_Return="1 / 0", X_Request_Id="traced")
        lines = [line for line in self.function.stderr.splitlines() if line.startswith("[traced] ")]
        self.assertEqual(lines[0], "[traced] Traceback (most recent call last):")
        self.assertRegex(lines[1], r'^\[traced\]   File "function\.py", line \d+, in handler$')
        self.assertEqual(lines[2], '[traced]     return returned(request.headers["X-Return"])')
        self.assertEqual(lines[-1], "[traced] ZeroDivisionError: division by zero")

    def test_a_status_of_ones_own(self) -> None:
        answer = self.function.get(X_Return="(_ for _ in ()).throw(HTTPError(403, 'Not yours.'))")
        self.assertEqual((answer.status, answer.text), (403, "Not yours.\n"))

    def test_each_form_of_a_status_of_ones_own(self) -> None:
        for what, status, kind, body in [
            ("refuse(404, {'error': 'x'})", 404, "application/json", '{"error":"x"}\n'),
            ("refuse(http.HTTPStatus.NOT_FOUND, ['x'])", 404, "application/json", '["x"]\n'),
            ("refuse('404', 'x')", 404, "text/plain; charset=utf-8", "x\n"),
            ("refuse_late(410, 'Gone.')", 410, "text/plain; charset=utf-8", "Gone.\n"),
        ]:
            with self.subTest(what=what):
                answer = self.function.get(X_Return=what)
                self.assertEqual((answer.status, answer.headers["content-type"], answer.text), (status, kind, body), self.function.stderr)
        answer = self.function.get(X_Return="refuse(429, 'Later.', {'Retry-After': '7'})")
        self.assertEqual((answer.status, answer.headers["retry-after"]), (429, "7"))

    def test_a_failing_stream_is_cut(self) -> None:
        closed = self.function.stdout.count("closed")
        with self.function.connect() as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: cut\r\nX-Return: fails(2)\r\n\r\n")
            data = b""
            while part := sock.recv(1000):
                data += part
        self.assertTrue(data.startswith(b"HTTP/1.1 200 OK"))
        with self.assertRaises(http.client.IncompleteRead) as caught:
            answers(data, "GET")
        self.assertEqual(caught.exception.partial, b"partpart")
        until(lambda: self.function.stderr.count("[cut] RuntimeError: in the stream") == 1)
        until(lambda: self.function.stdout.count("closed") == closed + 1)
        self.assertEqual(self.function.stderr.count("[cut] RuntimeError: in the stream"), 1)

    def test_a_stream_that_fails_in_its_end_is_cut(self) -> None:
        with self.assertRaises(http.client.IncompleteRead):
            self.function.get(X_Return="bad_close()", X_Request_Id="cut")

    def test_a_stream_is_sent_as_it_comes(self) -> None:
        with self.function.connect() as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Return: slowly()\r\n\r\n")
            data = sock.recv(1000)
            self.assertTrue(data.endswith(b"\r\n\r\n5\r\nfirst\r\n"))
            self.function.get(X_Return="go_on.set()")
            self.assertEqual(sock.recv(1000)[:9], b"6\r\nsecond")

    def test_a_stream_of_no_use_is_closed(self) -> None:
        """HEAD takes no piece; a generator that never ran has nothing to close."""
        answer = self.function.ask("HEAD", headers={"X-Return": "fails(1)"})
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(self.function.get(X_Return="'alive'").text, "alive")


class AsyncResponses(Responses):
    @staticmethod
    def source() -> str:
        return ASYNC_SOURCE


EXITS = """
import asyncio, sys

async def exits():
    sys.exit(3)

async def stream(first=None):
    await (first or exits)()
    yield "never"

async def child():
    await asyncio.gather(exits())

async def inner(request):
    print(request.path)
    match request.path:
        case "/slow": await event().wait()
        case "/last": event().set()
        case "/exit": await exits()
        case "/interrupt": raise KeyboardInterrupt
        case "/child": await child()
        case "/callback": asyncio.get_running_loop().call_soon(sys.exit)
        case "/stop": asyncio.get_running_loop().stop()
    await asyncio.sleep(0)
    return "alive"

seen = []

def event():
    if not seen:
        seen.append(asyncio.Event())
    return seen[0]

def stream_of(path):
    return {"/stream": stream, "/child-of-stream": lambda: stream(child)}.get(path, lambda: None)()
"""

PLAIN_EXITS = EXITS + "def handler(request): return stream_of(request.path) or inner(request)\n"
ASYNC_EXITS = EXITS + "async def handler(request): return stream_of(request.path) or await inner(request)\n"


class Bridged(unittest.TestCase):
    def test_a_plain_handler_that_returns_an_awaitable(self) -> None:
        source = "import asyncio\nasync def f(): await asyncio.sleep(0); print('in'); return 'awaited'\ndef handler(request): return f()\n"
        with Process(source) as function:
            self.assertEqual(function.get(X_Request_Id="id").text, "awaited")
            self.assertEqual(function.stdout, "[id] in\n")

    def test_an_exit_within_is_the_end_of_its_request_alone(self) -> None:
        """asyncio lets SystemExit and KeyboardInterrupt out of a task, and out of its loop."""
        for source in (PLAIN_EXITS, ASYNC_EXITS):
            with self.subTest(source=source[-80:]), Process(source) as function:
                slow = function.connect()
                slow.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
                until(lambda function=function: "/slow" in function.stdout)
                for path in ("/exit", "/interrupt", "/stream", "/child", "/child-of-stream"):
                    answer = function.get(path, X_Request_Id=path)
                    self.assertEqual((answer.status, answer.text), (500, f"The function failed. Request ID: {path}\n"), function.stderr)
                    end = "KeyboardInterrupt" if path == "/interrupt" else "SystemExit: 3"
                    self.assertIn(f"[{path}] {end}\n", function.stderr)
                for path in ("/callback", "/stop", "/last"):
                    self.assertEqual(function.get(path).text, "alive", path)
                self.assertTrue(slow.recv(1000).endswith(b"alive"))
                function.terminate()
                self.assertEqual(function.exit_code(), 0)

    def test_a_caller_that_leaves_a_plain_generator_within_its_step(self) -> None:
        """The generator is closed when the step has ended: closing it within is an error, and would leave it open."""
        source = (
            "import threading\ngo = threading.Event()\ndef events():\n    try:\n        yield 'x'\n        print('in the step')\n"
            "        go.wait()\n        FAILS\n        yield 'y'\n"
            "    finally:\n        print('closed')\n"
            "async def handler(request):\n    if request.path == '/go': go.set()\n    else: return events()\n"
        )
        for fails, told in [("", ""), ("raise RuntimeError", "RuntimeError\n")]:
            with self.subTest(fails=fails), Process(source.replace("FAILS", fails)) as function:
                with function.connect() as sock:
                    sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: id\r\n\r\n")
                    until(lambda function=function: "[id] in the step\n" in function.stdout)
                self.assertEqual(function.get("/go").status, 204)
                until(lambda function=function: function.stdout.endswith("[id] closed\n"))
                function.terminate()
                self.assertEqual(function.exit_code(), 0)
                self.assertTrue(function.stderr.endswith(told) and bool(function.stderr) == bool(told), function.stderr)
                self.assertEqual(function.stderr.count("Traceback"), bool(told))

    def test_something_cancelled_that_is_not_the_request(self) -> None:
        source = (
            "import asyncio\nasync def handler(request):\n    f = asyncio.get_running_loop().create_future()\n    f.cancel()\n    await f\n"
        )
        with Process(source) as function:
            self.assertEqual(function.get().status, 500)
            self.assertIn("CancelledError", function.stderr)

    def test_generator_handlers(self) -> None:
        for prefix in ("", "async "):
            with (
                self.subTest(prefix=prefix),
                Process(prefix + "def handler(request):\n    yield 'a'\n    print('x')\n    yield 'b'\n") as function,
            ):
                self.assertEqual(function.get(X_Request_Id="id").text, "ab")
                self.assertEqual(function.stdout, "[id] x\n")


if __name__ == "__main__":
    unittest.main()
