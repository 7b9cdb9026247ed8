"""SIGTERM: running requests are answered, nothing else is waited for."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
import unittest

from rouse.pool import THREADS

from .process import DEADLINE, Process, everything, unread, until

SOURCE = """
import atexit, threading, time
atexit.register(print, "at exit")
threading.Thread(target=time.sleep, args=(60,)).start()

def handler(request):
    print("running", flush=True)
    time.sleep(float(request.args.get("s", 0)))
    if request.path == "/stream":
        return later()
    return "done"

def later():
    yield "a"
    time.sleep(0.5)
    yield "b"
"""

ASYNC_SOURCE = (
    SOURCE.replace("def handler", "async def handler")
    .replace("time.sleep(float", "await asyncio.sleep(float")
    .replace("import atexit", "import asyncio, atexit")
)


class Stops(unittest.TestCase):
    source = SOURCE

    def test_a_running_request_is_answered(self) -> None:
        with Process(self.source) as function:
            idle = function.connect()
            used = http.client.HTTPConnection("127.0.0.1", function.port, timeout=DEADLINE)
            used.request("GET", "/")
            used.getresponse().read()
            busy = function.connect()
            # Long enough for the signal to come before the answer.
            busy.sendall(b"GET /?s=3 HTTP/1.1\r\nHost: x\r\n\r\n")
            stream = function.connect()
            stream.sendall(b"GET /stream?s=0.3 HTTP/1.1\r\nHost: x\r\n\r\n")
            half = function.connect()
            half.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na")
            until(lambda: function.stdout.count("running") == 3)
            function.terminate()
            self.assertEqual(everything(idle), b"")
            self.assertEqual(everything(used.sock), b"")
            used.close()
            self.assertIsNone(function.process.poll())
            with self.assertRaises(ConnectionRefusedError):
                function.connect()
            half.sendall(b"bc")
            for sock in (busy, half):
                data = everything(sock)
                self.assertTrue(data.startswith(b"HTTP/1.1 200 OK\r\n"), data)
                self.assertIn(b"\r\nConnection: close\r\n", data)
                self.assertTrue(data.endswith(b"done"))
            data = everything(stream)
            self.assertTrue(data.endswith(b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n"), data)
            self.assertEqual(function.exit_code(), 0)
            self.assertTrue(function.stdout.endswith("at exit\n"))
            self.assertEqual(function.termination_log, b"")

    def test_half_a_head_is_waited_for_and_not_for_ever(self) -> None:
        """Empty lines begin no head."""
        with Process(self.source) as function:
            empty, never, soon = function.connect(), function.connect(), function.connect()
            empty.sendall(b"\r\n\r\n")
            for sock in (never, soon):
                sock.sendall(b"GET / HTTP/1.1\r\nHo")
            until(lambda: unread(empty) == unread(never) == unread(soon) == 0)
            function.terminate()
            self.assertEqual(everything(empty), b"")
            soon.sendall(b"st: x\r\n\r\n")
            self.assertTrue(everything(soon).endswith(b"done"))
            self.assertEqual(function.exit_code(), 0)
            self.assertEqual(everything(never), b"")

    def test_half_a_head_does_not_cut_what_runs(self) -> None:
        with Process(self.source) as function:
            half, busy, body = function.connect(), function.connect(), function.connect()
            busy.sendall(b"GET /?s=6 HTTP/1.1\r\nHost: x\r\n\r\n")
            body.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na")
            half.sendall(b"GET / HTTP/1.1\r\nHo")
            until(lambda: unread(half) == unread(body) == 0 and "running" in function.stdout)
            function.terminate()
            self.assertEqual(everything(half), b"")
            body.sendall(b"bc")
            for sock in (busy, body):
                self.assertTrue(everything(sock).endswith(b"done"))
            self.assertEqual(function.exit_code(), 0)

    def test_without_a_request_it_ends_at_once(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number=number), Process(self.source) as function:
                # Without a wait for anything, such as the thread that sleeps for a minute: `exit_code` gives up before that.
                function.process.send_signal(number)
                self.assertEqual(function.exit_code(), 0)

    def test_the_second_signal_ends_it(self) -> None:
        with Process(self.source) as function:
            busy = function.connect()
            busy.sendall(b"GET /?s=20 HTTP/1.1\r\nHost: x\r\n\r\n")
            until(lambda: "running" in function.stdout)
            function.terminate()
            time.sleep(0.2)
            self.assertIsNone(function.process.poll())
            function.terminate()
            self.assertEqual(function.exit_code(), 143)

    def test_under_load_no_request_that_was_taken_is_lost(self) -> None:
        with Process(self.source) as function:
            lost: list[str] = []
            answered = [0]

            def ask() -> None:
                while True:
                    client = http.client.HTTPConnection("127.0.0.1", function.port, timeout=DEADLINE)
                    try:
                        client.connect()
                        while True:
                            client.request("GET", "/?s=0.01")
                            response = client.getresponse()
                            if response.read() != b"done":
                                lost.append("a wrong answer")
                            answered[0] += 1
                            if response.getheader("Connection") == "close":
                                break
                    except ConnectionRefusedError:
                        return
                    except (http.client.RemoteDisconnected, ConnectionError):
                        continue  # an idle connection was closed before the request came
                    except Exception as error:
                        lost.append(repr(error))
                        return
                    finally:
                        client.close()

            threads = [threading.Thread(target=ask) for _ in range(20)]
            for thread in threads:
                thread.start()
            until(lambda: answered[0] > 100)
            function.terminate()
            for thread in threads:
                thread.join()
            self.assertEqual(function.exit_code(), 0)
            self.assertEqual(lost, [])

    def test_requests_that_wait_for_a_thread_are_answered(self) -> None:
        """Also those of which not even the head was read when the signal came, and one whose body follows only then."""
        with Process(self.source) as function:
            full = [function.connect() for _ in range(THREADS)]
            for sock in full:
                sock.sendall(b"GET /?s=2 HTTP/1.1\r\nHost: x\r\n\r\n")
            until(lambda: function.stdout.count("running") == THREADS)
            waiting = [function.connect() for _ in range(8)]
            for sock in waiting:
                sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
            function.terminate()
            time.sleep(0.1)
            for sock in waiting:
                sock.sendall(b"abc")
            for sock in full + waiting:
                self.assertTrue(everything(sock).endswith(b"done"))
            self.assertEqual(function.exit_code(), 0)


class AsyncStops(Stops):
    source = ASYNC_SOURCE

    def test_the_second_signal_ends_a_handler_that_blocks_the_loop(self) -> None:
        with Process("import time\nasync def handler(request):\n    print('running')\n    while True: time.sleep(0.01)\n") as function:
            busy = function.connect()
            busy.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            until(lambda: "running" in function.stdout)
            function.terminate()
            time.sleep(0.1)
            function.terminate()
            self.assertEqual(function.exit_code(), 143)

    def test_a_handler_whose_caller_is_gone_is_cancelled(self) -> None:
        source = (
            "import asyncio\nasync def handler(request):\n    print('running')\n    try:\n        await asyncio.sleep(60)\n"
            "    except asyncio.CancelledError:\n        print('cancelled')\n        raise\n"
        )
        with Process(source) as function:
            with function.connect() as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: id\r\n\r\n")
                until(lambda: "running" in function.stdout)
            until(lambda: "[id] cancelled\n" in function.stdout)
            function.terminate()
            self.assertEqual(function.exit_code(), 0)
            self.assertEqual(function.stderr, "")


class Crashes(unittest.TestCase):
    def test_a_handler_of_sigterm_in_the_source_does_not_win(self) -> None:
        source = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ndef handler(request): pass\n"
        with Process(source) as function:
            function.terminate()
            self.assertEqual(function.exit_code(), 0)

    def test_sigterm_while_loading(self) -> None:
        process = Process("import time\nprint('loading', flush=True)\ntime.sleep(60)\n")
        self.addCleanup(process.__exit__)
        until(lambda: "loading" in process.stdout)
        os.kill(process.process.pid, signal.SIGTERM)
        self.assertEqual(process.exit_code(), 0)


if __name__ == "__main__":
    unittest.main()
