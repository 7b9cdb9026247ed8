"""What the Functions Framework's conformance client checks, see ../conformance: the input that a function writes down is the one sent,
and 1,000 requests are answered at once.
"""

from __future__ import annotations

import http.client
import json
import threading
import unittest
from typing import Any

from .process import ROOT, Process

SOURCE = (ROOT / "conformance" / "functions.py").read_text()

CONTEXT = {"specversion": "1.0", "id": "aaaaaa-1111", "time": "2020-09-29T11:32:00.000Z", "datacontenttype": "application/json"}

EVENTS: list[dict[str, Any]] = [
    {
        **CONTEXT,
        "type": "google.cloud.pubsub.topic.v1.messagePublished",
        "source": "//pubsub.googleapis.com/projects/p/topics/t",
        "data": {"subscription": "projects/p/subscriptions/s", "message": {"attributes": {"a": "b"}, "data": "dGVzdA=="}},
    },
    {
        **CONTEXT,
        "type": "google.cloud.storage.object.v1.finalized",
        "source": "//storage.googleapis.com/projects/_/buckets/b/objects/folder/Test.cs",
        "data": {"size": "352", "mediaLink": "https://example.com/o/folder%2FTest.cs?alt=media&x=1"},
    },
    {
        **CONTEXT,
        "type": "google.cloud.firestore.document.v1.written",
        "source": "//firestore.googleapis.com/projects/p/databases/(default)",
        "subject": "documents/gcf-test/1",
        "data": {"oldValue": {}, "value": {"double": 5.5, "none": None, "yes": True, "list": [{"x": "1"}]}},
    },
    {
        **CONTEXT,
        "type": "google.firebase.auth.user.v1.created",
        "source": "//firebaseauth.googleapis.com/projects/p",
        "subject": "users/U",
        "data": {"email": "test@example.com", "uid": "U"},
    },
]


def structured(event: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    return {"Content-Type": "application/cloudevents+json"}, json.dumps(event).encode()


def binary(event: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    headers = {f"Ce-{name}": value for name, value in event.items() if name not in ("data", "datacontenttype")}
    return {**headers, "Content-Type": event["datacontenttype"]}, json.dumps(event["data"]).encode()


CONCURRENT = 1000

# The client takes the time of many that wait for a second. Here none goes on before all are there, so that a busy machine
# changes nothing.
TOGETHER = f"""
import asyncio
import functions_framework

there = 0
all_there = asyncio.Event()

async def meet():
    global there
    there += 1
    if there == {CONCURRENT}:
        all_there.set()
    await all_there.wait()

@functions_framework.http
async def meet_http(request):
    await meet()
    return "all"

@functions_framework.cloud_event
async def meet_cloud_event(event):
    await meet()
"""


class Conformance(unittest.TestCase):
    def test_http(self) -> None:
        with Process(SOURCE, FUNCTION_TARGET="write_http") as function:
            answer = function.ask("POST", "/", b'{"res":"PASS"}', {"Content-Type": "application/json"})
            self.assertEqual(answer.status, 200)
            self.assertEqual(json.loads((function.folder / "function_output.json").read_text()), {"res": "PASS"})

    def test_cloudevent(self) -> None:
        with Process(SOURCE, FUNCTION_TARGET="write_cloud_event") as function:
            for event in EVENTS:
                for mode in (binary, structured):
                    with self.subTest(type=event["type"], mode=mode.__name__):
                        headers, body = mode(event)
                        self.assertIn(function.ask("POST", "/", body, headers).status, range(200, 300))
                        self.assertEqual(json.loads((function.folder / "function_output.json").read_text()), event)

    def check_concurrency(self, target: str, headers: dict[str, str], body: bytes) -> None:
        with Process(TOGETHER, FUNCTION_TARGET=target) as function:
            wrong: list[object] = []

            def ask() -> None:
                try:
                    client = http.client.HTTPConnection("127.0.0.1", function.port, timeout=120)
                    client.request("POST", "/", body, headers)
                    response = client.getresponse()
                    response.read()
                    client.close()
                    if response.status // 100 != 2:
                        wrong.append(response.status)
                except Exception as error:
                    wrong.append(error)

            threads = [threading.Thread(target=ask) for _ in range(CONCURRENT)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(wrong, [])

    def test_concurrent_http(self) -> None:
        self.check_concurrency("meet_http", {"Content-Type": "application/json"}, b'{"data": "hello"}')

    def test_concurrent_cloudevent(self) -> None:
        self.check_concurrency("meet_cloud_event", *structured(EVENTS[-1]))


if __name__ == "__main__":
    unittest.main()
