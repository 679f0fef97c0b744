"""What an operator sees beside a real Swift: the guide of docs/operations.md typed as it stands, jobs found
again in Swift's own logs, one reader for both access logs, metrics that are true, and no trace of it afterwards."""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import sqlite3
import sys
import tempfile
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import docs_test  # noqa: E402
from framework import metrics, swift_front  # noqa: E402
from framework.access_log import access_lines  # noqa: E402
from framework.jobs import GUESTS, JobTest, device, group  # noqa: E402
from framework.service import ACCOUNT, Service, ServiceTest  # noqa: E402
from framework.swift_cluster import stored_metadata  # noqa: E402


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
        return metrics.scrape((self.directory / "log").read_text())

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


# What Swift has on a device, by its path from there.
OBJECT_FILE = re.compile(r"objects/\d+/[0-9a-f]{3}/[0-9a-f]{32}/\d{10}\.\d{5}\.(data|meta|ts)")
DATABASE = re.compile(r"(account|container)s/\d+/[0-9a-f]{3}/[0-9a-f]{32}/[0-9a-f]{32}\.db")
SWIFTS_NOTES = re.compile(r"objects/\d+/(hashes\.(pkl|invalid)|\.lock[\w-]*)|"
                          r"(accounts|containers)/\d+/[0-9a-f]{3}/[0-9a-f]{32}/([0-9a-f]{32}\.db\.pending|\.lock)")
SWIFTS_DIRECTORY = re.compile(r"\.|tmp|async_pending|(objects|accounts|containers)(/\d+(/[0-9a-f]{3}(/[0-9a-f]{32})?)?)?")
METADATA_NAMES = ["user.swift.metadata", "user.swift.metadata_checksum"]
TIMES = ("Date", "Last-Modified", "X-Timestamp", "X-Put-Timestamp", "X-Trans-Id", "X-Openstack-Request-Id")


