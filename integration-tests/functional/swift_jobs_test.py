"""Jobs over a real Swift: inputs and stored outputs go over HTTP as the caller, and nothing else may
change."""

import json
import os
import pathlib
import re
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import jobs_test  # noqa: E402
from framework import swift_front  # noqa: E402
from framework.jobs import JobTest, device, group, poured  # noqa: E402
from framework.service import ACCOUNT  # noqa: E402
from framework.word_count import COUNT, TOP, CountsWords, words_in  # noqa: E402


def setUpModule():
    swift_front.start_cluster()


def tearDownModule():
    swift_front.stop_cluster()


class SwiftInputs(swift_front.BeforeSwift, jobs_test.Inputs):
    pass


class SwiftOutputs(swift_front.BeforeSwift, jobs_test.Outputs):
    pass


class Rights(swift_front.BeforeSwift, JobTest):
    """Swift decides what a job may read and write, as the one who posts it."""

    def test_a_reader_may_read_and_not_write(self):
        self.put("in/o", b"x")
        self.service.request("POST", f"/v1/{ACCOUNT}/in", headers={"X-Container-Read": "test:tester3"})
        self.service.request("POST", f"/v1/{ACCOUNT}/programs",
                             headers={"X-Container-Read": "test:tester3"})
        token = {"X-Auth-Token": self.service.token("test:tester3", "testing3")}
        stored = device("stdout", "out/o")
        read = self.service.job([group("g", "copy", "- -", [device("stdin", "in/o"), stored])],
                                headers=token)
        self.assertEqual(read.status, 403, read.body)
        self.assertEqual(self.names("out"), [])

    def test_a_stranger_runs_nothing(self):
        self.put("in/o", b"x")
        job = [group("g", "copy", "- -", [device("stdin", "in/o"), "stdout"])]
        self.assertEqual(self.service.job(job, headers={"X-Auth-Token": "none"}).status, 401)
        token = {"X-Auth-Token": self.service.token("test2:tester2", "testing2")}
        self.assertEqual(self.service.job(job, headers=token).status, 403)


class KindsOfObjects(swift_front.BeforeSwift, JobTest):
    """What Swift's proxy puts together is one plain input."""

    def copied(self, path):
        return self.succeed([group("g", "copy", "- -", [device("stdin", path), "stdout"])])

    def test_a_static_large_object(self):
        parts = [os.urandom(1_000_000), os.urandom(1_000_001)]
        manifest = []
        for i, part in enumerate(parts):
            self.put(f"in/part-{i}", part)
            manifest.append({"path": f"/in/part-{i}"})
        self.put("out/slo?multipart-manifest=put", json.dumps(manifest).encode())
        self.assertTrue(self.copied("out/slo") == b"".join(parts))

    def test_a_dynamic_large_object(self):
        self.fill(**{"seg-1": b"one", "seg-2": b"two"})
        self.put("out/dlo", b"", {"X-Object-Manifest": "in/seg-"})
        self.assertEqual(self.copied("out/dlo"), b"onetwo")

    def test_a_symbolic_link(self):
        self.put("in/target", b"behind the link")
        self.put("out/link", b"", {"X-Symlink-Target": "in/target"})
        self.assertEqual(self.copied("out/link"), b"behind the link")

    def test_a_versioned_object(self):
        self.service.request("POST", f"/v1/{ACCOUNT}/in", headers={"X-Versions-Enabled": "true"})
        for body in (b"old", b"new"):
            self.put("in/o", body)
        self.assertEqual(self.copied("in/o"), b"new")
        versions = self.service.request("GET", f"/v1/{ACCOUNT}/in?versions&format=json")
        token = {"X-Auth-Token": self.service.token()}
        for entry in json.loads(versions.body):
            self.service.request(
                "DELETE", f"/v1/{ACCOUNT}/in/o?version-id={entry['version_id']}", headers=token)

    def test_an_erasure_coded_object(self):
        self.put("ec", b"", {"X-Storage-Policy": "ec"})
        body = os.urandom(3_000_000)
        self.put("ec/o", body)
        self.assertTrue(self.copied("ec/o") == body)
        stored = [group("g", "copy", "- -", [device("stdin", "ec/o"), device("stdout", "ec/again")])]
        self.succeed(stored)
        self.assertTrue(self.get("ec/again").body == body)


