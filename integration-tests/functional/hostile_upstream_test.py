"""An upstream that lies, seen through the running service: as what it stands in front of, and as the store
of a job. Whatever it sends, clients get an error or a connection that is cut, never bytes that are not the
answer's; and the service goes on."""

import hashlib
import http.client
import json
import pathlib
import socket
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from framework.jobs import GUESTS, device, group, poured  # noqa: E402
from framework.service import Service, ServiceTest  # noqa: E402

BODY = poured(100_000)
LARGE = poured(6_000_000)  # an input of that size is fetched as it is read


def head(status, **fields):
    lines = [f"HTTP/1.1 {status}"] + [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def stored(body, **fields):
    """The fields of Swift's answer about an object."""
    return {"Content_Length": len(body), "Content_Type": "text/plain", "X_Timestamp": "1700000000.00000",
            "ETag": hashlib.md5(body).hexdigest(), **fields}


class LyingUpstream:
    """Answers each request by what `answer(method, path, fields)` returns: pieces of bytes, after which it
    closes the connection, or keeps it if the last one is None."""

    def __init__(self, answer):
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            with connection, connection.makefile("rb") as stream:
                while line := stream.readline():
                    method, path, _ = line.decode("latin-1").split(" ", 2)
                    fields = {}
                    while (field := stream.readline().strip()):
                        name, value = field.decode("latin-1").split(":", 1)
                        fields[name.lower()] = value.strip()
                    stream.read(int(fields.get("content-length", 0)))
                    is_kept = False
                    for piece in self.answer(method, path, fields):
                        is_kept = piece is None
                        if not is_kept:
                            connection.sendall(piece)
                    if not is_kept:
                        connection.shutdown(socket.SHUT_WR)
                        return
        except (OSError, ValueError):
            pass  # the service has had enough of it

    def close(self):
        self.listener.close()
        for connection in self.connections:
            connection.close()


def endless(piece, times=400_000):
    for _ in range(times // 100):
        yield piece * 100


OK = head("200 OK", Content_Length=2) + b"ok"
# What it sends, and the status that a client may see; None: the connection is cut in the body.
LIES = {
    "nonsense": ([b"SSH-2.0-OpenSSH\r\n\r\n"], 502),
    "two lengths": ([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"], 502),
    "a negative length": ([head("200 OK", Content_Length="-1")], 502),
    "a length beyond all": ([head("200 OK", Content_Length="99999999999999999999999")], 502),
    "length and chunks": ([head("200 OK", Content_Length=5, Transfer_Encoding="chunked") + b"0\r\n\r\n"], 502),
    "a folded field": ([b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n"], 502),
    "bare line feeds": ([b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"], 502),
    "an endless head": (lambda: endless(b"X-Field: 0123456789\r\n"), 502),
    "an endless field": (lambda: endless(b"x" * 20), 502),
    "answers of 1xx without end": (lambda: endless(b"HTTP/1.1 102 Processing\r\n\r\n"), 502),
    "nothing": ([b""], 502),
    "half a head": ([b"HTTP/1.1 200 OK\r\nContent-Le"], 502),
    "a body that ends early": ([head("200 OK", Content_Length=len(LARGE)) + LARGE[:-1]], None),
    "a short body that ends early": ([head("200 OK", Content_Length=10) + b"123456789"], None),
    "a chunk beyond all": ([head("200 OK", Transfer_Encoding="chunked") + b"ffffffffffffffffff\r\nabc"], None),
    "a chunk that is longer": ([head("200 OK", Transfer_Encoding="chunked") + b"3\r\nabcdef\r\n0\r\n\r\n"], None),
    "chunks without an end": ([head("200 OK", Transfer_Encoding="chunked") + b"3\r\nabc\r\n"], None),
    "trailers without end": (lambda: [head("200 OK", Transfer_Encoding="chunked") + b"0\r\n",
                                      *endless(b"T: 0123456789\r\n")], None),
}


class Lies(ServiceTest):
    """As a proxy."""

    def make_service(self):
        self.upstream = LyingUpstream(self.answer)
        self.addCleanup(self.upstream.close)
        return Service(self.directory, ["--upstream", f"http://127.0.0.1:{self.upstream.port}"])

    def answer(self, method, path, fields):
        if not path.startswith("/lie/"):
            return [OK, None]
        lie = LIES[path.removeprefix("/lie/").replace("_", " ")][0]
        return lie() if callable(lie) else lie

    def ask(self, path):
        """The status and the body, whose end is None if it was cut."""
        connection = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=60)
        try:
            connection.request("GET", path)
            try:
                response = connection.getresponse()
            except ConnectionError:
                return None, None
            try:
                return response.status, response.read()
            except (http.client.IncompleteRead, ConnectionError, ValueError):
                return response.status, None
        finally:
            connection.close()

    def test_are_refused_or_cut_and_the_service_goes_on(self):
        for name, (_, status) in LIES.items():
            with self.subTest(name):
                seen, body = self.ask("/lie/" + name.replace(" ", "_"))
                if status is None:
                    self.assertIn(seen, (200, None))
                    self.assertIsNone(body)
                else:
                    self.assertEqual(seen, status, body)
                self.assertEqual(self.ask("/fine"), (200, b"ok"))
        self.assertIsNone(self.service.process.poll())

    def test_bytes_past_an_answer_are_nobodys(self):
        """They must not answer the next request, of whomever."""
        forged = head("200 OK", Content_Length=6) + b"forged"
        self.upstream.answer = lambda method, path, fields: [OK + (forged if "first" in path else b""), None]
        for _ in range(50):
            self.assertEqual(self.ask("/first"), (200, b"ok"))
            self.assertEqual(self.ask("/second"), (200, b"ok"))

    def test_an_answer_before_its_question_is_nobodys(self):
        """Sent over an idle connection that is kept for the next request."""
        is_sent = threading.Event()

        def answer(method, path, fields):
            yield OK
            if "first" in path:
                yield head("200 OK", Content_Length=6) + b"forged"
                is_sent.set()
            yield None
        self.upstream.answer = answer
        for _ in range(50):
            is_sent.clear()
            self.assertEqual(self.ask("/first"), (200, b"ok"))
            self.assertTrue(is_sent.wait(60))
            self.assertEqual(self.ask("/second"), (200, b"ok"))


class LiesAboutObjects(ServiceTest):
    """As the store of a job."""

    def make_service(self):
        self.lie = None
        self.upstream = LyingUpstream(self.answer)
        self.addCleanup(self.upstream.close)
        self.spool = self.directory / "spool"
        self.spool.mkdir()
        self.programs = {name: (GUESTS / f"jobs-{name}").read_bytes() for name in ("copy", "sample")}
        return Service(self.directory, ["--upstream", f"http://127.0.0.1:{self.upstream.port}"],
                       [f"engine.spool_directory={self.spool}"])

    def honest(self, method, path, fields):
        if path.count("/") == 2:
            return [head("204 No Content", Content_Length=0), None]
        if "?" in path:
            listing = json.dumps([{"name": "o", "bytes": len(BODY), "hash": hashlib.md5(BODY).hexdigest(),
                                   "content_type": "text/plain",
                                   "last_modified": "2023-11-14T22:13:20.000000"}]).encode()
            page = b"[]" if "marker=o" in path else listing
            return [head("200 OK", Content_Length=len(page)) + page, None]
        body = self.programs.get(path.rsplit("/", 1)[1], LARGE if "large" in path else BODY)
        if method == "HEAD":
            return [head("200 OK", **stored(body)), None]
        if wanted := fields.get("range"):
            first, last = map(int, wanted.removeprefix("bytes=").split("-"))
            part = {"Content_Length": last - first + 1, "Content_Range": f"bytes {first}-{last}/{len(body)}"}
            return [head("206 Partial Content", **stored(body, **part)) + body[first:last + 1], None]
        return [head("200 OK", **stored(body)) + body, None]

    def answer(self, method, path, fields):
        if self.lie is not None and "/in" in path:
            lied = self.lie(method, path, fields)
            if lied is not None:
                return lied
        return self.honest(method, path, fields)

    def job(self, path, sampled=False):
        if sampled:
            document = [group("g", "sample", f"{len(LARGE)} 20 5000 3", [device("input", path), "stdout"])]
        else:
            document = [group("g", "copy", "- -", [device("stdin", path), "stdout"])]
        return self.service.job(document, headers={"X-Auth-Token": "any"})

    def check(self, lies, path, sampled=False):
        honest = self.job(path, sampled)
        self.assertEqual(honest.status, 200, honest.body)
        if not sampled:
            self.assertEqual(honest.body, BODY)
        for name, lie in lies.items():
            with self.subTest(name):
                self.lie = lie
                answer = self.job(path, sampled)
                self.lie = None
                self.assertNotEqual(answer.status, 200, answer.body[:200])
                self.assertRegex(answer.body[:2000], rb"^(/0/devices/0|session g)")
                again = self.job(path, sampled)
                self.assertEqual((again.status, again.body), (200, honest.body))
        self.assertEqual(list(self.spool.iterdir()), [])
        self.assertIsNone(self.service.process.poll())

    def test_whole_objects(self):
        def get(*pieces):
            return lambda method, path, fields: list(pieces) if method == "GET" else None
        self.check({
            "another ETag": get(head("200 OK", **stored(BODY, ETag="0" * 32)) + BODY),
            "other bytes": get(head("200 OK", **stored(BODY)) + BODY[:-1] + b"?"),
            "fewer bytes": get(head("200 OK", **stored(BODY)) + BODY[:-1]),
            "a smaller length": get(head("200 OK", **stored(BODY, Content_Length=10)) + BODY),
            "no HTTP": get(b"SSH-2.0\r\n\r\n"),
            "nothing": get(b""),
            "an endless head": lambda *_: endless(b"X-Field: 0123456789\r\n"),
            "a chunk beyond all": get(head("200 OK", Transfer_Encoding="chunked") + b"ffffffffffffffffff\r\nabc"),
            "chunks without an end": get(head("200 OK", Transfer_Encoding="chunked") + b"3\r\nabc\r\n"),
            "1xx until it closes": lambda *_: endless(b"HTTP/1.1 102 Processing\r\n\r\n", 10_000),
        }, "in/o")

    def test_listings(self):
        def page(text, status="200 OK"):
            return lambda method, path, fields: (
                [head(status, Content_Length=len(text)) + text] if "?" in path else None)
        self.check({
            "no JSON": page(b"<html>"),
            "half of it": page(b'[{"name": "o", "byt'),
            "no list": page(b'{"name": "o"}'),
            "deep": page(b"[" * 100_000),
            "no text": page(b'[{"name": "\xff\xfe"}]'),
            "a page that comes again": page(b'[{"name": "o", "bytes": 1}]'),
            "a server that fails": page(b"", "503 Unavailable"),
        }, "in/o*")

    def test_ranges(self):
        def ranged(**changes):
            def lie(method, path, fields):
                if "range" not in fields:
                    return None
                first, last = map(int, fields["range"].removeprefix("bytes=").split("-"))
                told = {"status": "206 Partial Content", "Content_Length": last - first + 1,
                        "Content_Range": f"bytes {first}-{last}/{len(LARGE)}", **changes}
                return [head(told.pop("status"), **stored(LARGE, **told)) + LARGE[first:last + 1]]
            return lie
        self.check({
            "another range": ranged(Content_Range=f"bytes 0-4095/{len(LARGE)}"),
            "another size": ranged(Content_Range="bytes 0-4095/4096"),
            "no range": ranged(Content_Range=""),
            "another ETag": ranged(ETag="0" * 32),
            "not a part": ranged(status="200 OK"),
            "fewer bytes": ranged(Content_Length=10),
            "more bytes than come": ranged(Content_Length=10_000_000),
            "no HTTP": lambda method, path, fields: [b"?"] if "range" in fields else None,
            "a size beyond all": lambda method, path, fields: (
                [head("200 OK", **stored(b"", Content_Length=10**18))] if method == "HEAD" else None),
        }, "in/large", sampled=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)
