"""Jobs over a real Swift: inputs and stored outputs go over HTTP as the caller, and nothing else may
change."""

import json
import os
import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import jobs_test  # noqa: E402
from framework import swift_front  # noqa: E402
from framework.jobs import JobTest, device, group  # noqa: E402
from framework.service import ACCOUNT, PATH, PROGRAM  # noqa: E402

EXAMPLES = pathlib.Path(__file__).resolve().parent.parent.parent / "docs/examples/wordcount"
LICENSES = pathlib.Path("/usr/share/common-licenses")


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


class WordCount(swift_front.BeforeSwift, JobTest):
    """The main job."""

    def test_counts_as_coreutils_do(self):
        for name in ("map", "reduce", "top"):
            subprocess.run([pathlib.Path(PROGRAM).parent / "zvm-cc", "-O2", "-o",
                            self.directory / name, EXAMPLES / f"{name}.c", EXAMPLES / "combine.c"],
                           check=True, env={"PATH": PATH})
            self.put(f"programs/{name}", (self.directory / name).read_bytes())
        texts = [path.read_bytes() for path in sorted(LICENSES.iterdir()) if path.is_file()]
        for container in ("text", "counts"):
            self.put(container, b"")
        for i, text in enumerate(texts):
            self.put(f"text/text-{i:03}.txt", text)
        self.succeed((EXAMPLES / "count.json").read_bytes())
        counted = b"".join(self.get(f"counts/reduce-{i}.tsv").body for i in (1, 2, 3, 4))
        expected = {}
        for word in re.findall(rb"[A-Za-z]+", b"\n".join(texts)):
            expected[word.lower()] = expected.get(word.lower(), 0) + 1
        self.assertEqual(dict(line.split(b"\t") for line in counted.splitlines()),
                         {word: str(count).encode() for word, count in expected.items()})
        ranked = self.succeed((EXAMPLES / "top.json").read_bytes())
        self.assertEqual(ranked.splitlines()[0].split(b"\t")[0],
                         min(expected, key=lambda word: (-expected[word], word)))


if __name__ == "__main__":
    unittest.main(verbosity=2)
