"""A real server process for a test: started with a source, asked over real sockets, stopped at the end."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, "-B", "-I", "-S", "-X", "utf8", str(ROOT / "__main__.py")]
DEADLINE = 45.0
"""What takes longer will not come: less than the minute for which some sources sleep."""


class Answer:
    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.fields = headers
        self.body = body

    @property
    def text(self) -> str:
        return self.body.decode()


class Process:
    """`with Process(source) as function:`. What it prints goes to files, so that it can never block on us."""

    def __init__(self, source: str | bytes, **env: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        self.port = free_port()
        self._sockets: list[socket.socket] = []
        text = source.encode() if isinstance(source, str) else source
        environ = {
            b"PATH": os.environb.get(b"PATH", b""),
            b"PORT": str(self.port).encode(),
            b"ROUSE_SOURCE": text,
            b"ROUSE_TERMINATION_LOG": str(self.folder / "termination-log").encode(),
        }
        environ.update({name.encode(): value.encode() for name, value in env.items()})
        with open(self.folder / "stdout", "wb") as out, open(self.folder / "stderr", "wb") as err:
            self.process = subprocess.Popen(COMMAND, env=environ, cwd=self.folder, stdout=out, stderr=err)

    def __enter__(self) -> Process:
        until(self._listening)
        return self

    def __exit__(self, *_error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for sock in self._sockets:
            sock.close()
        self._folder.cleanup()

    def _listening(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"exited with {self.process.returncode}: {self.stderr}")
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    @property
    def stdout(self) -> str:
        return (self.folder / "stdout").read_text()

    @property
    def stderr(self) -> str:
        return (self.folder / "stderr").read_text()

    @property
    def termination_log(self) -> bytes:
        path = self.folder / "termination-log"
        return path.read_bytes() if path.exists() else b""

    @property
    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    @property
    def peak_mib(self) -> int:
        """The most memory that it has had resident."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) // 1024

    @property
    def cpu_seconds(self) -> float:
        ticks = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    def exit_code(self) -> int:
        return self.process.wait(DEADLINE)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), DEADLINE)
        self._sockets.append(sock)
        return sock

    def ask(self, method: str, path: str = "/", body: Any = None, headers: dict[str, str] | None = None, **more: Any) -> Answer:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            client.request(method, path, body, headers or {}, **more)
            response = client.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            client.close()

    def get(self, path: str = "/", **headers: str) -> Answer:
        return self.ask("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def raw(self, data: bytes) -> bytes:
        """All that comes back until the server closes. `data` must make it close."""
        with self.connect() as sock:
            sock.sendall(data)
            return everything(sock)


def load(source: str | bytes, **env: str) -> Process:
    """A process that is expected to end by itself; call `exit_code`, then look."""
    return Process(source, **env)


def everything(sock: socket.socket) -> bytes:
    received = b""
    while part := sock.recv(65536):
        received += part
    return received


def unread(sock: socket.socket) -> int:
    """Bytes of ours that the kernel has for the server."""
    ours = f":{sock.getsockname()[1]:04X}"
    for line in Path("/proc/net/tcp6").read_text().splitlines() + Path("/proc/net/tcp").read_text().splitlines():
        words = line.split()
        if words[2].endswith(ours):
            return int(words[4].partition(":")[2], 16)
    return 0


def answers(data: bytes, *methods: str) -> list[Answer]:
    """The responses in the bytes of one connection, one for each method."""
    stream = FakeSocket(data)
    found = []
    for method in methods:
        response = http.client.HTTPResponse(stream, method=method)  # type: ignore[arg-type]
        response.begin()
        found.append(Answer(response.status, response.getheaders(), response.read()))
    return found


class FakeSocket:
    """Lets `http.client` parse bytes that were received already."""

    def __init__(self, data: bytes) -> None:
        import io

        self._file = io.BytesIO(data)
        self._file.close = lambda: None  # type: ignore[method-assign]

    def makefile(self, *_args: object) -> Any:
        return self._file


def until(true: Any) -> None:
    """Waits for a fact, which is what tests do instead of sleeping."""
    end = time.monotonic() + DEADLINE
    while not true():
        if time.monotonic() > end:
            raise AssertionError("not within the deadline")
        time.sleep(0.005)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
