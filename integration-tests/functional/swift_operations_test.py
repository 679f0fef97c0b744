"""What an operator sees beside a real Swift: the guide of docs/operations.md typed as it stands, jobs found
again in Swift's own logs, one reader for both access logs, and metrics that are true."""

import os
import pathlib
import re
import signal
import socket
import sys
import tempfile
import unittest
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import docs_test  # noqa: E402
from framework import swift_front  # noqa: E402
from framework.access_log import access_lines  # noqa: E402
from framework.jobs import JobTest, device, group  # noqa: E402
from framework.service import ACCOUNT, Service, ServiceTest  # noqa: E402


def setUpModule():
    swift_front.start_cluster(nodes=1)


def tearDownModule():
    swift_front.stop_cluster()


class Guide(swift_front.BesideSwift, ServiceTest):
    def test_takes_a_newcomer_to_the_first_job(self):
        page = docs_test.ROOT / "docs" / "operations.md"
        _, mine = docs_test.split_blocks(page)
        self.assertGreater(len(mine), 6)
        with tempfile.TemporaryDirectory(prefix="zerocloud-guide-") as work:
            (pathlib.Path(work) / "docs").symlink_to(docs_test.ROOT / "docs")
            try:
                docs_test.run_blocks(self, page, mine,
                                     {"SWIFT": self.swift.url, "DEVICES": str(self.swift.devices(1)),
                                      "SWIFT_DIR": str(self.swift.swift_dir)}, work)
            finally:
                pid = pathlib.Path(work) / "pid"
                if pid.exists():
                    try:
                        os.kill(int(pid.read_text()), signal.SIGKILL)
                    except ProcessLookupError:
                        pass  # the guide has stopped it

    def test_no_page_needs_a_swift_that_is_not_run_here(self):
        pages = [page.name for page in docs_test.PAGES if docs_test.split_blocks(page)[1]]
        self.assertEqual(pages, ["operations.md"])


class Traces(swift_front.BeforeSwift, JobTest):
    def test_jobs_and_sessions_are_found_in_swifts_own_log(self):
        self.put("in/a", b"1")
        self.put("in/b", b"2")
        response = self.service.job([group("copier", "copy", "- -",
                                           [device("stdin", "in/*"), device("stdout", "out/copy-*")])])
        self.assertEqual(response.status, 200, response.body)
        job = re.fullmatch(r"tx([0-9a-f]{12})[0-9a-f]{9}-[0-9a-f]{10}", response.headers["X-Trans-Id"])[1]

        def of(trace):
            return {(line["method"], line["path"].split("?")[0])
                    for line in access_lines(self.swift.log("proxy")) if line["transaction_id"].endswith(trace)}

        # Swift writes its line after the answer.
        def becomes(trace, wanted):
            self.wait_until(lambda: wanted <= of(trace), describe=lambda: of(trace))

        becomes(f"-zc-{job}", {("HEAD", f"/v1/{ACCOUNT}"), ("GET", f"/v1/{ACCOUNT}/in"),
                               ("GET", f"/v1/{ACCOUNT}/programs/copy")})
        for session, name in (("copier-1", "a"), ("copier-2", "b")):
            wanted = {("GET", f"/v1/{ACCOUNT}/in/{name}"), ("PUT", f"/v1/{ACCOUNT}/out/copy-{name}")}
            becomes(f"-zc-{job}-{session}", wanted)
            self.assertEqual(of(f"-zc-{job}-{session}"), wanted)
        # And in those of the servers behind the proxy.
        self.wait_until(lambda: f"zc-{job}-copier-1" in self.swift.log("object-1"))


class AccessLogs(swift_front.BeforeSwift, ServiceTest):
    settings = ("log.access=swift",)

    def make_service(self):
        service = super().make_service()
        service.settings = self.settings
        return service

    def test_one_reader_reads_swifts_log_and_ours(self):
        hostile = {"User-Agent": 'quo"ted (x); \\ \x7f', "Referer": "http://r/?a=b c"}
        path = f"/v1/{ACCOUNT}/c/o%0A%20%25%C3%A9?format=json&x=%0d%0aGET"
        self.service.request("PUT", f"/v1/{ACCOUNT}/c", b"")
        requests = (("PUT", path, b"12345"), ("GET", path, None), ("HEAD", path, None), ("LICK", path, None),
                    ("GET", f"/v1/{ACCOUNT}/absent/o", None))
        ids = []
        for method, target, body in requests:
            response = self.service.request(method, target, body, hostile)
            ids.append(response.headers["X-Trans-Id"])
        by_id = lambda text: {line["transaction_id"]: line for line in access_lines(text)}  # noqa: E731
        log = self.directory / "log"
        self.wait_until(lambda: set(ids) <= set(by_id(log.read_text())))
        self.wait_until(lambda: set(ids) <= set(by_id(self.swift.log("proxy"))))
        ours, theirs = by_id(log.read_text()), by_id(self.swift.log("proxy"))
        for trans_id, (method, _, body) in zip(ids, requests):
            with self.subTest(method):
                mine, his = ours[trans_id], theirs[trans_id]
                for field in ("method", "status_int", "referer", "user_agent", "auth_token",
                              "client_etag", "headers", "source", "log_info"):
                    self.assertEqual(mine[field], his[field], field)
                self.assertEqual(mine["bytes_recvd"], his["bytes_recvd"] if body else "-")
                self.assertEqual(mine["bytes_sent"], his["bytes_sent"])
                self.assertEqual(urllib.parse.unquote(mine["path"]), urllib.parse.unquote(his["path"]))
                self.assertEqual((mine["client_ip"], mine["protocol"]), ("127.0.0.1", "HTTP/1.1"))
                self.assertLess(abs(float(mine["start_time"]) - float(his["start_time"])), 60)
                self.assertLessEqual(float(mine["start_time"]), float(mine["end_time"]))
        # A line of the log for each request, whatever was in it.
        self.assertEqual(len(log.read_bytes().splitlines()), len(access_lines(log.read_text())))


