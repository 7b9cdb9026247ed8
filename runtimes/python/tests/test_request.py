"""What a handler sees of a request, under the names of Flask."""

from __future__ import annotations

import json
import unittest

from .process import Process

SOURCE = """
def handler(request):
    return repr(eval(request.headers["X-Ask"], {"request": request}))
"""


class Requests(unittest.TestCase):
    function: Process

    @classmethod
    def setUpClass(cls) -> None:
        cls.function = cls.enterClassContext(Process(SOURCE))

    def check(self, ask: str, expected: object, method: str = "GET", path: str = "/", body: object = None, **headers: str) -> None:
        fields = {"X-Ask": ask, **{name.replace("_", "-"): value for name, value in headers.items()}}
        answer = self.function.ask(method, path, body, fields)
        self.assertEqual((answer.status, answer.text), (200, repr(expected)), self.function.stderr)

    def test_the_target(self) -> None:
        for ask, expected in [
            ("request.method", "GET"),
            ("request.path", "/a b/\u00e9"),
            ("request.full_path", "/a b/\u00e9?x=1&y=a+b&x=2"),
            ("request.url", "https://shop.example:8443/a%20b/%C3%A9?x=1&y=a+b&x=2"),
            ("request.base_url", "https://shop.example:8443/a%20b/%C3%A9"),
            ("request.host", "shop.example:8443"),
            ("request.host_url", "https://shop.example:8443/"),
            ("request.scheme", "https"),
            ("request.query_string", b"x=1&y=a+b&x=2"),
        ]:
            with self.subTest(ask=ask):
                self.check(ask, expected, path="/a%20b/%C3%A9?x=1&y=a+b&x=2", Host="shop.example:8443", X_Forwarded_Proto="https")
        self.check("request.url", "http://h/", Host="h")
        self.check("request.full_path", "/?")

    def test_the_query(self) -> None:
        path = "/?a=1&a=2&b=&c=%C3%A9+%26&n=x"
        for ask, expected in [
            ("request.args['a']", "1"),
            ("request.args.get('a', type=int)", 1),
            ("request.args.get('n', 7, type=int)", 7),
            ("request.args.get('none')", None),
            ("request.args.getlist('a')", ["1", "2"]),
            ("request.args.getlist('none')", []),
            ("request.args.to_dict()", {"a": "1", "b": "", "c": "\u00e9 &", "n": "x"}),
            ("request.args.to_dict(flat=False)['a']", ["1", "2"]),
            ("dict(request.args)", {"a": "1", "b": "", "c": "\u00e9 &", "n": "x"}),
            ("list(request.args)", ["a", "b", "c", "n"]),
            ("'b' in request.args, 'z' in request.args, len(request.args), bool(request.form)", (True, False, 4, False)),
        ]:
            with self.subTest(ask=ask):
                self.check(ask, expected, path=path)

    def test_query_and_form_together(self) -> None:
        kind = "application/x-www-form-urlencoded"
        ask = "request.values.to_dict(flat=False)"
        self.check(ask, {"a": ["1", "2"], "b": ["3"]}, "POST", "/?a=1", b"a=2&b=3", Content_Type=kind)
        self.check(ask, {"a": ["1"]}, "GET", "/?a=1", b"a=2&b=3", Content_Type=kind)

    def test_authorization(self) -> None:
        of = "(lambda a: a and (a.type, a.username, a.password, a.token))(request.authorization)"
        for value, expected in [
            ("Basic dMO8OnA6dw==", ("basic", "tü", "p:w", None)),
            ("BASIC  dTo=", ("basic", "u", "", None)),
            ("Basic ?", None),
            ("Basic dQ==", None),
            ("Basic", None),
            ("Bearer a.b-c=", ("bearer", None, None, "a.b-c=")),
            ("Digest  a=b, c", ("digest", None, None, "a=b, c")),
        ]:
            with self.subTest(value=value):
                self.check(of, expected, Authorization=value)
        self.check("request.authorization", None)

    def test_what_is_missing_is_the_callers_fault(self) -> None:
        for ask, named in [
            ("request.args['n']", "'n'"),
            ("request.form['n']", "'n'"),
            ("request.files['n']", "'n'"),
            ("request.headers['N']", "'N'"),
            ("request.cookies['n']", "'n'"),
            ("request.args['\\u00e9\\n<b>' + 'x' * 1000]", "'\\xe9\\n<b>" + "x" * 55 + "'"),
        ]:
            with self.subTest(ask=ask):
                answer = self.function.get(X_Ask=ask)
                self.assertEqual((answer.status, answer.text), (400, f"The request has no {named}.\n"), self.function.stderr)
                self.assertEqual(answer.headers["content-type"], "text/plain; charset=utf-8")
        self.assertEqual(self.function.get(X_Ask="{}['n']").status, 500)

    def test_what_is_missing_can_be_caught(self) -> None:
        source = (
            "def handler(request):\n    try:\n        return request.args['n']\n"
            "    except KeyError as error:\n        return [error.args, error.status]\n"
        )
        with Process(source) as function:
            self.assertEqual(function.get().text, '[["n"],400]\n')

    def test_headers(self) -> None:
        for ask, expected in [
            ("request.headers['x-one']", "1"),
            ("request.headers.get('X-ONE')", "1"),
            ("request.headers.get('none', 'd')", "d"),
            ("'X-oNe' in request.headers", True),
            ("dict(request.headers)['X-One']", "1"),
            ("[v for k, v in request.headers if k == 'X-One']", ["1"]),
            ("request.content_type", "text/plain; charset=latin-1"),
            ("request.mimetype", "text/plain"),
            ("request.mimetype_params", {"charset": "latin-1"}),
            ("request.cookies", {"a": "1", "b": "x=y", "c": "q"}),
            ("request.remote_addr", "10.1.2.3"),
            ("request.id", "id-1"),
            ("request.user_agent", "me"),
        ]:
            with self.subTest(ask=ask):
                self.check(
                    ask,
                    expected,
                    X_One="1",
                    Content_Type="text/plain; charset=latin-1",
                    Cookie='a=1; b=x=y; c="q"; junk',
                    X_Forwarded_For="6.6.6.6, 10.1.2.3",
                    X_Request_Id="id-1",
                    User_Agent="me",
                )
        self.check("request.remote_addr", "127.0.0.1")
        self.check("len(request.id)", 16)
        self.check("request.content_type, request.content_length, request.mimetype", (None, None, ""))

    def test_the_body(self) -> None:
        body = "größe".encode("latin-1")
        for ask, expected in [
            ("request.data", body),
            ("request.get_data()", body),
            ("request.get_data(as_text=True)", "größe"),
            ("request.stream.read(2) + request.stream.read()", body),
            ("request.content_length", len(body)),
            ("request.is_json", False),
            ("request.get_json(silent=True)", None),
        ]:
            with self.subTest(ask=ask):
                self.check(ask, expected, "POST", body=body, Content_Type="text/plain; charset=latin-1")
        self.check("request.get_data(as_text=True)", "\u00e9\N{ROCKET}", "POST", body="\u00e9\N{ROCKET}".encode())
        self.check("request.get_data(as_text=True)", "a", "POST", body=b"a", Content_Type="text/plain; charset=unknown")

    def test_json(self) -> None:
        body = json.dumps({"a": ["\u00e9", 1, None]}).encode()
        value = {"a": ["\u00e9", 1, None]}
        for kind in ("application/json", "application/json; charset=utf-8", "application/vnd.a+json"):
            self.check("request.json", value, "POST", body=body, Content_Type=kind)
            self.check("request.get_json() is request.get_json()", True, "POST", body=body, Content_Type=kind)
        self.check("request.get_json(force=True)", value, "POST", body=body)
        self.check("request.get_json(silent=True)", None, "POST", body=b"{", Content_Type="application/json")

    def test_json_that_is_none_is_the_callers_fault(self) -> None:
        for headers, status in [({}, 415), ({"Content-Type": "text/plain"}, 415), ({"Content-Type": "application/json"}, 400)]:
            with self.subTest(headers=headers):
                answer = self.function.ask("POST", "/", b"{", {"X-Ask": "request.get_json()", **headers})
                self.assertEqual(answer.status, status)
                self.assertEqual(answer.headers["content-type"], "text/plain; charset=utf-8")

    def test_json_that_is_nested_too_deeply_is_the_callers_fault(self) -> None:
        headers = {"X-Ask": "request.get_json()", "Content-Type": "application/json"}
        self.assertEqual(self.function.ask("POST", "/", b"[" * 100_000, headers).status, 400)

    def test_an_urlencoded_form(self) -> None:
        kind = "application/x-www-form-urlencoded"
        self.check("request.form.to_dict(flat=False)", {"a": ["1", "2"], "b": [""]}, "POST", body=b"a=1&a=2&b=", Content_Type=kind)
        self.check("request.form.to_dict()", {}, "POST", body=b"a=1", Content_Type="text/plain")
        answer = self.function.ask("POST", "/", b"a=1&" * 1001, {"X-Ask": "request.form", "Content-Type": kind})
        self.assertEqual(answer.status, 413)

    def test_a_form_that_costs_much_is_the_callers_fault(self) -> None:
        kind = "multipart/form-data; boundary=B"
        for head in (b'Content-Disposition: form-data; name="' + b"a" * 20_000 + b'"', b"a b: c"):
            with self.subTest(head=head[:30]), Process("def handler(request): return str(request.form)") as function:
                body = b"--B\r\n" + head + b"\r\n\r\nvalue\r\n--B--\r\n"
                self.assertEqual(function.ask("POST", "/", body, {"Content-Type": kind}).status, 400)

    def test_a_multipart_form(self) -> None:
        data = bytes(range(256)) + b"\r\n--\r\n--other\r\n"
        body = (
            b'preamble\r\n--B\r\nContent-Disposition: form-data; name="text"\r\n\r\ngr\xc3\xb6\xc3\x9fe\r\n'
            b'--B\r\nContent-Disposition: form-data; name="f"; filename="a;\\"b.bin"\r\nContent-Type: image/png\r\n\r\n'
            + data
            + b"\r\n--B\r\nContent-Disposition: form-data; name=text\r\n\r\n2\r\n--B--\r\nepilogue"
        )
        kind = 'multipart/form-data; boundary="B"'
        self.check("request.form.getlist('text')", ["größe", "2"], "POST", body=body, Content_Type=kind)
        self.check(
            "[(f.name, f.filename, f.mimetype, f.read()) for f in request.files.values()]",
            [("f", 'a;"b.bin', "image/png", data)],
            "POST",
            body=body,
            Content_Type=kind,
        )
        self.check(
            "[request.files['f'].save(p) for p in ['/dev/null']], request.files['f'].stream.read()",
            ([None], b""),
            "POST",
            body=body,
            Content_Type=kind,
        )
        source = (
            "import io\ndef handler(request):\n    file = io.BytesIO()\n    request.files['f'].save(file)\n"
            "    request.files['f'].stream.seek(250)\n    request.files['f'].save('saved')\n    return file.getvalue()\n"
        )
        with Process(source) as function:
            self.assertEqual(function.ask("POST", "/", body, {"Content-Type": kind}).body, data)
            self.assertEqual((function.folder / "saved").read_bytes(), data[250:])
        for bad in (body[:-20], b"", b"--B\r\n\r\n"):
            answer = self.function.ask("POST", "/", bad, {"X-Ask": "request.form", "Content-Type": kind})
            self.assertEqual(answer.status, 400)


if __name__ == "__main__":
    unittest.main()
