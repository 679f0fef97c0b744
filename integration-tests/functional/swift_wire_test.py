"""Bytes on the wire: what Swift answers directly and what it answers through us must be the same, head
and body, for requests of every odd kind; and what must not reach Swift does not."""

import pathlib
import re
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from framework import swift_front  # noqa: E402
from framework.service import ACCOUNT, ServiceTest  # noqa: E402

# What differs between any two answers of Swift.
VARYING = re.compile(rb"^(Date|X-Trans-Id|X-Openstack-Request-Id|Last-Modified|X-Timestamp|"
                     rb"X-Put-Timestamp|Content-Type: multipart/byteranges;boundary=).*\r\n", re.M)


def setUpModule():
    swift_front.start_cluster()


def tearDownModule():
    swift_front.stop_cluster()


def receive_all(peer):
    answer = b""
    while piece := peer.recv(65536):
        answer += piece
    return answer


class Wire(swift_front.BeforeSwift, ServiceTest):
    def setUp(self):
        super().setUp()
        self.token = self.service.token()
        self.put("c", b"")
        self.put("c/o", b"0123456789")

    def exchange(self, port, request):
        """Sends bytes, and returns all that comes until the connection ends."""
        with socket.create_connection(("127.0.0.1", port), timeout=60) as peer:
            peer.sendall(request)
            return receive_all(peer)

    def first_line(self, port, request):
        """Of the answer; Swift leaves some connections open for a minute after a refusal."""
        with socket.create_connection(("127.0.0.1", port), timeout=60) as peer:
            peer.sendall(request)
            return peer.recv(65536).split(b"\r\n")[0]

    def both(self, request):
        """The same bytes to Swift and to us; returns their answers without what always varies."""
        # Both are asked for the same host, which stands in some answers.
        request = request.replace(b"@TOKEN@", self.token.encode()).replace(b"@HOST@", b"swift.example")
        answers = []
        for port in (self.swift.port, self.service.port):
            answer = self.exchange(port, request)
            head, _, body = answer.partition(b"\r\n\r\n")
            head = VARYING.sub(b"", head + b"\r\n")
            boundary = re.search(rb"^--([0-9a-f]{32})", body, re.M)
            if boundary:
                body = body.replace(boundary[1], b"BOUNDARY")
            body = re.sub(rb"tx[0-9a-f]{21}-[0-9a-f]{10}", b"TX", body)
            fields = sorted(line for line in head.split(b"\r\n")[1:] if line)
            answers.append((head.split(b"\r\n")[0], fields, body))
        return answers

    def same(self, method, target, *fields, body=b"", status=None):
        lines = [b"%s %s HTTP/1.1" % (method, target), b"Host: @HOST@", b"X-Auth-Token: @TOKEN@",
                 *fields, b"Connection: close"]
        if body:
            lines.append(b"Content-Length: %d" % len(body))
        direct, through = self.both(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        self.assertEqual(through, direct, (method, target, fields))
        if status is not None:
            self.assertIn(b" %d" % status, direct[0])
        return direct

    def test_odd_paths(self):
        base = f"/v1/{ACCOUNT}/c/".encode()
        for name in (b"a//b", b"./../z", b"a#b", b"%2F", b"%2f%2F", b"a+b", "ü".encode(), b"%C3%BC",
                     b"%c3%bc", b"a;b=c", b"a%20b", b"a%3Fb", b"[x]", b"{}", b"|", b"\\", b"\"", b"<>",
                     b"%25", b"a%0Ab", b"*", b"~", b"a=b&c"):
            with self.subTest(name=name):
                self.same(b"PUT", base + name, body=b"body of " + name, status=201)
                got = self.same(b"GET", base + name, status=200)
                self.assertEqual(got[2], b"body of " + name)
                self.same(b"HEAD", base + name, status=200)
        for target in (b"/", b"//", b"/v1", b"/v1/", b"/v2/x", b"/%00", base + b"%00", base + b"%FF",
                       base + b"\xff", b"/v1//c/o", b"http://swift.example" + base + b"o", b"*", b"o",
                       base + b"o?x=%zz&&=", base + b"o?", base[:-1] + b"?format=json",
                       base[:-1] + b"?limit=x", base[:-1] + b"?limit=99999", base + b"x" * 1100):
            with self.subTest(target=target):
                self.same(b"GET", target)
                self.same(b"HEAD", target)

    def test_odd_methods(self):
        target = f"/v1/{ACCOUNT}/c/o".encode()
        for method in (b"LICK", b"GETorHEAD_base", b"get", b"OPTIONS", b"TRACE", b"PATCH", b"COPY",
                       b"COALESCE", b"x!#$%&'*+-.^_`|~"):
            with self.subTest(method=method):
                self.same(method, target)

    def test_odd_fields(self):
        target = f"/v1/{ACCOUNT}/c/o".encode()
        for fields in ((b"X-Object-Meta-Empty:",), ("X-Object-Meta-Grüße: ü".encode(),),
                       (b"X-Object-Meta-A: 1", b"X-Object-Meta-A: 2"), (b"X-Object-Meta-B:  x y \t",),
                       (b"x-object-meta-c:nospace",), (b"X-Object-Meta-D: \xff\xfe",),
                       (b"X-Object-Meta-E_F: g",), (b"X-Object-Meta-Long: " + b"v" * 256,),
                       (b"X-Object-Meta-Toolong: " + b"v" * 257,), (b"X-Trans-Id: mine",),
                       (b"X-Backend-Storage-Policy-Index: 1",), (b"X-Timestamp: 1",),
                       (b"X-Object-Sysmeta-A: b",), (b"Accept-Encoding: gzip",)):
            with self.subTest(fields=fields):
                self.same(b"PUT", target, *fields, body=b"0123456789")
                self.same(b"HEAD", target)
        for count in (80, 140):
            self.same(b"GET", target, *(b"X-Field-%d: %d" % (i, i) for i in range(count)), status=200)
        self.same(b"GET", target, *(b"X-Field-%d: %s" % (i, b"v" * 1000) for i in range(55)), status=200)
        self.same(b"GET", target, b"X-Long: " + b"v" * 8100, status=200)

    def test_ranges_and_conditions(self):
        target = f"/v1/{ACCOUNT}/c/o".encode()
        for value in (b"bytes=0-1", b"bytes=-3", b"bytes=8-", b"bytes=0-1,4-5", b"bytes=0-1,4-5,-1",
                      b"bytes=50-60", b"bytes=x", b"bytes=5-2", b"items=0-1", b"bytes=0-0,50-60"):
            for method in (b"GET", b"HEAD"):
                with self.subTest(value=value, method=method):
                    self.same(method, target, b"Range: " + value)
        for field in (b"If-None-Match: *", b"If-Match: \"x\"", b"If-Match: 781e5e245d69b566979b86e28d23f2c7",
                      b"If-None-Match: 781e5e245d69b566979b86e28d23f2c7",
                      b"If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT", b"If-Unmodified-Since: nonsense"):
            with self.subTest(field=field):
                self.same(b"GET", target, field)
                self.same(b"PUT", target, field, body=b"0123456789")

    def test_limits_of_the_head_are_those_of_swift(self):
        """What Swift refuses is refused here, if not with the same words."""
        target = f"/v1/{ACCOUNT}/c/o".encode()
        for request, status in (
                (b"GET /%s HTTP/1.1\r\nHost: h\r\n\r\n" % (b"x" * 8300), 414),
                (b"GET /%s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" % (b"x" * 8000), 412),
                (b"GET %s HTTP/1.1\r\nA: %s\r\n\r\n" % (target, b"v" * 8300), 400)):
            for port in (self.swift.port, self.service.port):
                self.assertRegex(self.first_line(port, request), b"^HTTP/1.[01] %d" % status)
        huge = b"".join(b"X-%d: %s\r\n" % (i, b"v" * 1000) for i in range(80))
        for port in (self.swift.port, self.service.port):
            self.assertRegex(self.first_line(port, b"GET / HTTP/1.1\r\n" + huge + b"\r\n"),
                             b"^HTTP/1.[01] 4(00|31) ")

    def test_versions_and_connections(self):
        target = f"/v1/{ACCOUNT}/c/o".encode()
        for request in (b"GET %s HTTP/1.0\r\nX-Auth-Token: @TOKEN@\r\n\r\n",
                        b"GET %s HTTP/1.1\r\nX-Auth-Token: @TOKEN@\r\nConnection: close\r\n\r\n",
                        b"GET %s HTTP/1.0\r\nX-Auth-Token: @TOKEN@\r\nExpect: 100-continue\r\n\r\n"):
            direct, through = self.both(request % target)
            self.assertEqual(through[2], direct[2])
            self.assertEqual(through[0], b"HTTP/1.1 200 OK")

    def test_pipelined_requests_are_answered_in_order(self):
        target = f"/v1/{ACCOUNT}/c/".encode()
        head = b"Host: @HOST@\r\nX-Auth-Token: @TOKEN@\r\n"
        requests = b"".join(b"PUT %sp%d HTTP/1.1\r\n%sContent-Length: 2\r\n\r\np%d" % (target, i, head, i)
                            for i in range(3))
        requests += b"".join(b"GET %sp%d HTTP/1.1\r\n%s\r\n" % (target, i, head) for i in range(3))
        requests += b"HEAD %so HTTP/1.1\r\n%s\r\nGET %so HTTP/1.1\r\n%sConnection: close\r\n\r\n" % (
            target, head, target, head)
        direct, through = self.both(requests)
        statuses = re.compile(rb"HTTP/1.1 (\d+)")
        for (line, _, rest) in (direct, through):
            self.assertEqual([line[9:12], *statuses.findall(rest)],
                             [b"201"] * 3 + [b"200"] * 5)
            self.assertTrue(rest.endswith(b"0123456789"))

    def upload(self, port, fields, body, token=None):
        """Sends a head, waits for 100 or the answer, then the body; returns the statuses."""
        target = f"/v1/{ACCOUNT}/c/up".encode()
        with socket.create_connection(("127.0.0.1", port), timeout=60) as peer:
            peer.sendall(b"PUT %s HTTP/1.1\r\nHost: h\r\nX-Auth-Token: %s\r\n%s\r\n\r\n" % (
                target, (token or self.token).encode(), b"\r\n".join(fields)))
            answer = peer.recv(65536)
            if b" 100 " in answer.split(b"\r\n")[0]:
                peer.sendall(body + b"GET /healthcheck HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            return re.findall(rb"^HTTP/1.1 (\d+)", answer + receive_all(peer), re.M)

    def test_continue_is_end_to_end(self):
        chunked = b"3\r\nabc\r\n0\r\n\r\n"
        for port in (self.swift.port, self.service.port):
            for fields, body in (((b"Content-Length: 3",), b"abc"), ((b"Transfer-Encoding: chunked",), chunked)):
                self.assertEqual(self.upload(port, (b"Expect: 100-continue", *fields), body),
                                 [b"100", b"201", b"200"])
                # Refused before the body is asked for.
                self.assertEqual(self.upload(port, (b"Expect: 100-continue", *fields), body, "none"),
                                 [b"401"])

    def test_a_refused_upload_costs_no_connection(self):
        """Without Expect Swift answers at once, reads the body away, and goes on."""
        body = bytes(20_000_000)
        for port in (self.swift.port, self.service.port):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as peer:
                peer.sendall(b"PUT /v1/AUTH_test/c/o HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" %
                             len(body))
                self.assertTrue(peer.recv(65536).startswith(b"HTTP/1.1 401"))
                peer.sendall(body)
                peer.sendall(b"GET /healthcheck HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
                self.assertIn(b"HTTP/1.1 200 OK", receive_all(peer))

    def test_trailers_do_not_reach_swift(self):
        """Swift would read them as the next request of the pooled connection."""
        request = (b"PUT /v1/%s/c/t HTTP/1.1\r\nHost: h\r\nX-Auth-Token: %s\r\nTransfer-Encoding: chunked"
                   b"\r\nTrailer: X-T\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\n" %
                   (ACCOUNT.encode(), self.token.encode()))
        following = b"GET /healthcheck HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        for _ in range(3):
            answer = self.exchange(self.service.port, request + following)
            self.assertEqual(re.findall(rb"^HTTP/1.1 (\d+)", answer, re.M), [b"201", b"200"])
            self.assertEqual(self.get("c/t").body, b"abc")

    def test_a_client_that_leaves_stores_nothing(self):
        for framing in (b"Content-Length: 1000", b"Transfer-Encoding: chunked"):
            with self.service.connect() as peer:
                peer.sendall(b"PUT /v1/%s/c/gone HTTP/1.1\r\nX-Auth-Token: %s\r\n%s\r\n\r\n5\r\nabcde\r\n" %
                             (ACCOUNT.encode(), self.token.encode(), framing))
            self.wait_until(lambda: " 499 " in self.swift.log("proxy"), describe=lambda: "")
            self.assertEqual(self.get("c/gone").status, 404)

    def test_swift_gone_is_502_with_a_transaction_and_comes_back(self):
        self.swift.stop_server("proxy")
        try:
            response = self.service.request("GET", "/healthcheck", authenticated=False)
            self.assertEqual(response.status, 502)
            self.assertRegex(response.headers["X-Trans-Id"], "^tx[0-9a-f]{21}-[0-9a-f]{10}$")
        finally:
            self.swift.start_server("proxy")
            self.swift.wait_for("proxy")
        self.wait_until(lambda: self.service.request("GET", "/healthcheck",
                                                     authenticated=False).status == 200)

    def test_swift_names_the_client(self):
        with self.service.connect() as peer:
            peer.sendall(b"GET /info HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.5\r\n"
                         b"Connection: close\r\n\r\n")
            receive_all(peer)
            peer.close()
        self.service.request("HEAD", f"/v1/{ACCOUNT}/c/o",
                             headers={"X-Auth-Token": self.token, "X-Forwarded-For": "192.0.2.6"})
        self.wait_until(lambda: " 192.0.2.6 " in self.swift.log("proxy"), describe=lambda: "")


if __name__ == "__main__":
    unittest.main(verbosity=2)
