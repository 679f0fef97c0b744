"""Whatever kind an object is of, and wherever it lies, a job reads what a client downloads: each is compared with
a run of the same program on the downloaded object, with no Swift at all."""

import hashlib
import json
import os
import pathlib
import re
import signal
import sys
import tempfile
import time
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import swift_local_test  # noqa: E402
from framework import swift_front  # noqa: E402
from framework.jobs import GUESTS, device, group  # noqa: E402
from framework.service import ACCOUNT, Service  # noqa: E402
from framework.swift_cluster import stored_metadata  # noqa: E402
from swift_local_test import copies  # noqa: E402


def setUpModule():
    swift_front.start_cluster(nodes=1)


def tearDownModule():
    swift_front.stop_cluster()


class AsDownloaded(swift_local_test.LocalTest):
    """With comparisons."""

    def setUp(self):
        super().setUp()
        # The same programs on the downloaded object, with no Swift at all.
        self.plain = Service(pathlib.Path(tempfile.mkdtemp(dir=self.directory)))
        self.plain.start()
        self.addCleanup(self.plain.stop, signal.SIGKILL)
        for container in ("programs", "in"):
            self.plain.request("PUT", f"/v1/{ACCOUNT}/{container}")
        for program in ("copy", "sample"):
            self.plain.request("PUT", f"/v1/{ACCOUNT}/programs/{program}", (GUESTS / f"jobs-{program}").read_bytes())

    def put_segmented(self, path, **parts):
        """A static large object, and its parts: bytes by path."""
        for part, body in parts.items():
            self.put(part, body)
        self.put(f"{path}?multipart-manifest=put",
                 json.dumps([{"path": f"/{part}"} for part in parts]).encode())

    def check(self, path, expected):
        """`expected` is "local" or a pattern of the reason why not. Downloads it once, and runs eight jobs."""
        downloaded = self.get(path)
        self.assertEqual(downloaded.status, 200)
        self.plain.request("PUT", f"/v1/{ACCOUNT}/in/o", downloaded.body)
        alone = self.plain.job(copies("in/o"))
        self.assertEqual(alone.status, 200, alone.body)
        pattern = path[:-1] + "*"
        for name in ("stdin", "input"):
            for each in (path, pattern):
                with self.subTest(path=each, device=name):
                    answer = self.run_job(copies(each, name))
                    self.assertEqual(answer.status, 200, answer.body[:1000])
                    self.assertTrue(answer.body == alone.body == downloaded.body)
                    place, = self.places(self.report(copies(each, name)))
                    self.assertRegex(place, expected)
                    self.assertEqual(place == "local", expected == "local")

    def sampled(self, service, path, length):
        """What a program says that reads an input of that length here and there."""
        answer = service.job([group("g", "sample", f"{length} 50 {length // 50} 7", [device("input", path), "stdout"])])
        self.assertEqual(answer.status, 200, answer.body[:1000])
        return answer.body

    def statuses(self, path):
        """Of the GETs for an object that nobody has asked for before, by the log of Swift's proxy."""
        return re.findall(rf" GET /v1/{ACCOUNT}/{path} HTTP/1\S+ (\d+) ", self.swift.log("proxy"))

    def check_by_ranges(self, path, expected, length):
        """The same of an object that is long enough for ranges, which Swift has seen."""
        found = self.sampled(self.service, path, length)
        self.wait_until(lambda: self.statuses(path), describe=lambda: path)
        self.assertEqual(set(self.statuses(path)), {"206"})
        self.check(path, expected)
        # Whole it was asked for by our download and by the four jobs that have it as stdin.
        self.wait_until(lambda: self.statuses(path).count("200") == 5, describe=lambda: self.statuses(path))
        # check() left the downloaded object here.
        self.assertEqual(found, self.sampled(self.plain, "in/o", length))


