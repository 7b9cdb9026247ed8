"""Bodies in memory: how many of them there may be, and that each gives its room back, however its request ends."""

from __future__ import annotations

import concurrent.futures
import socket
import struct
import unittest

from rouse.settings import Settings

from .process import Process, everything, unread, until

SIZE = 1_000_000
"""The largest body, and with a heap of 1 MiB all that there may be."""

SOURCE = """
import time, threading
from rouse import HTTPError

go = threading.Event()

def endless():
    while True:
        yield b"x" * 10_000

def fails():
    yield "part"
    raise RuntimeError

def handler(request):
    print(request.path)
    match request.path:
        case "/wait": go.wait()
        case "/go": go.set()
        case "/fails": raise RuntimeError
        case "/refuses": raise HTTPError(409, "No.")
        case "/stream": return iter(["a", "b"])
        case "/fails-later": return fails()
        case "/endless": return endless()
        case "/large": return b"x" * 20_000_000
    return str(len(request.data))
"""


def head(path: str, length: int = SIZE, more: str = "") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{more}\r\n".encode()


CHUNKED = b"POST /chunked HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


class Bodies(unittest.TestCase):
    function: Process

    @classmethod
    def setUpClass(cls) -> None:
        cls.function = cls.enterClassContext(Process(cls.source(), FUNCTION_MAX_BODY_BYTES=str(SIZE), ROUSE_HEAP_MIB="1"))

    @staticmethod
    def source() -> str:
        return SOURCE

    def post(self, path: str = "/", size: int = SIZE) -> int:
        return self.function.ask("POST", path, b"x" * size).status

    def send(self, sock: socket.socket, data: bytes) -> None:
        """Returns when the server has read it."""
        sock.sendall(data)
        until(lambda: unread(sock) == 0)

    def check_room(self) -> None:
        """All of it is free again: otherwise the largest body would not pass."""
        until(lambda: self.post() == 200)

    def test_what_goes_beyond_is_told_to_come_again(self) -> None:
        with self.function.connect() as first:
            self.send(first, head("/first") + b"x" * (SIZE - 1000))
            self.assertEqual(self.post(size=1001), 503)
            self.assertEqual(self.post(size=1000), 200)
            self.assertEqual(self.post(size=0), 200)
            for data in (head("/second") + b"x" * SIZE, CHUNKED + b"f4240\r\n" + b"x" * SIZE + b"\r\n0\r\n\r\n"):
                with self.function.connect() as second:
                    second.sendall(data)
                    answer = everything(second)
                self.assertTrue(answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n"), answer)
                self.assertIn(b"\r\nRetry-After: 1\r\n", answer)
                self.assertIn(b"\r\nConnection: close\r\n", answer)
                self.assertTrue(answer.endswith(b"resources.memory gives it more.\n"), answer)
            first.sendall(b"x" * 1000)
            self.assertTrue(first.recv(1000).endswith(b"1000000"))
            self.check_room()
            first.sendall(head("/again") + b"x" * SIZE)  # a connection that goes on
            self.assertTrue(first.recv(1000).endswith(b"1000000"))
            self.check_room()

    def test_what_is_announced_does_not_count(self) -> None:
        with self.function.connect() as first:
            self.send(first, head("/first") + b"x")
            self.assertEqual(self.post(), 503)
            self.assertEqual(self.post(size=SIZE - 1), 200)
        self.check_room()

    def test_a_request_that_is_being_answered_counts(self) -> None:
        with Process(self.source(), FUNCTION_MAX_BODY_BYTES=str(SIZE), ROUSE_HEAP_MIB="1") as function:
            running = function.connect()
            running.sendall(head("/wait") + b"x" * SIZE)
            until(lambda: "/wait" in function.stdout)
            self.assertEqual(function.ask("POST", "/", b"x").status, 503)
            self.assertEqual(function.get("/go").status, 200)
            self.assertTrue(running.recv(1000).endswith(b"1000000"))
            until(lambda: function.ask("POST", "/", b"x" * SIZE).status == 200)

    def test_the_room_is_free_again_after_each_end_of_an_answer(self) -> None:
        for more in ("", "Connection: close\r\n"):
            for path in ("/plain", "/fails", "/refuses", "/stream", "/fails-later"):
                with self.subTest(path=path, more=more), self.function.connect() as sock:
                    sock.sendall(head(path, more=more) + b"x" * SIZE)
                    self.assertTrue(sock.recv(1000).startswith(b"HTTP/1.1 "))
                    self.check_room()
        for method in ("HEAD", "PUT"):
            self.assertEqual(self.function.ask(method, "/stream", b"x" * SIZE).status, 200)
            self.check_room()
        self.assertTrue(self.function.raw(b"POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc").endswith(b"3"))
        self.check_room()

    def test_after_a_chunked_body(self) -> None:
        with self.function.connect() as sock:
            sock.sendall(CHUNKED + b"7a120\r\n" + b"x" * 500_000 + b"\r\n7a120\r\n" + b"x" * 500_000 + b"\r\n0\r\n\r\n")
            self.assertTrue(sock.recv(1000).endswith(b"1000000"))
            self.check_room()

    def test_after_a_refusal_within_the_body(self) -> None:
        for data, status in [(b"7a120\r\n" + b"x" * 500_000 + b"\r\n7a121\r\n", b"413"), (b"3\r\nabc\r\nz\r\n", b"400")]:
            with self.subTest(status=status), self.function.connect() as sock:
                sock.sendall(CHUNKED + data)
                self.assertEqual(sock.recv(1000).split(b" ")[1], status)
                self.check_room()  # the connection is still there

    def test_after_a_caller_that_goes(self) -> None:
        for data in (
            head("/half") + b"x" * (SIZE - 1),
            CHUNKED + b"f4240\r\n" + b"x" * (SIZE - 1),
            head("/endless") + b"x" * SIZE,
            head("/large") + b"x" * SIZE,
        ):
            with self.subTest(data=data[:20]):
                sock = self.function.connect()
                self.send(sock, data)
                if b"/endless" in data or b"/large" in data:
                    self.assertIn(b"200 OK", sock.recv(1000))
                if b"/large" not in data:
                    self.assertEqual(self.post(size=2), 503)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()
                self.check_room()

    def test_after_a_caller_that_takes_its_answer_slowly(self) -> None:
        with self.function.connect() as sock:
            sock.sendall(head("/large") + b"x" * SIZE)
            body = sock.recv(1000).partition(b"\r\n\r\n")[2]
            while len(body) < 20_000_000:
                body += sock.recv(1_000_000)
            self.check_room()


class AsyncBodies(Bodies):
    @staticmethod
    def source() -> str:
        return (
            SOURCE.replace("def endless", "async def endless")
            .replace("def fails", "async def fails")
            .replace("def handler", "async def handler")
            .replace("go.wait()", "await go.wait()")
            .replace("threading", "asyncio")
        )

    def test_after_a_caller_whose_handler_is_cancelled(self) -> None:
        with Process(self.source(), FUNCTION_MAX_BODY_BYTES=str(SIZE), ROUSE_HEAP_MIB="1") as function:
            with function.connect() as sock:
                sock.sendall(head("/wait") + b"x" * SIZE)
                until(lambda: "/wait" in function.stdout)
                self.assertEqual(function.ask("POST", "/", b"x").status, 503)
            until(lambda: function.ask("POST", "/", b"x" * SIZE).status == 200)


class Memory(unittest.TestCase):
    def test_it_follows_what_has_arrived(self) -> None:
        with Process("def handler(request): return str(len(request.data))", ROUSE_HEAP_MIB="64") as function:
            before = function.peak_mib
            sockets = [function.connect() for _ in range(6)]
            for sock in sockets:
                try:
                    sock.sendall(head("/", 16 << 20) + b"x" * (15 << 20))
                except OSError:
                    pass  # refused and cut
            self.assertLess(function.peak_mib - before, 48)

    def test_it_does_not_stay_when_bodies_are_gone(self) -> None:
        source = "import time\ndef handler(request):\n    time.sleep(0.05)\n    return str(len(request.data))\n"
        with Process(source, ROUSE_HEAP_MIB="64") as function:
            before = function.peak_mib
            size = 4 << 20

            def ask(_: int) -> None:
                for _ in range(10):
                    self.assertEqual(function.ask("POST", "/", b"x" * size).text, str(size))

            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                list(pool.map(ask, range(8)))
            self.assertLess(function.peak_mib - before, 56)

    def test_a_thread_that_waits_keeps_no_request(self) -> None:
        source = """
import gc, threading
together = threading.Barrier(5)

def handler(request):
    if request.path == "/meet":
        together.wait()
    return str(sum(type(one) is type(request) for one in gc.get_objects()))
"""
        with Process(source) as function:
            with concurrent.futures.ThreadPoolExecutor(5) as pool:
                list(pool.map(function.get, ["/meet"] * 5))
            until(lambda: function.get().text == "1")

    def test_a_whole_body_is_there_once(self) -> None:
        with Process("def handler(request): return str(len(request.data))") as function:
            before = function.peak_mib
            self.assertEqual(function.ask("POST", "/", b"x" * (32 << 20)).status, 200)
            self.assertLess(function.peak_mib - before, 48)


class Sizes(unittest.TestCase):
    def test_each_heap(self) -> None:
        mib = 1 << 20
        for heap, given, largest, together in [
            ("", "", 32 * mib, 128 * mib),
            ("", "1000", 1000, 4000),
            ("4", "", mib, 2 * mib),
            ("64", "", 16 * mib, 32 * mib),
            ("128", "", 32 * mib, 64 * mib),
            ("3840", "", 32 * mib, 1920 * mib),
            ("64", "1000", 1000, 32 * mib),
            ("64", str(100 * mib), 100 * mib, 100 * mib),
        ]:
            with self.subTest(heap=heap, given=given):
                environ = {b"ROUSE_SOURCE": b"", b"ROUSE_HEAP_MIB": heap.encode(), b"FUNCTION_MAX_BODY_BYTES": given.encode()}
                settings = Settings(environ)
                self.assertEqual((settings.max_body_bytes, settings.max_bodies_bytes), (largest, together))


if __name__ == "__main__":
    unittest.main()
