"""CloudEvents and the decorators of Google's framework."""

from __future__ import annotations

import base64
import json
import unittest
from typing import Any

from .process import Process

SOURCE = """
import json

def handler(event):
    assert event["type"] == event.get("type") and "type" in event and event.get("none") is None
    assert sorted(event) == sorted(event.get_attributes()) and len(event) == len(list(event)) and event.get_data() is event.data
    print(json.dumps([event.to_dict(), repr(event.data)]))
"""

ATTRIBUTES = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}


def binary(**more: str) -> dict[str, str]:
    return {f"ce-{name}": value for name, value in {**ATTRIBUTES, **more}.items()}


class Events(unittest.TestCase):
    function: Process

    @classmethod
    def setUpClass(cls) -> None:
        cls.function = cls.enterClassContext(Process(SOURCE, FUNCTION_SIGNATURE_TYPE="cloudevent"))

    def sent(self, headers: dict[str, str], body: bytes) -> list[Any]:
        answer = self.function.ask("POST", "/", body, headers)
        self.assertEqual((answer.status, answer.text), (200, "OK"), self.function.stderr)
        return json.loads(self.function.stdout.splitlines()[-1].partition("] ")[2])  # type: ignore[no-any-return]

    def test_binary(self) -> None:
        for kind, body, data in [
            ("application/json", b'{"a": 1}', {"a": 1}),
            ("application/cloudevents-data+json", b"[1]", [1]),
            ("text/plain", "é".encode(), "é"),
            ("image/png", b"\x89PNG", b"\x89PNG"),
            ("application/json", b"", None),
        ]:
            with self.subTest(kind=kind):
                event, shown = self.sent({**binary(subject="a%20%C3%A9", myext="x"), "Content-Type": kind}, body)
                self.assertEqual(shown, repr(data))
                self.assertEqual(
                    {k: v for k, v in event.items() if not k.startswith("data")}, {**ATTRIBUTES, "subject": "a é", "myext": "x"}
                )
                self.assertEqual(event["datacontenttype"], kind)

    def test_structured(self) -> None:
        kind = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
        parts: list[tuple[dict[str, Any], Any]] = [
            ({"data": {"a": "é"}}, {"a": "é"}),
            ({"data": "text", "datacontenttype": "text/plain"}, "text"),
            ({"data_base64": base64.b64encode(b"\0\1").decode()}, b"\0\1"),
            ({}, None),
        ]
        for part, data in parts:
            with self.subTest(part=part):
                event, shown = self.sent(kind, json.dumps({**ATTRIBUTES, "time": "2026-01-02T03:04:05Z", **part}).encode())
                self.assertEqual(shown, repr(data))
                self.assertEqual(event, {**ATTRIBUTES, "time": "2026-01-02T03:04:05Z", **part})

    def test_what_is_no_event(self) -> None:
        structured = {"Content-Type": "application/cloudevents+json"}
        for headers, body in [
            ({"Content-Type": "application/json"}, b"{}"),
            (structured, b"{"),
            (structured, b"[]"),
            (structured, b'{"specversion": "1.0", "id": "1", "source": "/s"}'),
            (structured, json.dumps({**ATTRIBUTES, "data_base64": "?"}).encode()),
            (structured, json.dumps({**ATTRIBUTES, "specversion": "9"}).encode()),
            ({name: value for name, value in binary().items() if name != "ce-id"}, b""),
            ({**binary(), "Content-Type": "application/json"}, b"{"),
            ({"Content-Type": "application/cloudevents-batch+json"}, b"[]"),
        ]:
            with self.subTest(headers=headers, body=body):
                answer = self.function.ask("POST", "/", body, headers)
                self.assertEqual((answer.status, answer.headers["content-type"]), (400, "text/plain; charset=utf-8"))

    def test_what_is_returned_is_ignored(self) -> None:
        """As Google's framework does, for which a function of events has none."""
        for value in ("None", "True", "42", "object()", "('no', 404)", "iter('ab')", "event"):
            body = f"(event):\n    print(event['id'])\n    return {value}\n"
            awaited = f"async def later{body}def handler(event): return later(event)\n"
            for source in (f"def handler{body}", f"async def handler{body}", awaited):
                with self.subTest(source=source), Process(source, FUNCTION_SIGNATURE_TYPE="cloudevent") as function:
                    answer = function.ask("POST", "/", b"", binary())
                    self.assertEqual((answer.status, answer.text), (200, "OK"), function.stderr)
                    self.assertTrue(function.stdout.endswith("] 1\n"))

    def test_one_that_fails_is_a_500(self) -> None:
        for prefix in ("", "async "):
            with Process(prefix + "def handler(event): 1 / 0", FUNCTION_SIGNATURE_TYPE="cloudevent") as function:
                self.assertEqual(function.ask("POST", "/", b"", binary()).status, 500)


