"""Many requests at once: none lost, and no more threads than there may be."""

from __future__ import annotations

import concurrent.futures
import http.client
import threading
import time
import unittest

from rouse.settings import threads

from .process import DEADLINE, Process

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
    # Sixteen go on together, however long it takes until they are there.
    SOURCE = """
import threading, time
lock = threading.Lock()
sixteen = threading.Barrier(16)
now = most = 0
order = []

def handler(request):
    global now, most
    if request.path == "/most":
        return {"most": most, "order": order}
    with lock:
        now += 1
        most = max(most, now)
        order.append(request.path)
    sixteen.wait(30)
    time.sleep(0.2)
    with lock:
        now -= 1
    return "ok"
"""

    def test_the_pool_is_bounded_and_the_others_wait(self) -> None:
        with Process(self.SOURCE, ROUSE_CPU_MILLI="1") as function:
            self.assertLessEqual(function.threads, 2)
            begin = time.monotonic()
            with concurrent.futures.ThreadPoolExecutor(48) as pool:
                found = list(pool.map(lambda n: function.get(f"/{n}").status, range(48)))
            took = time.monotonic() - begin
            self.assertEqual(found, [200] * 48)
            self.assertEqual(function.ask("GET", "/most").text.split(",")[0], '{"most":16')
            self.assertGreater(took, 0.55)  # three rounds of 16
            self.assertEqual(function.threads, 17)

    def test_those_that_wait_are_served_in_their_order(self) -> None:
        with Process(self.SOURCE, ROUSE_CPU_MILLI="1") as function:
            sockets = []
            for n in range(48):
                sock = function.connect()
                sock.sendall(f"GET /{n:02} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                sockets.append(sock)
                time.sleep(0.003)
            for sock in sockets:
                self.assertIn(b"200 OK", sock.recv(1000))
            import json

            order = json.loads(function.get("/most").text)["order"]
            rounds = [sorted(order[at : at + 16]) for at in range(0, 48, 16)]
            self.assertEqual(rounds, [[f"/{n:02}" for n in range(at, at + 16)] for at in range(0, 48, 16)])

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


class Formula(unittest.TestCase):
    def test_threads(self) -> None:
        for milli, expected in [(1, 16), (72, 19), (250, 28), (500, 40), (1000, 64), (2000, 112), (64000, 128)]:
            self.assertEqual(threads(milli), expected)


if __name__ == "__main__":
    unittest.main()