class LittleOfALargeObject(swift_front.BeforeSwift, JobTest):
    """An input that is read here and there is not downloaded: what is read of it is fetched."""

    length = 32 << 20
    count, size, seed = 82, 4096, 11  # 1 %

    def sample(self, path="in/large"):
        arguments = f"{self.length} {self.count} {self.size} {self.seed}"
        return [group("g", "sample", arguments, [device("input", path), "stdout"])]

    def expected(self, body):
        random, total = self.seed, 0xcbf29ce484222325
        for _ in range(self.count):
            random = (random * 6364136223846793005 + 1442695040888963407) % 2**64
            offset = (random >> 16) % (self.length - self.size + 1)
            for byte in body[offset:offset + self.size]:
                total = ((total ^ byte) * 0x100000001b3) % 2**64
        return f"{total:016x}\n".encode()

    def sent(self, path):
        """Bytes of the object that Swift's proxy has sent, by its log."""
        pattern = re.compile(rf" GET /v1/{ACCOUNT}/{path} HTTP/1\S+ 20\d (?:\S+ ){{4}}(\S+) ")
        return sum(int(number) for number in pattern.findall(self.swift.log("proxy")) if number != "-")

    def test_one_percent_costs_at_most_three(self):
        body = poured(self.length)
        self.put("in/large", body)
        before = self.sent("in/large")
        self.assertEqual(self.succeed(self.sample()), self.expected(body))
        sent = self.sent("in/large") - before
        self.assertGreaterEqual(sent, self.length // 100)
        self.assertLessEqual(sent, self.length * 3 // 100)
        # And all of it, when all of it is read.
        whole = [group("g", "copy", "/dev/input /dev/output",
                       [device("input", "in/large"), device("output", "out/again")])]
        self.succeed(whole)
        self.assertTrue(self.get("out/again").body == body)

    def test_a_large_object_in_segments_and_one_in_fragments(self):
        body = poured(self.length)
        self.put("in/part-1", body[:20_000_000])
        self.put("in/part-2", body[20_000_000:])
        self.put("in/slo?multipart-manifest=put",
                 json.dumps([{"path": "/in/part-1"}, {"path": "/in/part-2"}]).encode())
        self.put("out/dlo", b"", {"X-Object-Manifest": "in/part-"})
        self.put("ec", b"", {"X-Storage-Policy": "ec"})
        self.put("ec/coded", body)
        for path in ("in/slo", "out/dlo", "ec/coded"):
            with self.subTest(path):
                self.assertEqual(self.succeed(self.sample(path)), self.expected(body))

    def test_an_object_that_is_replaced_meanwhile_fails_the_job(self):
        self.put("in/large", poured(self.length))
        thread, answer, sessions = jobs_test.WhileAJobRuns.start(
            self, [group("g", "copy", "--wait /dev/input -", [device("input", "in/large"), "stdout"])])
        os.kill(sessions[0], signal.SIGSTOP)
        self.put("in/large", bytes(self.length))
        os.kill(sessions[0], signal.SIGCONT)
        thread.join()
        self.assertEqual(answer[0].status, 409, answer[0].body[:500])
        self.assertIn(b"was replaced while the session read it", answer[0].body)

    started = jobs_test.WhileAJobRuns.started


@unittest.skipUnless(os.environ.get("ZEROCLOUD_SWIFT_FULL"), "1 GiB three times: ./test.sh --swift-full")
class LittleOfAnObjectOfOneGibibyte(LittleOfALargeObject):
    length = 1 << 30
    count = 2621  # 1 %

    def test_one_percent_costs_at_most_three(self):
        body = os.urandom((1 << 20) + 4099)  # of which no part comes again at a whole page
        body = (body * (self.length // len(body) + 1))[:self.length]
        self.put("in/large", body)
        before = self.sent("in/large")
        self.assertEqual(self.succeed(self.sample()), self.expected(body))
        sent = self.sent("in/large") - before
        print(f"{100 * sent / self.length:.2f} % sent", end=" ", flush=True)
        self.assertGreaterEqual(sent, self.length // 100)
        self.assertLessEqual(sent, self.length * 3 // 100)

    # These are of the smaller one.
    test_a_large_object_in_segments_and_one_in_fragments = None
    test_an_object_that_is_replaced_meanwhile_fails_the_job = None


class WordCount(CountsWords, swift_front.BeforeSwift, JobTest):
    """The main job."""

    def test_counts_as_coreutils_do(self):
        self.store_programs()
        texts = self.store_texts()
        self.succeed(COUNT)
        self.check_counts(texts)
        ranked = self.succeed(TOP)
        expected = words_in(texts)
        self.assertEqual(ranked.splitlines()[0].split(b"\t")[0],
                         min(expected, key=lambda word: (-expected[word], word)))


if __name__ == "__main__":
    unittest.main(verbosity=2)