TYPED = """
import functions_framework

class Pair:
    def __init__(self, a, b): self.a, self.b = a, b
    @staticmethod
    def from_dict(d): return Pair(d["a"], d["b"])
    def to_dict(self): return {"a": self.b, "b": self.a}

@functions_framework.typed(Pair)
def given(pair): return pair

@functions_framework.typed
def annotated(pair: Pair): return pair

@functions_framework.typed(Pair)
async def later(pair): return pair
"""


RESCUED = """
import functions_framework
from rouse import HTTPError

@functions_framework.errorhandler(ZeroDivisionError)
def divided(error): return str(error), 418

@functions_framework.errorhandler(LookupError)
def missing(error): return f"{error if type(error) is KeyError else error.args} is missing", 400

@functions_framework.errorhandler(409)
def conflict(error): return f"conflict: {error.text}", error.status

@functions_framework.errorhandler(ValueError)
async def late(error): return f"later {type(error).__name__}", 503

@functions_framework.errorhandler(500)
def other(error): return f"{error} because of {type(error.original_exception).__name__}", 500

class Bad(Exception): pass

@functions_framework.errorhandler(Bad)
def bad_again(error): raise error

def refuse(status): raise HTTPError(status, "No.")
def bad(): raise Bad
def later(): raise ValueError

def handler(request): return eval(request.headers["X-Return"], globals(), {"request": request})
"""


class Decorators(unittest.TestCase):
    def test_a_decorator_decides(self) -> None:
        source = "import functions_framework\n@functions_framework.http\ndef handler(request): return request.method\n"
        with Process(source, FUNCTION_SIGNATURE_TYPE="cloudevent") as function:
            self.assertEqual(function.get().text, "GET")
        source = "import functions_framework\n@functions_framework.cloud_event\ndef handler(event): print(event['id'])\n"
        with Process(source) as function:
            self.assertEqual(function.ask("POST", "/", b"", binary()).text, "OK")
            self.assertTrue(function.stdout.endswith("] 1\n"))

    def test_typed(self) -> None:
        for target in ("given", "annotated", "later"):
            with self.subTest(target=target), Process(TYPED, FUNCTION_TARGET=target) as function:
                answer = function.ask("POST", "/", b'{"a": 1, "b": 2}')
                self.assertEqual((answer.headers["content-type"], answer.text), ("application/json", '{"a":2,"b":1}\n'))
                self.assertEqual(function.ask("POST", "/", b'{"a": 1}').status, 400)
                self.assertEqual(function.ask("POST", "/", b"?").status, 400)

    def test_an_errorhandler_answers_for_exceptions(self) -> None:
        for prefix in ("", "async "):
            with self.subTest(prefix=prefix), Process(RESCUED.replace("def handler", prefix + "def handler")) as function:
                for what, status, text in [
                    ("1 / 0", 418, "division by zero"),
                    ("{}['k']", 400, "'k' is missing"),
                    ("request.args['k']", 400, "('k',) is missing"),
                    ("refuse(409)", 409, "conflict: No."),
                    ("refuse(410)", 410, "No.\n"),
                    ("later()", 503, "later ValueError"),
                    ("open('')", 500, "500: The function failed. because of FileNotFoundError"),
                    ("bad()", 500, "The function failed. Request ID: id\n"),
                    ("exit(3)", 500, "The function failed. Request ID: id\n"),
                    ("'fine'", 200, "fine"),
                ]:
                    with self.subTest(what=what):
                        answer = function.get(X_Return=what, X_Request_Id="id")
                        self.assertEqual((answer.status, answer.text), (status, text), function.stderr)
                self.assertNotIn("ZeroDivisionError", function.stderr)
                self.assertIn("[id] FileNotFoundError", function.stderr)

    def test_an_errorhandler_answers_for_events(self) -> None:
        source = RESCUED + "\n@functions_framework.cloud_event\ndef handler(event): 1 / 0\n"
        with Process(source) as function:
            self.assertEqual(function.ask("POST", "/", b"", binary()).status, 418)

    def test_an_errorhandler_of_nothing(self) -> None:
        process = Process("import functions_framework\n@functions_framework.errorhandler('404')\ndef f(e): pass\n")
        self.addCleanup(process.__exit__)
        self.assertEqual(process.exit_code(), 78)
        self.assertIn(b"TypeError: an error handler is for a status or a class of exceptions, not '404'", process.termination_log)

    def test_a_type_without_from_dict(self) -> None:
        source = "import functions_framework\n@functions_framework.typed(int)\ndef handler(x): pass\n"
        process = Process(source)
        self.addCleanup(process.__exit__)
        self.assertEqual(process.exit_code(), 78)
        self.assertIn(b"TypeError: the type int has no from_dict", process.termination_log)


if __name__ == "__main__":
    unittest.main()