class Kinds(AsDownloaded):
    def test_plain_objects_of_all_sizes(self):
        for size in (0, 1, 4096, 1_000_000, 20_000_000):
            self.put("in/plain", os.urandom(size))
            self.check("in/plain", "local")

    def test_objects_with_all_that_a_client_may_say_of_them(self):
        self.put("in/said", b"said", {"X-Object-Meta-Colour": "grün", "Content-Encoding": "x-test",
                                      "Content-Disposition": "attachment", "X-Delete-After": "3600",
                                      "Content-Type": "text/x; charset=utf-8"})
        self.check("in/said", "local")

    def test_an_object_that_was_sent_in_chunks(self):
        self.put("in/chunked", iter([b"one", b"two"]), chunked=True)
        self.check("in/chunked", "local")

    def test_an_object_after_a_post(self):
        self.put("in/posted", b"posted")
        self.service.request("POST", f"/v1/{ACCOUNT}/in/posted", headers={"X-Object-Meta-A": "b"})
        self.check("in/posted", "local")

    def test_an_object_that_a_post_made_large(self):
        self.put("in/part", b"the segment")
        self.put("in/turned", b"small")
        self.service.request("POST", f"/v1/{ACCOUNT}/in/turned", headers={"X-Object-Manifest": "in/part"})
        self.check("in/turned", "segments|another version")

    def test_an_overwritten_object(self):
        for body in (b"first", b"second, longer", b"3"):
            self.put("in/again", body)
        self.check("in/again", "local")

    def test_a_copied_object(self):
        self.put("in/source", b"copied")
        self.put("in/copied", b"", {"X-Copy-From": "in/source"})
        self.check("in/copied", "local")

    def test_a_static_large_object(self):
        self.put_segmented("in/slo", **{"out/0-part": os.urandom(1_000_000), "out/1-part": os.urandom(1_000_001)})
        self.check("in/slo", "segments")
        self.check("out/1-part", "local")

    def test_a_dynamic_large_object(self):
        self.fill("out", **{"seg-1": b"one", "seg-2": b"two"})
        self.put("in/dlo", b"", {"X-Object-Manifest": "out/seg-"})
        self.check("in/dlo", "segments")

    def test_links(self):
        self.put("out/target", b"behind the link")
        self.put("in/link", b"", {"X-Symlink-Target": "out/target"})
        self.check("in/link", "link")
        self.put("in/fixed", b"", {"X-Symlink-Target": "out/target",
                                   "X-Symlink-Target-Etag": hashlib.md5(b"behind the link").hexdigest()})
        self.check("in/fixed", "link")

    def test_an_object_with_versions(self):
        self.put("in/null", b"older than versioning")
        self.service.request("POST", f"/v1/{ACCOUNT}/in", headers={"X-Versions-Enabled": "true"})
        for body in (b"old", b"new"):
            self.put("in/versioned", body)
        self.check("in/versioned", "version|link|of its own")
        self.check("in/null", "local")
        self.remove_versions("in")

    def remove_versions(self, container):
        token = {"X-Auth-Token": self.service.token()}
        versions = self.service.request("GET", f"/v1/{ACCOUNT}/{container}?versions&format=json")
        for entry in json.loads(versions.body):
            self.service.request("DELETE", f"/v1/{ACCOUNT}/{container}/{entry['name']}"
                                 f"?version-id={entry['version_id']}", headers=token)

    def test_an_object_whose_old_versions_are_kept_elsewhere(self):
        self.put("old", b"")
        self.service.request("POST", f"/v1/{ACCOUNT}/in", headers={"X-Versions-Location": "old"})
        for body in (b"old", b"new"):
            self.put("in/kept", body)
        self.check("in/kept", "local")
        self.service.request("POST", f"/v1/{ACCOUNT}/in", headers={"X-Remove-Versions-Location": "x"})

    def test_an_erasure_coded_object(self):
        self.put("ec", b"", {"X-Storage-Policy": "ec"})
        for size in (10, 3_000_000):
            self.put("ec/coded", os.urandom(size))
            self.check("ec/coded", "no replica")

    def test_an_expired_object_is_gone(self):
        self.put("in/expired", b"x", {"X-Delete-At": str(int(time.time()) + 3)})
        self.wait_until(lambda: self.get("in/expired").status == 404)
        self.assertIn("expired", self.names("in"))  # still listed
        self.refuse(copies("in/expired"), 404)
        self.refuse(copies("in/e*"), 404)

    def test_names_of_every_kind(self):
        for name in ("söme name", "a/b//c", "50%", "..", "x\ny", "?q=1", "#", "'\"\\", "+ +"):
            self.put("in/" + urllib.parse.quote(name, safe=""), name.encode())
        _, places = self.read("in/*")
        self.assertEqual(places, ["local"] * 9)