class TakenOut(swift_front.OwnCluster, swift_front.BesideSwift, JobTest):
    """Nothing of the service stays in Swift: one account is filled through it, by requests and by jobs, another of
    the same Swift with no service, and then nobody can tell which is which."""

    other = "AUTH_test2"

    def make_service(self):
        service = super().make_service()
        self.assertEqual(self.paths(), {})
        return service

    def paths(self):
        """All files on the devices, by their path from there. Directories are Swift's, and without attributes."""
        found = {}
        for device_name in os.listdir(self.swift.devices()):
            root = self.swift.devices() / device_name
            for directory, _, files in os.walk(root):
                self.assertEqual(os.listxattr(directory), [])
                here = os.path.relpath(directory, root)
                self.assertRegex(here, rf"^({SWIFTS_DIRECTORY.pattern})$")
                found |= {os.path.join(here, name): pathlib.Path(directory, name) for name in files}
        return found

    def stored(self):
        """What the devices hold of the two accounts: {account: {name: what Swift keeps about it}}. Fails if there
        is a file that is none of Swift's, or an extended attribute."""
        found = {ACCOUNT: {}, self.other: {}}
        for name, path in self.paths().items():
            if OBJECT_FILE.fullmatch(name):
                self.assertEqual(sorted(os.listxattr(path)), METADATA_NAMES)
                about = stored_metadata(path)
                del about["X-Timestamp"]
                account, _, rest = about.pop("name")[1:].partition("/")
                found[account][rest, path.suffix] = about
                continue
            self.assertEqual(os.listxattr(path), [])
            database = DATABASE.fullmatch(name)
            if database:
                with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
                    connection.row_factory = sqlite3.Row
                    row = dict(connection.execute(f"SELECT * FROM {database[1]}_stat").fetchone())
                about = {key: value for key, (value, _) in json.loads(row["metadata"] or "{}").items()}
                found[row["account"]][row.get("container", ""), ".db"] = about
            else:
                self.assertRegex(name, rf"^({SWIFTS_NOTES.pattern})$")
        return found

    def served(self, account, token):
        """Everything that Swift alone answers about an account: heads, listings and bytes, without times."""
        answers = {}

        def ask(method, path):
            answer = self.swift.request(method, f"/v1/{account}{path}", headers={"X-Auth-Token": token})
            self.assertEqual(answer.status // 100, 2, (method, path))
            answers[method, path] = (answer.status, answer.body, sorted(
                (name, value) for name, value in answer.headers.items() if name not in TIMES))
            return answer.body

        def listing(path):
            entries = json.loads(ask("GET", f"{path}?format=json"))
            for entry in entries:
                del entry["last_modified"]
            status, _, headers = answers["GET", f"{path}?format=json"]
            answers["GET", f"{path}?format=json"] = (status, entries, headers)
            return [entry["name"] for entry in entries]

        for container in listing(""):
            for name in listing(f"/{container}"):
                ask("GET", f"/{container}/{name}")
                ask("HEAD", f"/{container}/{name}")
            ask("HEAD", f"/{container}")
        ask("HEAD", "")
        return answers

    def test_leaves_what_its_clients_made_and_nothing_else(self):
        def fill(endpoint, account, token):
            for method, path, body, headers in (
                    ("PUT", "in/a", b"one ", {"X-Object-Meta-Colour": "red"}), ("PUT", "in/b", b"two ", {}),
                    ("POST", "in/b", None, {"X-Object-Meta-Colour": "blue"}),
                    ("POST", "in", None, {"X-Container-Meta-Of": "a client"}),
                    ("POST", "", None, {"X-Account-Meta-Of": "a client"}),
                    ("PUT", "in/gone", b"gone", {}), ("DELETE", "in/gone", None, {}), ("PUT", "out/kept", b"kept", {})):
                answer = endpoint.request(method, f"/v1/{account}/{path}".rstrip("/"), body,
                                          {"X-Auth-Token": token, **headers})
                self.assertEqual(answer.status // 100, 2, (method, path, answer.body))

        fill(self.service, ACCOUNT, self.service.token())
        self.succeed([group("g", "copy", "- -", [device("stdin", "in/*"), device(
            "stdout", "out/copy-*", content_type="text/x-copy", meta={"Made-By": "a job"})])])
        self.refuse([group("p", "pour", "100000 /dev/output", [device("output", "out/never")]),
                     group("q", "pour", "100000 /dev/output", [device("output", "out/kept")]),
                     group("f", "fail", "exit 3")], 500)
        self.assertEqual(self.service.stop(), 0)

        token = self.swift.token("test2:tester2", "testing2")
        for path in ("programs", "in", "out", *(f"programs/{name}" for name in self.programs), "in/warm", "out/warm"):
            body = (GUESTS / f"jobs-{path.partition('/')[2]}").read_bytes() if path.startswith("programs/") else b""
            self.swift.request("PUT", f"/v1/{self.other}/{path}", body, {"X-Auth-Token": token})
        for path in ("in/warm", "out/warm"):
            self.swift.request("DELETE", f"/v1/{self.other}/{path}", headers={"X-Auth-Token": token})
        fill(self.swift, self.other, token)
        for name, body in (("a", b"one "), ("b", b"two ")):
            self.swift.request("PUT", f"/v1/{self.other}/out/copy-{name}", body,
                               {"X-Auth-Token": token, "Content-Type": "text/x-copy",
                                "X-Object-Meta-Made-By": "a job"})

        served = self.served(ACCOUNT, self.swift.token())
        self.assertEqual(served["GET", "/out/copy-a"][1], b"one ")
        self.assertEqual(served["GET", "/out/kept"][1], b"kept")
        self.assertEqual(served, self.served(self.other, token))
        stored = self.stored()
        self.assertIn(("out/copy-b", ".data"), stored[ACCOUNT])
        self.assertIn(("in/gone", ".ts"), stored[ACCOUNT])
        self.assertEqual(stored[ACCOUNT], stored[self.other])
        self.start_again()

    def start_again(self):
        """For the proof that ends each test."""
        self.service.start()
        self.warm_up()
        self.quiet = self.files()


if __name__ == "__main__":
    unittest.main(verbosity=2)
