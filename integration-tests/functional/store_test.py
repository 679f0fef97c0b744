"""The embedded store through real clients: the swift command, curl, and raw sockets."""

import configparser
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from framework.service import ACCOUNT, PROGRAM, Service, ServiceTest  # noqa: E402


class SwiftCommand(ServiceTest):
    def test_uploads_lists_downloads_and_deletes(self):
        big = os.urandom(50_000_000)
        (self.directory / "big").write_bytes(big)
        (self.directory / "söme name.txt").write_text("hello\n")
        self.service.swift("upload", "c1", "big", "söme name.txt")
        self.assertEqual(self.service.swift("list"), "c1\n")
        self.assertEqual(self.service.swift("list", "c1"), "big\nsöme name.txt\n")
        self.assertIn("Content Length: 50000000", self.service.swift("stat", "c1", "big"))
        self.assertIn("Objects: 2", self.service.swift("stat", "c1"))
        self.service.swift("download", "c1", "big", "-o", "again")
        self.assertTrue((self.directory / "again").read_bytes() == big)
        self.service.swift("post", "c1", "söme name.txt", "-m", "Colour:blue")
        self.assertIn("Meta Colour: blue", self.service.swift("stat", "c1", "söme name.txt"))
        self.service.swift("copy", "-d", "/c1/copy", "c1", "söme name.txt")
        self.assertEqual(self.get("c1/copy").body, b"hello\n")
        self.service.swift("delete", "c1")
        self.assertEqual(self.service.swift("list"), "")

    def test_keeps_a_name_beside_names_below_it(self):
        self.put("c", b"")
        for name in ("a", "a/b", "a/b/c", "..", "../x", ".", "%41", "%2F", "a%0Ab", "a//b", "%F0%9F%8C%A9"):
            self.put(f"c/{name}", name.encode())
        listed = self.get("c").body.decode().splitlines()
        self.assertEqual(len(listed), 11 + 1)  # one name holds a line feed
        for name in ("a", "a/b", "..", "%41", "a%0Ab", "a//b", "%F0%9F%8C%A9"):
            self.assertEqual(self.get(f"c/{name}").body, name.encode())
        for name in ("..", "../x", "."):  # the command's HTTP library would resolve these itself
            response = self.service.request("DELETE", f"/v1/{ACCOUNT}/c/{name}")
            self.assertEqual(response.status, 204)
        self.service.swift("delete", "c")
        self.assertEqual(self.service.swift("list"), "")

    def test_refuses_the_wrong_key(self):
        done = self.service.swift("-K", "wrong", "list", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("401", done.stderr.decode())


class Curl(ServiceTest):
    def setUp(self):
        super().setUp()
        self.auth = f"X-Auth-Token: {self.service.token()}"
        self.url = f"{self.service.url}/v1/{ACCOUNT}"
        self.service.curl("-H", self.auth, "-X", "PUT", f"{self.url}/c")

    def test_uploads_chunked_and_with_expect(self):
        data = os.urandom(3_000_000)
        (self.directory / "data").write_bytes(data)
        for extra in (["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]):
            status = self.service.curl("-H", self.auth, *extra, "-T", str(self.directory / "data"),
                                       "-w", "%{http_code}", f"{self.url}/c/o")
            self.assertEqual(status, b"201")
            got = self.service.curl("-H", self.auth, f"{self.url}/c/o")
            self.assertEqual(hashlib.md5(got).digest(), hashlib.md5(data).digest())

    def test_reads_ranges_and_conditions(self):
        self.put("c/o", b"0123456789")
        def fetch(*more):
            return self.service.curl("-H", self.auth, *more, "-w", " %{http_code}", f"{self.url}/c/o")
        self.assertEqual(fetch("-r", "2-4"), b"234 206")
        self.assertEqual(fetch("-r", "-3"), b"789 206")
        self.assertTrue(fetch("-r", "50-60").endswith(b" 416"))
        self.assertIn(b"multipart/byteranges", fetch("-r", "0-1,4-5", "-i"))
        etag = hashlib.md5(b"0123456789").hexdigest()
        self.assertEqual(fetch("-H", f"If-None-Match: {etag}"), b" 304")
        self.assertTrue(fetch("-H", "If-Match: nonsense").endswith(b" 412"))

    def test_refuses_without_reading_the_body(self):
        (self.directory / "data").write_bytes(bytes(5_000_000))
        headers = self.service.curl("-H", "X-Auth-Token: bad", "-H", "Expect: 100-continue", "-i",
                                    "-T", str(self.directory / "data"), f"{self.url}/c/o")
        self.assertTrue(headers.startswith(b"HTTP/1.1 401"), headers)

    def test_checks_the_etag_of_an_upload(self):
        response = self.service.request("PUT", f"/v1/{ACCOUNT}/c/o", b"abc", {"ETag": "0" * 32})
        self.assertEqual(response.status, 422)
        self.assertEqual(self.get("c/o").status, 404)

    def test_tells_health_and_limits_to_anybody(self):
        self.assertEqual(self.service.curl(f"{self.service.url}/healthcheck"), b"OK")
        info = self.service.curl(f"{self.service.url}/info")
        self.assertIn(b'"zerocloud"', info)
        self.assertIn(b'"gang_sessions"', info)


class Durability(ServiceTest):
    def test_an_upload_cut_in_the_middle_leaves_nothing(self):
        self.put("c", b"")
        self.put("c/o", b"old")
        token = self.service.token()
        quiet = self.quiet_files()
        for framing in ("Content-Length: 1000000", "Transfer-Encoding: chunked"):
            with self.service.connect() as peer:
                peer.sendall((f"PUT /v1/{ACCOUNT}/c/o HTTP/1.1\r\nHost: h\r\nX-Auth-Token: {token}\r\n"
                              f"{framing}\r\n\r\n").encode() + b"ff\r\n" + bytes(100))
        # The next request is answered after the cut was seen or before; wait for the former.
        self.wait_until(lambda: not self.service.temporary_files())
        self.assertEqual(self.quiet_files(), quiet)
        self.assertEqual(self.get("c/o").body, b"old")

    def test_objects_survive_a_kill(self):
        self.put("c", b"")
        bodies = {f"o{i}": os.urandom(1000 * i) for i in range(20)}
        for name, body in bodies.items():
            self.put(f"c/{name}", body, {"X-Object-Meta-Number": name})
        token = self.service.token()
        with self.service.connect() as peer:  # one upload is under way
            peer.sendall((f"PUT /v1/{ACCOUNT}/c/o1 HTTP/1.1\r\nX-Auth-Token: {token}\r\n"
                          "Content-Length: 1000\r\n\r\nabc").encode())
            self.wait_until(self.service.temporary_files)
            self.service.stop(signal.SIGKILL)
        self.service.start()
        for name, body in bodies.items():
            response = self.get(f"c/{name}")
            self.assertTrue(response.body == body)
            self.assertEqual(response.headers["X-Object-Meta-Number"], name)
            self.assertEqual(response.headers["ETag"].strip('"'), hashlib.md5(body).hexdigest())
        self.assertEqual(self.service.temporary_files(), [])

    def test_ends_cleanly_when_told_to(self):
        self.put("c", b"")
        with self.service.connect():  # an idle connection does not hold it up
            self.assertEqual(self.service.children(), [])
            self.assertEqual(self.service.stop(signal.SIGTERM), 0)

    def test_descriptors_do_not_grow(self):
        self.put("c", b"")
        self.put("c/o", b"x" * 100_000)
        self.get("c")
        quiet = self.quiet_files()
        for _ in range(50):
            self.get("c/o")
            self.get("c")
            self.get("c/absent")
        self.assertEqual(self.quiet_files(), quiet)


class ThroughAFront:
    """The same tests with a second server between client and store: nothing may change."""

    def make_service(self):
        self.store = super().make_service()
        self.addCleanup(lambda: self.store.stop(signal.SIGKILL))
        self.store.start()
        return Service(self.directory, arguments=["--upstream", self.store.url])


class FrontSwiftCommand(ThroughAFront, SwiftCommand):
    pass


class FrontCurl(ThroughAFront, Curl):
    def test_tells_of_an_upstream_that_is_gone(self):
        self.store.stop(signal.SIGKILL)
        response = self.service.request("GET", f"/v1/{ACCOUNT}/c", authenticated=False)
        self.assertEqual(response.status, 502)
        self.assertTrue(response.headers["X-Trans-Id"].startswith("tx"))

    def test_answers_jobs_as_the_store_would(self):
        job = [{"name": "a", "exec": {"path": "swift://~/c/absent"}, "devices": [{"name": "stdout"}]}]
        for service in (self.service, self.store):
            response = service.job(job)
            self.assertEqual(response.status, 404, response.body)
            self.assertIn(b"/0/exec/path", response.body)
            response = service.job(job, headers={"X-Auth-Token": "wrong"})
            self.assertEqual(response.status, 401)


class CommandLine(ServiceTest):
    def test_refuses_a_wrong_option_with_a_sentence(self):
        for arguments, sentence in ((["--set", "server.nothing=1"], b"server.nothing"),
                                    (["--set", "server.threads"], b"SECTION.KEY=VALUE"),
                                    ([], b"zerocloud.store"), (["--store", "/dev/null/x"], b"/dev/null/x"),
                                    (["--store", "x", "--listen", "nowhere"], b"nowhere")):
            done = subprocess.run([PROGRAM, "serve", *arguments], capture_output=True, timeout=60,
                                  check=False, cwd=self.directory)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(sentence, done.stderr)

    def test_accepts_the_sample_configurations(self):
        samples = pathlib.Path(__file__).parents[2] / "swift-config"
        for sample in sorted(samples.glob("*.conf")):
            done = subprocess.run([PROGRAM, "serve", "--config", sample, "--check-config"],
                                  capture_output=True, timeout=60, check=True)
            self.assertEqual(done.stderr, b"", sample)
            wanted, in_force = configparser.RawConfigParser(), configparser.RawConfigParser()
            wanted.read(sample)
            in_force.read_string(done.stdout.decode())
            for section in wanted.sections():
                for key, value in wanted.items(section):
                    if section != "users":
                        self.assertEqual(in_force[section][key], " ".join(value.split()), sample)

    def check(self, *arguments):
        """What --check-config prints on its two outputs."""
        done = subprocess.run([PROGRAM, "serve", *arguments, "--check-config"], capture_output=True,
                              timeout=60, check=False, cwd=self.directory)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def test_merges_a_directory_in_the_order_of_names(self):
        more = self.directory / "conf.d"
        more.mkdir()
        for name, port in (("10-a.conf", 1), ("20-b.conf", 2), (".hidden.conf", 3), ("30-c.conf.off", 4)):
            (more / name).write_text(f"[zerocloud]\nstore = s\nlisten = 127.0.0.1:{port}\n")
        status, in_force, said = self.check("--config", "conf.d")
        self.assertEqual(status, 0, said)
        self.assertIn("# conf.d/20-b.conf:3\nlisten = 127.0.0.1:2\n", in_force)
        self.assertEqual(said, "zerocloud: warning: conf.d/20-b.conf:3: [zerocloud] listen = 127.0.0.1:2: "
                               "conf.d/10-a.conf:3 says 127.0.0.1:1; this one counts.\n")

    def test_says_what_is_wrong_with_a_file(self):
        (self.directory / "z.conf").write_text("[zerocloud]\nstore = s\n[server]\nthreads = 999\n")
        status, _, said = self.check("--config", "z.conf")
        self.assertEqual((status, said), (2, 'zerocloud: z.conf:4: [server] threads: "999" is not a whole '
                                             "number from 0 to 256.\n"))
        for path, sentence in (("absent.conf", "absent.conf"), ("/dev/null", "no regular file")):
            status, _, said = self.check("--config", path)
            self.assertEqual(status, 2)
            self.assertIn(sentence, said)

    def test_refuses_a_directory_that_is_served_already(self):
        done = subprocess.run([PROGRAM, "serve", "--listen", "127.0.0.1:0", "--store",
                               str(self.directory / "store")], capture_output=True, timeout=60,
                              check=False)
        self.assertNotEqual(done.returncode, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