class ByRanges(AsDownloaded):
    """An `input` of those that go over HTTP is fetched as it is read."""

    settings = ("proxy.asked_from_bytes=1000",)

    def test_a_static_large_object(self):
        parts = {"out/s-1": os.urandom(1_000_000), "out/s-2": os.urandom(1_000_001)}
        self.put_segmented("in/ranged-slo", **parts)
        self.check_by_ranges("in/ranged-slo", "segments", 2_000_001)

    def test_a_dynamic_large_object(self):
        self.fill("out", **{"d-1": os.urandom(2000), "d-2": os.urandom(3001)})
        self.put("in/ranged-dlo", b"", {"X-Object-Manifest": "out/d-"})
        self.check_by_ranges("in/ranged-dlo", "segments", 5001)

    def test_an_erasure_coded_object(self):
        self.put("ec", b"", {"X-Storage-Policy": "ec"})
        self.put("ec/ranged", os.urandom(3_000_000))
        self.check_by_ranges("ec/ranged", "no replica", 3_000_000)

    def test_a_link(self):
        self.put("out/ranged-target", os.urandom(5000))
        self.put("in/ranged-link", b"", {"X-Symlink-Target": "out/ranged-target"})
        self.check_by_ranges("in/ranged-link", "link", 5000)

    def test_what_is_read_in_place_is_not_asked_for(self):
        self.put("in/ranged-plain", os.urandom(5000))
        self.check("in/ranged-plain", "local")
        self.sampled(self.service, "in/ranged-plain", 5000)
        self.assertEqual(self.statuses("in/ranged-plain"), ["200"])  # our download


class Encrypted(swift_front.OwnCluster, AsDownloaded):
    """What Swift encrypts is not read on disk, and never shown as it lies there."""

    settings = ("proxy.asked_from_bytes=1000",)
    cluster_options = {"nodes": 1, "encryption": True}
    reasons = "encrypted|another version"

    def test_is_read_by_http(self):
        self.put("in/o", b"clear text")
        for path in ("in/o", "in/*"):
            read, places = self.read(path)
            self.assertEqual(read, "clear text")
            self.assertRegex(places[0], self.reasons)
        self.put("in/o", b"")  # nothing of which is encrypted
        self.check("in/o", "local")

    def test_of_every_kind(self):
        line = b"a line of clear text\n"
        self.put("in/tiny", line[:1])
        self.check("in/tiny", self.reasons)
        self.put("in/said", b"", {"X-Object-Meta-Colour": "red"})
        self.check("in/said", self.reasons)
        long = line * 100_000
        self.put("in/long", long)
        self.check_by_ranges("in/long", self.reasons, len(long))
        self.put_segmented("in/slo", **{"out/1-part": long[:1_000_001], "out/2-part": long[1_000_001:]})
        self.check_by_ranges("in/slo", f"segments|{self.reasons}", len(long))
        self.put("in/link", b"", {"X-Symlink-Target": "in/long"})
        self.check_by_ranges("in/link", f"link|{self.reasons}", len(long))
        self.put("ec", b"", {"X-Storage-Policy": "ec"})
        self.put("ec/coded", long)
        self.check_by_ranges("ec/coded", "no replica", len(long))
        # It is encrypted.
        for path in self.swift.devices().glob("*/objects*/*/*/*/*.data"):
            self.assertNotIn(line, path.read_bytes())


