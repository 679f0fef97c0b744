"""Ordinary clients of Swift, with the service between: they must not notice it."""

import filecmp
import hashlib
import hmac
import json
import os
import pathlib
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import store_test  # noqa: E402
from framework import swift_front  # noqa: E402
from framework.service import ACCOUNT, KEY, PATH, USER, ServiceTest  # noqa: E402


def setUpModule():
    swift_front.start_cluster()


def tearDownModule():
    swift_front.stop_cluster()


class SwiftCommand(swift_front.BeforeSwift, store_test.SwiftCommand):
    """What the embedded store passes, Swift behind us passes."""

    test_keeps_a_name_beside_names_below_it = None  # about folders; Swift has none

    def test_splits_and_joins_large_objects(self):
        big = os.urandom(5_000_001)
        (self.directory / "big").write_bytes(big)
        for options in (("--use-slo",), ()):
            self.service.swift("upload", "c1", "big", "-S", "1000000", *options)
            self.service.swift("download", "c1", "big", "-o", "again")
            self.assertTrue((self.directory / "again").read_bytes() == big)
            self.service.swift("delete", "c1")

    def test_signs_temporary_urls(self):
        self.put("c1", b"")
        self.put("c1/a%20b+c%252Fd", b"signed")
        self.service.swift("post", "-m", "Temp-URL-Key:secret")
        path = f"/v1/{ACCOUNT}/c1/a b+c%2Fd"
        expires = int(time.time()) + 600
        signature = hmac.new(b"secret", f"GET\n{expires}\n{path}".encode(), hashlib.sha256).hexdigest()
        target = (f"/v1/{ACCOUNT}/c1/a%20b+c%252Fd?temp_url_sig={signature}"
                  f"&temp_url_expires={expires}")
        got = self.service.request("GET", target, authenticated=False)
        self.assertEqual((got.status, got.body), (200, b"signed"))
        self.assertEqual(self.service.request("GET", target.replace("c1", "c2"),
                                              authenticated=False).status, 401)

    def test_tells_capabilities_of_both(self):
        capabilities = self.service.swift("capabilities")
        self.assertIn("Core: swift", capabilities)
        self.assertIn("zerocloud", capabilities)


class Curl(swift_front.BeforeSwift, store_test.Curl):
    def test_tells_health_and_limits_to_anybody(self):
        self.assertEqual(self.service.curl(f"{self.service.url}/healthcheck"), b"OK")
        info = json.loads(self.service.curl(f"{self.service.url}/info"))
        own = info.pop("zerocloud")
        self.assertEqual(info, json.loads(self.service.curl(f"{self.swift.url}/info")))
        self.assertEqual((own["execute"], own["dialects"]), (["1.0"], ["zerocloud/1.0"]))
        self.assertIn("gang_sessions", own["limits"])
        # Other targets are not ours.
        self.assertNotIn("zerocloud", json.loads(self.service.curl(f"{self.service.url}/info?x=1")))


class Rclone(swift_front.BeforeSwift, ServiceTest):
    def rclone(self, *arguments):
        done = subprocess.run(["rclone", "--config", str(self.directory / "rclone.conf"), *arguments],
                              env={"PATH": PATH, "HOME": str(self.directory), "LC_ALL": "C.UTF-8"},
                              capture_output=True, timeout=300, check=False)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout.decode()

    def make_files(self):
        files = self.directory / "files"
        (files / "sub/söb").mkdir(parents=True)
        for name, size in (("a", 0), ("sub/b", 1), ("sub/söb/c d", 1_000_000), ("+%#?", 77)):
            (files / name).write_bytes(os.urandom(size))
        return files

    def round_trip(self, remote):
        files = self.make_files()
        self.rclone("copy", str(files), f"{remote}:bucket/in")
        self.assertEqual(len(self.rclone("lsf", "-R", "--files-only", f"{remote}:bucket").split("\n")), 5)
        self.rclone("check", "--download", str(files), f"{remote}:bucket/in")
        self.rclone("copy", f"{remote}:bucket/in", str(self.directory / "again"))
        compared = filecmp.dircmp(files, self.directory / "again")
        self.assertEqual((compared.left_only, compared.right_only, compared.diff_files), ([], [], []))
        self.rclone("purge", f"{remote}:bucket")
        self.assertEqual(self.rclone("lsd", f"{remote}:"), "")

    def test_copies_there_and_back_over_swift(self):
        (self.directory / "rclone.conf").write_text(
            f"[front]\ntype = swift\nuser = {USER}\nkey = {KEY}\nauth = {self.service.url}/auth/v1.0\n")
        self.round_trip("front")

    def test_copies_there_and_back_over_s3(self):
        (self.directory / "rclone.conf").write_text(
            f"[front]\ntype = s3\nprovider = Other\naccess_key_id = {USER}\nsecret_access_key = {KEY}\n"
            f"endpoint = {self.service.url}\nforce_path_style = true\nregion = us-east-1\n")
        self.round_trip("front")


class Bodies(swift_front.BeforeSwift, ServiceTest):
    def test_a_large_body_streams(self):
        """In memory that does not grow with it. (What Swift takes at most, 5 GiB, is sent by front_test, for
        here three replicas of it may have to lie in memory.)"""
        size = 2**28
        with open(self.directory / "big", "wb") as file:
            file.truncate(size)
        self.put("c", b"")
        self.service.curl("-H", f"X-Auth-Token: {self.service.token()}", "--fail", "-T",
                          str(self.directory / "big"), f"{self.service.url}/v1/{ACCOUNT}/c/big")
        stored = self.service.request("HEAD", f"/v1/{ACCOUNT}/c/big")
        self.assertEqual(stored.headers["Content-Length"], str(size))
        self.service.curl("-H", f"X-Auth-Token: {self.service.token()}", "--fail", "-o", "/dev/null",
                          f"{self.service.url}/v1/{ACCOUNT}/c/big")
        peak = pathlib.Path(f"/proc/{self.service.process.pid}/status").read_text()
        self.assertLess(int(peak.split("VmHWM:")[1].split()[0]), 100_000)  # KiB


if __name__ == "__main__":
    unittest.main(verbosity=2)
