"""Logs: whole lines, each with its request's id, never mixed."""

from __future__ import annotations

import concurrent.futures
import unittest

from rouse.log import split

from .process import Process

SOURCE = """
import asyncio, contextvars, logging, os, sys, threading, time, warnings
print("loaded")
print("of the load", end="")
logging.basicConfig(level=logging.INFO)

def handler(request):
    for n in range(20):
        print("out", n, end="")
        time.sleep(0)
        print("", request.id, sep="/")
        print("err", n, request.id, file=sys.stderr)
    print("no newline", request.id, end="")
    sys.stderr.write("a\\nb\\n")
"""


class Lines(unittest.TestCase):
    def check_concurrent(self, source: str) -> None:
        ids = [f"request-{n}" for n in range(20)]
        with Process(source) as function, concurrent.futures.ThreadPoolExecutor(20) as threads:
            for answer in threads.map(lambda id: function.get(X_Request_Id=id), ids):
                self.assertEqual(answer.status, 204)
            out, err = function.stdout.splitlines(), function.stderr.splitlines()
            self.assertEqual(out[0], "loaded")
            for id in ids:
                mine = [line for line in out if line.startswith(f"[{id}] ")]
                self.assertEqual(mine, [*(f"[{id}] out {n}/{id}" for n in range(20)), f"[{id}] no newline {id}"])
                mine = [line for line in err if line.startswith(f"[{id}] ")]
                self.assertEqual(mine, [*(f"[{id}] err {n} {id}" for n in range(20)), f"[{id}] a", f"[{id}] b"])
            self.assertEqual((len(out), len(err)), (1 + 21 * 20, 22 * 20))
            function.terminate()
            self.assertEqual(function.exit_code(), 0)
            self.assertTrue(function.stdout.endswith("\nof the load\n"))

    def test_plain(self) -> None:
        self.check_concurrent(SOURCE)

    def test_async(self) -> None:
        self.check_concurrent(SOURCE.replace("def handler", "async def handler").replace("time.sleep(0)", "await asyncio.sleep(0)"))

    def one(self, body: str, id: str = "id") -> Process:
        function = self.enterContext(Process("import logging, os, sys, threading\ndef handler(request):\n    " + body))
        self.assertEqual(function.get(X_Request_Id=id).status, 204, function.stderr)
        return function

    def test_the_logging_module(self) -> None:
        self.assertEqual(self.one("logging.warning('two\\nlines')").stderr, "[id] WARNING:root:two\n[id] lines\n")

    def test_a_line_has_16_kib_at_most(self) -> None:
        text = "é" * 20_000
        function = self.one("print('é' * 20000); sys.stdout.write('x' * 16378 + '\\n' + 'y' * 40000 + '\\n')")
        lines = function.stdout.encode().splitlines(keepends=True)
        self.assertEqual([len(line) for line in lines], [16384, 16384, 7250, 16384, 16384, 16384, 7250])
        self.assertEqual(b"".join(line[5:-1] for line in lines[:3]).decode(), text)
        self.assertEqual(b"".join(line[5:-1] for line in lines[4:]), b"y" * 40_000)
        self.assertTrue(all(line.startswith(b"[id] ") for line in lines))

    def test_bytes_and_odd_text(self) -> None:
        function = self.one("sys.stdout.buffer.write(b'raw \\xff\\n'); print('\\ud800', '\\0'); sys.stdout.flush(); print(flush=True)")
        self.assertEqual((function.folder / "stdout").read_bytes(), b"[id] raw \xff\n[id] \\ud800 \0\n[id] \n")

    def test_streams_are_usable_as_such(self) -> None:
        self.one("assert (sys.stdout.fileno(), sys.stderr.fileno(), sys.stdout.encoding, sys.stdout.isatty()) == (1, 2, 'utf-8', False)")
        self.assertEqual(
            self.one("sys.stdout.writelines(['a\\n', 'b']); sys.stdout.reconfigure(encoding='ascii')").stdout, "[id] a\n[id] b\n"
        )

    def test_a_thread_of_ones_own_is_outside_of_the_request(self) -> None:
        self.assertEqual(self.one("t = threading.Thread(target=print, args=('out',)); t.start(); t.join()").stdout, "out\n")

    def test_threads_outside_of_requests_do_not_mix_either(self) -> None:
        source = (
            "import threading\nprint('first ', end='')\nt = threading.Thread(target=print, args=('other',)); t.start(); t.join()\n"
            "print('line')\ndef handler(request): pass\n"
        )
        with Process(source) as function:
            self.assertEqual(function.stdout, "other\nfirst line\n")

    def test_an_id_cannot_forge_a_line(self) -> None:
        self.assertEqual(self.one("print('x')", id="a\xe9\t" + "b" * 300).stdout, "[a\\xe9\\t" + "b" * 125 + "] x\n")

    def test_nobody_reads(self) -> None:
        """A closed stdout does not fail a request."""
        with Process("import os\nos.close(1)\ndef handler(request): print('x'); return 'ok'\n") as function:
            self.assertEqual(function.get().text, "ok")


class Split(unittest.TestCase):
    def test_no_character_is_cut(self) -> None:
        for text, room, pieces in [
            ("abcdef", 4, ["abcd", "ef"]),
            ("abc\u00e9", 4, ["abc", "\u00e9"]),
            ("ab\u20ac", 4, ["ab", "\u20ac"]),
            ("a\N{ROCKET}b", 4, ["a", "\N{ROCKET}", "b"]),
            ("abcd", 4, ["abcd"]),
        ]:
            with self.subTest(text=text):
                self.assertEqual([piece.decode() for piece in split(text.encode(), room)], pieces)
        self.assertEqual(split(b"\x80" * 10, 4), [b"\x80", b"\x80", b"\x80", b"\x80", b"\x80", b"\x80", b"\x80\x80\x80\x80"])


if __name__ == "__main__":
    unittest.main()