@unittest.skipUnless(os.environ.get("ZEROCLOUD_SWIFT_FULL"), "four nodes: ./test.sh --swift-full")
class SomeAreElsewhere(swift_front.OwnCluster, AsDownloaded):
    """Three replicas on four hosts: the fourth part of the objects is not on this one."""

    settings = ("local.addresses=127.0.0.2", "proxy.asked_from_bytes=1000")
    node = 2
    cluster_options = {"nodes": 4}

    def replicas(self, node):
        """The paths of the objects in container `in` of which that node has a replica."""
        names = [stored_metadata(path)["name"] for path in self.swift.devices(node).glob("*/objects/*/*/*/*.data")]
        return {name.removeprefix(f"/{ACCOUNT}/") for name in names if name.startswith(f"/{ACCOUNT}/in/")}

    def test_and_are_read_by_http(self):
        for i in range(60):
            self.put(f"in/o{i:02}", f"{i} ".encode())
        body, places = self.read("in/*")
        self.assertEqual(body.split(), [str(i) for i in range(60)])
        here = self.replicas(self.node)
        self.assertEqual(places.count("local"), len(here))
        self.assertGreater(places.count("local"), 30)
        self.assertGreater(len(places) - places.count("local"), 3)

    def test_of_every_kind(self):
        paths = {f"in/{i:02}-object" for i in range(16)}
        for path in paths:
            self.put(path, os.urandom(5000))
        # Two of three were there before Swift answered.
        self.wait_until(lambda: sum(len(self.replicas(node)) for node in (1, 2, 3, 4)) == 3 * len(paths))
        here = min(self.replicas(self.node))
        away = min(paths - self.replicas(self.node))
        self.check(here, "local")
        self.check_by_ranges(away, "other hosts", 5000)
        self.put("out/slo?multipart-manifest=put", json.dumps([{"path": f"/{path}"} for path in (here, away)]).encode())
        self.check_by_ranges("out/slo", "segments|other hosts", 10_000)
        self.put("out/dlo", b"", {"X-Object-Manifest": "in/0"})
        self.check_by_ranges("out/dlo", "segments|other hosts", 50_000)
        self.put("out/link", b"", {"X-Symlink-Target": away})
        self.check_by_ranges("out/link", "link|other hosts", 5000)
        self.put("ec", b"", {"X-Storage-Policy": "ec"})
        self.put("ec/coded", os.urandom(2_500_000))
        self.check_by_ranges("ec/coded", "no replica|other hosts", 2_500_000)

    def file_here(self, body):
        """The file on this host with those bytes, or None."""
        for path in self.swift.devices(self.node).glob("*/objects/*/*/*/*.data"):
            try:
                if path.read_bytes() == body:
                    return path
            except FileNotFoundError:
                pass  # Swift has replaced it
        return None

    def test_a_damaged_replica_leaves_those_on_other_hosts(self):
        """Where the job's own read of it is the first, it is that which finds the damage: a listing has vouched
        for the object. A HEAD may have come to the same replica, and Swift then puts it away."""
        metadata = "user.swift.metadata"
        damages = {"no attribute user.swift.metadata": lambda file: os.removexattr(file, metadata),
                   "cut off or changed": lambda file: os.setxattr(file, metadata, os.getxattr(file, metadata)[:-20]),
                   "not as long as its metadata say": lambda file: os.truncate(file, 5)}
        for path in (f"in/{i:02}-object" for i in range(40)):
            self.put(path, path.encode())
            if self.file_here(path.encode()):
                break
        bodies = iter(f"the right bytes, {i}" for i in range(10))

        def store():
            body = next(bodies)
            self.put(path, body.encode())
            self.wait_until(lambda: self.file_here(body.encode()))
            return body, self.file_here(body.encode())

        for reason, damage in damages.items():
            for asked, expected in ((f"{path[:-1]}*", reason), (path, f"{reason}|no replica")):
                with self.subTest(damage=reason, path=asked):
                    body, file = store()
                    damage(file)
                    read, (place,) = self.read(asked)
                    self.assertEqual(read, body)
                    self.assertRegex(place, expected)
        # Stored again it is whole.
        body, _ = store()
        self.assertEqual(self.read(path), (body, ["local"]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
