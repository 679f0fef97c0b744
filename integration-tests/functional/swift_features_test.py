"""What Swift does beyond storing bytes, directly and through us: the same answers. With
ZEROCLOUD_SWIFT_FULL on four nodes with three replicas, which encrypt what they store; some of that has to
be seen on their disks."""

import hashlib
import hmac
import json
import os
import pathlib
import re
import signal
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from framework import swift_front  # noqa: E402
from framework.service import ACCOUNT, ServiceTest  # noqa: E402

ROOT = f"/v1/{ACCOUNT}"
# What differs between any two answers, or with the connection.
VARYING = {"date", "x-trans-id", "x-openstack-request-id", "last-modified", "x-timestamp", "connection"}


def setUpModule():
    swift_front.start_cluster()


def tearDownModule():
    swift_front.stop_cluster()


class Features(swift_front.BeforeSwift, ServiceTest):
    def setUp(self):
        super().setUp()
        self.token = {"X-Auth-Token": self.service.token()}
        self.body = os.urandom(2_500_000)
        self.ask("PUT", "/c")

    def ask(self, method, path, body=None, headers=None, authenticated=True, status=None, root=ROOT):
        response = self.service.request(method, root + path, body,
                                        {**(self.token if authenticated else {}), **(headers or {})},
                                        authenticated=False)
        if status is None:
            self.assertEqual(response.status // 100, 2, (method, path, response.body[:300]))
        else:
            self.assertEqual(response.status, status, (method, path, response.body[:300]))
        return response

    def same(self, path, headers=None, authenticated=True, root=ROOT, methods=("GET", "HEAD")):
        """Asks both; returns our answer to the first method."""
        first = None
        for method in methods:
            answers = []
            for endpoint in (self.swift, self.service):
                response = endpoint.request(method, root + path, None,
                                            {**(self.token if authenticated else {}), "Host": "swift.example",
                                             **(headers or {})}, authenticated=False)
                boundary = re.search(rb"^--([0-9a-f]{32})", response.body, re.M)
                body = response.body.replace(boundary[1], b"BOUNDARY") if boundary else response.body
                fields = sorted((name.lower(), re.sub("boundary=.*", "", value))
                                for name, value in response.headers.items() if name.lower() not in VARYING)
                answers.append((response.status, fields, re.sub(rb"tx[0-9a-f]{21}-[0-9a-f]{10}", b"TX", body)))
                first = first or response
            self.assertEqual(answers[0], answers[1], (method, path))
        return first

    def segments(self):
        """The body in three objects; returns their names."""
        self.ask("PUT", "/s")
        pieces = [self.body[i:i + 1_000_000] for i in range(0, len(self.body), 1_000_000)]
        for number, piece in enumerate(pieces):
            self.ask("PUT", f"/s/part-{number}", piece)
        return [f"/s/part-{number}" for number in range(len(pieces))]

    def test_static_large_objects(self):
        manifest = json.dumps([{"path": path} for path in self.segments()]).encode()
        self.ask("PUT", "/c/slo?multipart-manifest=put", manifest)
        # Spaces come while Swift checks the segments, and the true status at the end of the body.
        beating = self.ask("PUT", "/c/slo2?multipart-manifest=put&heartbeat=on", manifest, status=202)
        self.assertIn(b"201 Created", beating.body)
        self.assertTrue(self.same("/c/slo").body == self.body)
        self.assertTrue(self.same("/c/slo", {"Range": "bytes=999990-1000009"}).body
                        == self.body[999990:1000010])
        self.same("/c/slo", {"Range": "bytes=0-1,999999-1000000,-2"})
        self.same("/c/slo?multipart-manifest=get")
        self.ask("DELETE", "/c/slo?multipart-manifest=delete")
        self.ask("GET", "/s/part-0", status=404)

    def test_dynamic_large_objects(self):
        self.segments()
        self.ask("PUT", "/c/dlo", b"", {"X-Object-Manifest": "s/part-"})
        self.assertTrue(self.same("/c/dlo").body == self.body)
        self.assertTrue(self.same("/c/dlo", {"Range": "bytes=-1500001"}).body == self.body[-1500001:])

    def test_symlinks_and_copies(self):
        self.ask("PUT", "/c/target", self.body)
        self.ask("PUT", "/c/link", b"", {"X-Symlink-Target": "c/target"})
        self.assertTrue(self.same("/c/link").body == self.body)
        self.same("/c/link?symlink=get")
        self.ask("COPY", "/c/target", headers={"Destination": "c/copied"})
        self.ask("PUT", "/c/again", b"", {"X-Copy-From": "/c/copied"})
        self.assertTrue(self.same("/c/again").body == self.body)
        self.ask("DELETE", "/c/target")
        self.same("/c/link", methods=("GET",))

    def test_versions(self):
        self.ask("PUT", "/v", headers={"X-Versions-Enabled": "true"})
        for text in (b"first", b"second"):
            self.ask("PUT", "/v/o", text)
        listing = json.loads(self.same("/v?versions&format=json", methods=("GET",)).body)
        self.assertEqual(len(listing), 2)
        old = next(each["version_id"] for each in listing if not each["is_latest"])
        self.assertEqual(self.same(f"/v/o?version-id={old}").body, b"first")
        self.ask("DELETE", "/v/o")
        self.same("/v/o")
        self.assertEqual(self.same(f"/v/o?version-id={old}").body, b"first")

    def test_temporary_urls_of_a_prefix(self):
        self.ask("POST", "", headers={"X-Account-Meta-Temp-Url-Key": "secret"})
        self.ask("PUT", "/c/some/thing", b"signed")
        expires = int(time.time()) + 600
        signature = hmac.new(b"secret", f"GET\n{expires}\nprefix:{ROOT}/c/some".encode(), hashlib.sha256)
        query = f"temp_url_sig={signature.hexdigest()}&temp_url_expires={expires}&temp_url_prefix=some"
        self.assertEqual(self.same(f"/c/some/thing?{query}", authenticated=False).body, b"signed")
        self.same(f"/c/other?{query}", authenticated=False)
        self.same(f"/c/some/thing?{query}", authenticated=False, methods=("PUT", "DELETE"))

    def test_static_web_sites(self):
        self.ask("PUT", "/web", headers={"X-Container-Read": ".r:*,.rlistings",
                                         "X-Container-Meta-Web-Index": "index.html",
                                         "X-Container-Meta-Web-Error": "error.html",
                                         "X-Container-Meta-Web-Listings": "true"})
        self.ask("PUT", "/web/index.html", b"<p>index")
        self.ask("PUT", "/web/404error.html", b"<p>not here")
        self.ask("PUT", "/web/sub/x", b"x")
        self.assertEqual(self.same("/web/", authenticated=False).body, b"<p>index")
        self.assertEqual(self.same("/web/nothing", authenticated=False).body, b"<p>not here")
        self.assertIn(b"<title>Listing of", self.same("/web/sub/", authenticated=False).body)
        self.same("/web", authenticated=False)

    def test_endpoints_and_bulk_requests(self):
        self.ask("PUT", "/c/o", b"x")
        places = json.loads(self.same(f"/endpoints/{ACCOUNT}/c/o", authenticated=False, root="",
                                      methods=("GET",)).body)
        self.assertEqual(len(places), 1 if self.swift.nodes == 1 else 3)
        self.same(f"/endpoints/v2/{ACCOUNT}/c/o", authenticated=False, root="", methods=("GET",))
        deleted = self.ask("POST", "?bulk-delete", b"c/o\nc/none\n",
                           {"Content-Type": "text/plain", "Accept": "application/json"})
        answer = json.loads(deleted.body)
        self.assertEqual((answer["Number Deleted"], answer["Number Not Found"]), (1, 1))

    def test_erasure_coded_objects(self):
        self.ask("PUT", "/ec", headers={"X-Storage-Policy": "ec"})
        self.ask("PUT", "/ec/o", self.body)
        self.assertTrue(self.same("/ec/o").body == self.body)
        got = self.same("/ec/o", {"Range": "bytes=1048570-1048585"})
        self.assertEqual(got.body, self.body[1048570:1048586])
        self.same("/ec/o", {"Range": "bytes=0-0,2000000-2000001"})
        self.assertTrue(list(self.swift.devices().glob("*/objects-1/*/*/*/*.data")))

    def test_what_is_encrypted_at_rest_comes_back(self):
        marked = b"a sentence that would be found " * 999
        self.ask("PUT", "/c/o", marked)
        self.assertEqual(self.same("/c/o").body, marked)
        files = [file for node in range(1, self.swift.nodes + 1)
                 for file in self.swift.devices(node).glob("*/objects/*/*/*/*.data")
                 if file.stat().st_size == len(marked)]  # those of other tests may still be there
        self.assertEqual(len(files), 1 if self.swift.nodes == 1 else 3)
        for file in files:
            self.assertEqual(marked[:31] in file.read_bytes(), not self.swift.encryption)

    def test_a_storage_server_dies(self):
        """On one node Swift answers 503, on four from another replica, and so do we."""
        self.ask("PUT", "/c/o", self.body)
        self.swift.stop_server("object-1", signal.SIGKILL)
        try:
            answer = self.same("/c/o", methods=("GET",))
            self.assertEqual(answer.status, 503 if self.swift.nodes == 1 else 200)
        finally:
            self.swift.start_server("object-1")
            self.swift.wait_for("object-1")
        self.wait_until(lambda: self.service.request("GET", f"{ROOT}/c/o", headers=self.token).body
                        == self.body)


if __name__ == "__main__":
    unittest.main(verbosity=2)
