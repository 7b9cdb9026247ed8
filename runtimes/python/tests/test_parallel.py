"""Many requests at once: none lost, and no more threads than there may be."""

from __future__ import annotations

import concurrent.futures
import http.client
import signal
import threading
import time
import unittest

from rouse.pool import THREADS

from .process import DEADLINE, Process, until

ECHO = "def handler(request):\n    print(request.id)\n    return f'{request.path} {len(request.data)}'\n"


class Thousand(unittest.TestCase):
    def run_source(self, source: str, requests: int = 1000, at_once: int = 50) -> None:
        with Process(source) as function:
            local = threading.local()
            clients: list[http.client.HTTPConnection] = []
            together = threading.Barrier(at_once)

            def ask(n: int) -> None:
                if not hasattr(local, "client"):
                    local.client = http.client.HTTPConnection("127.0.0.1", function.port, timeout=DEADLINE)
                    clients.append(local.client)
                    together.wait(DEADLINE)  # else the pool makes fewer threads where the first are quick
                local.client.request("POST", f"/{n}", b"x" * n, {"X-Request-Id": str(n)})
                response = local.client.getresponse()
                body = response.read()
                if (response.status, body) != (200, b"/%d %d" % (n, n)):
                    raise AssertionError((n, response.status, body[:100]))

            with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
                list(pool.map(ask, range(requests)))
            for client in clients:
                client.close()
            self.assertEqual(len(clients), at_once)
            self.assertEqual(sorted(function.stdout.splitlines()), sorted(f"[{n}] {n}" for n in range(requests)))
            self.assertEqual(function.stderr, "")

    def test_plain(self) -> None:
        self.run_source(ECHO)

    def test_async(self) -> None:
        self.run_source("async " + ECHO)

    def test_plain_handlers_that_wait(self) -> None:
        self.run_source("import time\n" + ECHO.replace("print", "time.sleep(0.01); print"), 500)


class Bounds(unittest.TestCase):
    # As many as there are threads go on together, however long it takes until they are there.
    SOURCE = f"""
import threading, time
lock = threading.Lock()
together = threading.Barrier({THREADS})
now = most = 0

def handler(request):
    global now, most
    if request.path == "/most":
        return {{"most": most}}
    with lock:
        now += 1
        most = max(most, now)
    together.wait(30)
    time.sleep(0.2)
    with lock:
        now -= 1
    return "ok"
"""

    def test_the_pool_is_bounded_and_the_others_wait(self) -> None:
        with Process(self.SOURCE) as function:
            self.assertLessEqual(function.threads, 2)
            with concurrent.futures.ThreadPoolExecutor(2 * THREADS) as pool:
                found = list(pool.map(lambda n: function.get(f"/{n}").status, range(2 * THREADS)))
            self.assertEqual(found, [200] * 2 * THREADS)
            self.assertEqual(function.get("/most").text, f'{{"most":{THREADS}}}\n')
            self.assertEqual(function.threads, THREADS + 1)
            self.assertLess(function.peak_mib, 32)

    def test_a_hundred_streams_leave_room_for_a_request(self) -> None:
        """The autoscaler adds a pod only for what is beyond a hundred requests at once. Here no stream goes on before all are there."""
        source = (
            "import threading\ntogether = threading.Barrier(100)\n"
            "def events():\n    together.wait()\n    yield 'data: x\\n\\n'\n    threading.Event().wait()\n"
        )
        for prefix in ("", "async "):
            handler = f"{prefix}def handler(request): return events() if request.path == '/events' else 'ok'\n"
            # 73 is what a pod has by default
            with self.subTest(prefix=prefix), Process(source + handler, ROUSE_CPU_MILLI="73") as function:
                streams = [function.connect() for _ in range(100)]
                for sock in streams:
                    sock.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
                for sock in streams:
                    self.assertIn(b"data: x", sock.recv(1000))
                self.assertEqual(function.get().text, "ok")

    def test_those_that_wait_are_served_in_their_order(self) -> None:
        source = (
            "import signal, threading\ngo = threading.Semaphore(0)\nsignal.signal(signal.SIGUSR1, lambda *_: go.release())\n"
            "def handler(request):\n    print(request.path)\n    go.acquire()\n"
        )
        with Process(source) as function:

            def begun() -> list[str]:
                return [line.split()[-1] for line in function.stdout.splitlines()]

            paths = [f"/{n}" for n in range(THREADS + 8)]
            for n, path in enumerate(paths, 1):
                function.connect().sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                until(lambda n=n: len(begun()) == min(n, THREADS))
            for n in range(THREADS + 1, THREADS + 9):
                function.process.send_signal(signal.SIGUSR1)  # ends one of them
                until(lambda n=n: len(begun()) == n)
            self.assertEqual(begun(), paths)

    def test_async_handlers_wait_together_on_one_loop(self) -> None:
        source = (
            "import asyncio, threading\nasync def handler(request):\n    await asyncio.sleep(0.3)\n"
            "    return threading.current_thread().name\n"
        )
        with Process(source) as function, concurrent.futures.ThreadPoolExecutor(100) as pool:
            begin = time.monotonic()
            found = list(pool.map(lambda _: function.get().text, range(100)))
            self.assertEqual(set(found), {"MainThread"})
            self.assertLess(time.monotonic() - begin, 15)  # one after the other it would be 30
            self.assertEqual(function.threads, 1)

    def test_more_connections_than_descriptors(self) -> None:
        source = "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))\ndef handler(request): return 'ok'\n"
        with Process(source) as function:
            sockets = [function.connect() for _ in range(40)]
            before = function.cpu_seconds
            time.sleep(2)
            self.assertLess(function.cpu_seconds - before, 0.5)  # it waits for room, and does not ask again and again
            for sock in sockets:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            for sock in sockets:
                self.assertIn(b"200 OK", sock.recv(1000))


if __name__ == "__main__":
    unittest.main()
