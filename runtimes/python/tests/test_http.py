"""HTTP/1.1 on the wire: what a client sees of framing, reuse and refusals."""

from __future__ import annotations

import http.client
import socket
import struct
import time
import unittest

from .process import DEADLINE, Process, answers, everything, until

SOURCE = """
import time

def handler(request):
    match request.path:
        case "/echo": return request.data
        case "/length": return str(len(request.data))
        case "/empty": return "", 204, {"X-A": "b"}
        case "/none": return None
        case "/known": return "", {"Content-Length": "123"}
        case "/unmodified": return "body", 304
        case "/stream": return (part for part in ["a", b"", b"b", "\\u00e9"])
        case "/nothing": return iter(())
        case "/promised": return iter(["ab", "cd"]), {"Content-Length": request.args["n"]}
        case "/large": return b"x" * int(request.args["n"])
        case "/endless": return endless()
        case "/slow": time.sleep(0.5); return "slow"
        case "/closed": return str(closed)
        case _: return "hello"

closed = 0
kept = []

class Endless:
    def __iter__(self): return self
    def __next__(self): return b"x" * 10_000
    def close(self):
        global closed
        closed += 1

def endless():
    kept.append(Endless())  # so that nobody but the server closes it
    return kept[-1]
"""


class Http(unittest.TestCase):
    function: Process

    @classmethod
    def setUpClass(cls) -> None:
        cls.function = cls.enterClassContext(Process(cls.source(), FUNCTION_MAX_BODY_BYTES="1000000"))

    @staticmethod
    def source() -> str:
        return SOURCE

    def ask(self, head: str, body: bytes = b"") -> bytes:
        """One request as bytes, the last on its connection."""
        return self.function.raw(head.replace("\n", "\r\n").encode() + b"Host: x\r\nConnection: close\r\n\r\n" + body)

    def test_a_plain_answer(self) -> None:
        with self.function.connect() as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            data = sock.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        self.assertEqual(lines[0], b"HTTP/1.1 200 OK")
        self.assertEqual(body, b"hello")
        self.assertRegex(lines[2], rb"^Date: (Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w\w\w \d{4} \d\d:\d\d:\d\d GMT$")
        self.assertEqual({lines[1], lines[3]}, {b"Content-Type: text/html; charset=utf-8", b"Content-Length: 5"})
        self.assertEqual(len(lines), 4)

    def test_head_has_the_fields_of_get_and_no_body(self) -> None:
        self.assertTrue(self.ask("HEAD / HTTP/1.1\n").endswith(b"Content-Length: 5\r\nConnection: close\r\n\r\n"))
        self.assertTrue(self.ask("HEAD /stream HTTP/1.1\n").endswith(b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"))
        self.assertTrue(self.ask("HEAD /promised?n=7 HTTP/1.1\n").endswith(b"Content-Length: 7\r\nConnection: close\r\n\r\n"))

    def test_a_handler_of_head_may_know_the_length_without_the_body(self) -> None:
        self.assertIn(b"\r\nContent-Length: 123\r\n", self.ask("HEAD /known HTTP/1.1\n"))
        self.assertIn(b"\r\nContent-Length: 0\r\n", self.ask("GET /known HTTP/1.1\n"))

    def test_no_body_where_none_may_be(self) -> None:
        for path, status in [("/empty", b"204 No Content"), ("/none", b"204 No Content"), ("/unmodified", b"304 Not Modified")]:
            with self.subTest(path=path):
                data = self.ask(f"GET {path} HTTP/1.1\n")
                self.assertTrue(data.startswith(b"HTTP/1.1 " + status + b"\r\n"))
                self.assertTrue(data.endswith(b"\r\n\r\n"))
                self.assertEqual(data.count(b"\r\n\r\n"), 1)
                self.assertNotIn(b"content-length", data.lower())
                self.assertNotIn(b"transfer-encoding", data.lower())

    def test_a_stream_goes_in_chunks_and_never_in_an_empty_one(self) -> None:
        self.assertTrue(self.ask("GET /stream HTTP/1.1\n").endswith(b"\r\n\r\n1\r\na\r\n1\r\nb\r\n2\r\n\xc3\xa9\r\n0\r\n\r\n"))
        self.assertTrue(self.ask("GET /nothing HTTP/1.1\n").endswith(b"\r\n\r\n0\r\n\r\n"))

    def test_a_stream_of_a_promised_length(self) -> None:
        self.assertTrue(self.ask("GET /promised?n=4 HTTP/1.1\n").endswith(b"Content-Length: 4\r\nConnection: close\r\n\r\nabcd"))
        for n in (3, 5):
            with self.subTest(n=n), self.assertRaises(http.client.IncompleteRead):
                answers(self.function.raw(b"GET /promised?n=%d HTTP/1.1\r\nHost: x\r\n\r\n" % n), "GET")

    def test_http_10_gets_no_chunks(self) -> None:
        data = self.function.raw(b"GET /stream HTTP/1.0\r\n\r\n")
        self.assertTrue(data.endswith(b"Connection: close\r\n\r\nab\xc3\xa9"))
        self.assertNotIn(b"chunked", data)

    def test_a_chunked_upload(self) -> None:
        body = b'5\r\nhello\r\n6;x="1"\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n'
        for size in (1, 3, 1000):
            with self.subTest(size=size), self.function.connect() as sock:
                data = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + body
                for at in range(0, len(data), size):
                    sock.sendall(data[at : at + size])
                    if size < 1000:
                        time.sleep(0.0005)
                self.assertTrue(everything(sock).endswith(b"\r\n\r\nhello world"))

    def test_expect_100_continue(self) -> None:
        with self.function.connect() as sock:
            sock.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            self.assertEqual(sock.recv(1000), b"HTTP/1.1 100 Continue\r\n\r\n")
            sock.sendall(b"ab")
            self.assertTrue(sock.recv(1000).endswith(b"\r\n\r\nab"))
            sock.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\ncd")
            self.assertTrue(sock.recv(1000).startswith(b"HTTP/1.1 200 OK"))

    def test_a_connection_serves_one_request_after_another(self) -> None:
        client = http.client.HTTPConnection("127.0.0.1", self.function.port, timeout=DEADLINE)
        client.connect()
        port = client.sock.getsockname()
        for path, method, body in [
            ("/", "GET", None),
            ("/echo", "POST", b"x" * 500_000),
            ("/stream", "GET", None),
            ("/none", "GET", None),
        ] * 3:
            client.request(method, path, body)
            response = client.getresponse()
            self.assertEqual(response.read(), {"/": b"hello", "/echo": body, "/stream": "abé".encode(), "/none": b""}[path])
            self.assertEqual(client.sock.getsockname(), port)
        client.close()

    def test_close_among_the_options_of_a_connection(self) -> None:
        for value in (b"keep-alive, close", b"close , x", b"CLOSE", b"x,\tclose", b"x\r\nConnection: close"):
            with self.subTest(value=value):
                data = self.function.raw(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: " + value + b"\r\n\r\n")
                self.assertIn(b"\r\nConnection: close\r\n", data)
        with self.function.connect() as sock:
            for _ in range(2):
                sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: closed, keep-alive\r\n\r\n")
                self.assertTrue(sock.recv(1000).endswith(b"hello"))

    def test_empty_lines_before_a_request(self) -> None:
        request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        with self.function.connect() as sock:
            for _ in range(3):
                sock.sendall(b"\r\n" * 4 + request)
                self.assertTrue(sock.recv(1000).endswith(b"hello"))
            for byte in b"\r\n" * 4 + request:
                sock.sendall(bytes([byte]))
                time.sleep(0.0005)
            self.assertTrue(sock.recv(1000).endswith(b"hello"))
        for pieces in ([b"\r\n" * 5], [b"\r\n" * 4, b"\r\n"], [b"\r\n" * 500_000]):
            with self.subTest(pieces=pieces[0][:20]), self.function.connect() as sock:
                for piece in pieces:
                    sock.sendall(piece)
                    time.sleep(0.05)
                data = sock.recv(1000)
                self.assertTrue(data.startswith(b"HTTP/1.1 400 "), data)
                self.assertTrue(data.endswith(b"There are empty lines before the request.\n"), data)

    def test_pipelined_requests_are_answered_in_order(self) -> None:
        one = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n%03d"
        slow = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
        last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        data = self.function.raw(b"\r\n" + slow + b"".join(one % n for n in range(200)) + last)
        found = answers(data, *["GET"] * 202)
        self.assertEqual([answer.text for answer in found], ["slow", *(f"{n:03}" for n in range(200)), "hello"])

    def test_a_request_in_many_pieces(self) -> None:
        with self.function.connect() as sock:
            for byte in b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc":
                sock.sendall(bytes([byte]))
                time.sleep(0.0005)
            self.assertTrue(sock.recv(1000).endswith(b"\r\n\r\nabc"))

    def test_a_body_of_the_limit_passes_and_one_byte_more_does_not(self) -> None:
        self.assertEqual(self.function.ask("POST", "/length", b"x" * 1_000_000).text, "1000000")
        too_large = [
            (b"Content-Length: 1000001\r\n\r\n", b""),
            (b"Content-Length: 1000001\r\nExpect: 100-continue\r\n\r\n", b""),
            (b"Content-Length: 1000001\r\n\r\n", b"x" * 1_000_001),
            (b"Transfer-Encoding: chunked\r\n\r\n", b"f4241\r\n" + b"x" * 1_000_001 + b"\r\n0\r\n\r\n"),
            (b"Transfer-Encoding: chunked\r\n\r\n", (b"7a120\r\n" + b"x" * 500_000 + b"\r\n") * 3 + b"0\r\n\r\n"),
        ]
        for head, body in too_large:
            with self.subTest(head=head, body=len(body)), self.function.connect() as sock:
                sock.sendall(b"POST /length HTTP/1.1\r\nHost: x\r\n" + head + body)
                data = everything(sock)
                self.assertTrue(data.startswith(b"HTTP/1.1 413 Content Too Large\r\n"), data[:100])
                self.assertIn(b"\r\nConnection: close\r\n", data)
                self.assertTrue(data.endswith(b"The body has more than 1000000 bytes.\n"))

    def test_what_follows_a_refusal_is_not_kept(self) -> None:
        with Process(self.source(), FUNCTION_MAX_BODY_BYTES="1000") as function:
            before = function.peak_mib
            with function.connect() as sock:
                sock.sendall(b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 60000000\r\n\r\n")
                for _ in range(15):
                    sock.sendall(b"x" * 1_000_000)
                # What is beyond that is not even read.
                with self.assertRaises(OSError):
                    for _ in range(45):
                        sock.sendall(b"x" * 1_000_000)
            self.assertLess(function.peak_mib - before, 20)

    def test_what_is_malformed_is_refused(self) -> None:
        for request, status in [
            (b"GET\r\n\r\n", 400),
            (b"GET / HTTP/1.1\nHost: x\n\n\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\nC: d\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
            (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
            (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
            (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n", 400),
            (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
            (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
            (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400),
            (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 70_000 + b"\r\n\r\n", 431),
            (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 70_000, 431),
        ]:
            with self.subTest(request=request[:80]):
                data = self.function.raw(request)
                self.assertEqual(data.split(b" ")[1], str(status).encode())
                self.assertIn(b"\r\nConnection: close\r\n", data)
        self.assertEqual(self.function.get().text, "hello")

    def test_targets(self) -> None:
        for target in (b"http://other/echo?x", b"/ech%6f", b"/echo"):
            data = self.function.raw(b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok" % target)
            self.assertTrue(data.endswith(b"\r\n\r\nok"), target)
        self.assertTrue(self.function.raw(b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").endswith(b"hello"))

    def test_a_large_answer_to_a_slow_caller_holds_nobody_up(self) -> None:
        """More slow callers than there are threads, and the others are served meanwhile."""
        size = 20_000_000
        slow = [self.function.connect() for _ in range(40)]
        for sock in slow:
            sock.sendall(b"GET /large?n=%d HTTP/1.1\r\nHost: x\r\n\r\n" % size)
        for _ in range(5):
            self.assertEqual(self.function.get().text, "hello")
        sock = slow[0]
        head, _, body = sock.recv(65536).partition(b"\r\n\r\n")
        self.assertIn(b"Content-Length: 20000000", head)
        while len(body) < size:
            body += sock.recv(1_000_000)
        self.assertEqual(body, b"x" * size)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertTrue(sock.recv(65536).endswith(b"hello"))
        for sock in slow:
            sock.close()

    def test_a_stream_of_no_use_is_closed(self) -> None:
        closed = int(self.function.get("/closed").text)
        self.assertEqual(self.function.ask("HEAD", "/endless").status, 200)
        self.assertEqual(self.function.get("/closed").text, str(closed + 1))

    def test_a_stream_to_a_slow_caller_holds_nobody_up(self) -> None:
        for _ in range(3):
            self.function.connect().sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.2)
        self.assertEqual(self.function.get().text, "hello")

    def test_a_caller_that_goes_away(self) -> None:
        closed = int(self.function.get("/closed").text)
        for _ in range(5):
            with self.function.connect() as sock:
                sock.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
                sock.recv(20_000)
        for path in (b"/slow", b"/large?n=20000000"):
            with self.function.connect() as sock:
                sock.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
                sock.recv(1) if path != b"/slow" else None
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with self.function.connect() as sock:
            sock.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
        until(lambda: self.function.get("/closed").text == str(closed + 5))
        self.assertEqual(self.function.get().text, "hello")
        self.assertEqual(self.function.stderr, "")


ASYNC_SOURCE = (
    SOURCE.replace("import time", "import asyncio")
    .replace("def handler", "async def handler")
    .replace("time.sleep(0.5)", "await asyncio.sleep(0.5)")
)


class AsyncHttp(Http):
    """The same of an async handler, whose plain generators run in threads."""

    @staticmethod
    def source() -> str:
        return ASYNC_SOURCE


class AsyncStreams(Http):
    """And of async generators."""

    @staticmethod
    def source() -> str:
        source = ASYNC_SOURCE + LATER
        for plain, later in ASYNC_FORMS:
            assert plain in source
            source = source.replace(plain, later)
        return source


LATER = """
async def later(*parts):
    for part in parts:
        await asyncio.sleep(0.01)
        yield part
"""

ASYNC_FORMS = [
    ("__iter__", "__aiter__"),
    ("def __next__", "async def __anext__"),
    ("def close", "async def aclose"),
    ('(part for part in ["a", b"", b"b", "\\u00e9"])', 'later("a", b"", b"b", "\\u00e9")'),
    ('iter(["ab", "cd"])', 'later("ab", "cd")'),
    ("iter(())", "later()"),
]


class BridgedStreams(Http):
    """And of async generators that a plain handler returns."""

    @staticmethod
    def source() -> str:
        return (
            AsyncStreams.source()
            .replace("async def handler", "def handler")
            .replace("await asyncio.sleep(0.5)", "__import__('time').sleep(0.5)")
        )


if __name__ == "__main__":
    unittest.main()