class Metrics(swift_front.BesideSwift, JobTest):
    def make_service(self):
        self.statsd = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.statsd.close)
        self.statsd.bind(("127.0.0.1", 0))
        self.statsd.settimeout(60)
        service = super().make_service()
        service.settings = (*service.settings, "metrics.listen=127.0.0.1:0", "statsd.host=127.0.0.1",
                            f"statsd.port={self.statsd.getsockname()[1]}", "statsd.prefix=t",
                            "statsd.gauge_seconds=1")
        return service

    def quiet_files(self):
        super().quiet_files()
        return self.service.open_files()

    def scrape(self):
        log = (self.directory / "log").read_text()
        url = re.search(r"metrics are at (\S+)", log)[1]
        with urllib.request.urlopen(url, timeout=60) as response:
            self.assertTrue(response.headers["Content-Type"].startswith("text/plain; version=0.0.4"))
            text = response.read().decode()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
                for line in text.splitlines() if not line.startswith("#")}

    def test_count_what_was_done(self):
        self.put("in/a", b"123")
        before = self.scrape()
        self.get("in/a")
        self.succeed([group("g", "copy", "- -", [device("stdin", "in/a"), "stdout"])])
        failed = self.service.job([group("g", "fail", "exit 3", ["stdout"])])
        self.assertNotEqual(failed.status, 200)

        now = self.scrape()

        def grown(name):
            return now.get(name, 0) - before.get(name, 0)

        # A job is counted before its answer,
        self.assertEqual(grown('zerocloud_jobs_total{status="200"}'), 1)
        self.assertEqual(grown('zerocloud_sessions_total{cause="exited"}'), 2)
        self.assertEqual(grown('zerocloud_input_sessions_total{place="local"}'), 1)
        self.assertEqual(grown('zerocloud_input_sessions_total{place="remote"}'), 0)
        # a request after it.
        for kind in ('type="job",method="POST",status="200"', 'type="object",method="GET",status="200"'):
            name = f"zerocloud_requests_total{{{kind}}}"
            self.wait_until(lambda name=name: self.scrape().get(name, 0) > before.get(name, 0),
                            describe=self.scrape)
        for name in ("zerocloud_jobs", "zerocloud_sessions", "zerocloud_sessions_waiting",
                     "zerocloud_spool_bytes", "zerocloud_upstream_waiting"):
            self.wait_until(lambda name=name: self.scrape()[name] == 0, describe=self.scrape)
        now = self.scrape()
        self.assertGreaterEqual(now["zerocloud_session_slots"], 2)
        endpoint = self.swift.address
        self.assertEqual(now[f'zerocloud_upstream_left_out{{endpoint="{endpoint}"}}'], 0)
        self.assertIn(f'zerocloud_upstream_connections{{endpoint="{endpoint}",state="idle"}}', now)
        # The metrics are nowhere but there.
        self.assertNotEqual(self.service.request("GET", "/metrics").status, 200)

    def test_are_sent_to_statsd(self):
        self.get("in/absent")
        seen = set()
        wanted = "t.zerocloud.object.GET.404"
        while wanted not in seen:
            name, value = self.statsd.recv(1500).decode().split(":")
            if value.endswith("|g"):
                self.assertRegex(f"{name}:{value}", r"^t\.zerocloud\.[a-z_]+:[0-9]+\|g$")
                continue
            self.assertRegex(value, r"^[0-9.e-]+\|(ms|c)$")
            self.assertRegex(name, r"^t\.zerocloud\.[A-Za-z0-9_.]+\.(timing|xfer)$")
            seen.add(name.rsplit(".", 1)[0])
        self.assertIn("t.zerocloud.job.POST.200", seen)  # the warm-up
        self.assertIn("t.zerocloud.run.200", seen)
        self.assertIn("t.zerocloud.session.exited", seen)

    def test_gauges_are_sent_to_statsd(self):
        missing = {f"t.zerocloud.{name}" for name in ("jobs", "sessions", "sessions_waiting", "slots", "spool_bytes")}
        while missing:
            name, value = self.statsd.recv(1500).decode().split(":")
            if value.endswith("|g"):
                missing.discard(name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
