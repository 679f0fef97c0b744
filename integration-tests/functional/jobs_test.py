"""Jobs from end to end: real guests in real sessions, over HTTP, beside the embedded store and
through a front. Every test also counts what the server keeps open afterwards."""

import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from framework.service import ACCOUNT, PROGRAM, Service, ServiceTest, is_running  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
COMPILER = os.environ.get("ZEROCLOUD_COMPILER", str(pathlib.Path(PROGRAM).parent / "zvm-cc"))
REPORT = "application/vnd.zerocloud.report+json"


def group(name, args, devices=(), **more):
    return {"name": name, "exec": {"path": "swift://~/bin/act", "args": args},
            "devices": list(devices), **more}


STDOUT = {"name": "stdout"}


class Jobs(ServiceTest):
    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory(prefix="zerocloud-test-") as directory:
            program = pathlib.Path(directory) / "act"
            subprocess.run([COMPILER, "-O2", "-Wall", "-o", program, HERE / "programs" / "act.c"],
                           check=True, timeout=120)
            cls.program = program.read_bytes()

    def setUp(self):
        super().setUp()
        self.put("bin", b"")
        self.put("bin/act", self.program)
        self.put("in", b"")
        self.put("out", b"")
        self.warm_up()

    def warm_up(self):
        # The first job makes the engine's and the verifier's own files appear.
        self.assertEqual(self.service.job([group("warm", "name")]).status, 200)
        self.get("in")  # so does the listing's
        self.quiet = self.quiet_files()

    def tearDown(self):
        if self.service.process is not None:
            self.wait_until(lambda: self.service.children() == [])
            self.assertEqual(self.quiet_files(), self.quiet)

    def succeed(self, job, **more):
        response = self.service.job(job, **more)
        self.assertEqual(response.status, 200, response.body)
        return response

    def names(self, container):
        return self.get(container).body.decode().split()

    def test_reads_the_object_that_it_is_posted_to(self):
        body = os.urandom(3_000_000)
        self.put("in/a%20b/c", body)
        job = [group("cat", "cat", [{"name": "stdin"}, {**STDOUT, "content_type": "image/png"}])]
        response = self.succeed(job, target=f"/v1/{ACCOUNT}/in/a%20b/c")
        self.assertTrue(response.body == body)
        self.assertEqual(response.headers["Content-Type"], "image/png")
        self.assertEqual(response.headers["X-Nexe-Retcode"], "0")

    def test_frames_the_output_of_many_sessions(self):
        # ZeroCloud's Content-Length was wrong as soon as two sessions answered.
        for name, body in (("1", b"a"), ("2", b"bb"), ("3", b""), ("4", b"ccccc")):
            self.put(f"in/{name}", body)
        devices = [{"name": "stdin", "path": "swift://~/in/*"}, STDOUT]
        response = self.succeed([group("g", "cat", devices)])
        self.assertEqual(response.body, b"abbccccc")
        self.assertEqual(response.headers["Content-Length"], "8")
        self.assertEqual(response.headers["X-Nexe-System"], "g-1,g-2,g-3,g-4")

    def test_stores_outputs_under_names_made_by_wildcards(self):
        for name in ("eu/day-7.csv", "us/day-9.csv", "us/night.csv"):
            self.put(f"in/{name}", name.encode())
        devices = [{"name": "stdin", "path": "swift://~/in/*/day-*.csv"},
                   {"name": "stdout", "path": "swift://~/out/*/sum-*.txt",
                    "content_type": "text/csv", "meta": {"Made-By": "test"}}]
        self.succeed([group("g", "cat", devices)])
        self.assertEqual(self.names("out"), ["eu/sum-7.txt", "us/sum-9.txt"])
        stored = self.get("out/eu/sum-7.txt")
        self.assertEqual(stored.body, b"eu/day-7.csv")
        self.assertEqual(stored.headers["Content-Type"], "text/csv")
        self.assertEqual(stored.headers["X-Object-Meta-Made-By"], "test")

    def test_connects_mappers_to_reducers(self):
        for i in range(5):
            self.put(f"in/{i}", f"object {i}".encode())
        job = [group("map", "scatter", [{"name": "stdin", "path": "swift://~/in/*"}],
                     connect=["reduce"]),
               group("reduce", "gather", [STDOUT], count=2)]
        expected = "".join(f"map-{i + 1}:object {i}\n" for i in range(5))
        self.assertEqual(self.succeed(job).body.decode(), expected * 2)

    def test_runs_more_sessions_than_can_be_alive_at_once(self):
        response = self.succeed([group("g", "name", [STDOUT], count=200)])
        self.assertEqual(response.body.decode(), "".join(f"g-{i + 1}\n" for i in range(200)))

    def test_a_failing_session_is_named_and_nothing_is_stored(self):
        devices = [{"name": "stdout", "path": "swift://~/out/*"}]
        job = [group("good", "name", devices), group("bad", "fail", devices)]
        response = self.service.job(job, headers={"Accept": "application/json"})
        self.assertEqual(response.status, 500)
        told = json.loads(response.body)
        self.assertEqual(told["failed_session"], "bad")
        self.assertIn("exit code 7", told["error"]["message"])
        tail = next(s for s in told["sessions"] if s["name"] == "bad")["stderr"]
        self.assertTrue(tail.endswith("line 19999 of a long complaint\nthe last words\n"))
        self.assertLessEqual(len(tail), 64 * 1024)
        self.assertEqual(self.names("out"), [])

    def test_a_guest_that_crashes_is_told_with_its_signal(self):
        response = self.service.job([group("g", "crash")])
        self.assertEqual(response.status, 500)
        self.assertIn(b"signal 11", response.body)

    def test_a_session_has_a_time_limit(self):
        response = self.service.job([group("g", "spin", timeout=0.2)])
        self.assertEqual(response.status, 408)
        self.assertIn(b"200 ms", response.body)

    def test_a_program_that_is_no_guest_is_refused(self):
        self.put("bin/host", pathlib.Path("/bin/true").read_bytes())
        self.put("bin/junk", b"\x7fELF" + bytes(5000))
        for name in ("host", "junk", "empty"):
            if name == "empty":
                self.put("bin/empty", b"")
            job = [{"name": "g", "exec": {"path": f"swift://~/bin/{name}"}}]
            response = self.service.job(job)
            self.assertEqual(response.status, 422, response.body)
            self.assertGreater(len(response.body), 20)

    def test_malformed_jobs_are_refused_with_a_pointer(self):
        for document, pointer in ((b"[{]", b"JSON"), (b'[{"name": "a"}]', b"/0"),
                                  ([group("a", "cat", connect=["b"])], b"/0/connect/0"),
                                  ([group("a", "cat", [{"name": "stdin", "path": "swift://~/in/*"}])],
                                   b"/0/devices/0"),
                                  ([group(f"g{i}", "cat") for i in range(101)], b"groups"),
                                  (b"[" * 100_000, b"document_depth"),
                                  (b" " * 2_000_000, b"document_bytes")):
            response = self.service.job(document)
            self.assertEqual(response.status // 100, 4, response.body)
            self.assertIn(pointer, response.body)

    def test_needs_a_token_that_owns_the_account(self):
        job = [group("g", "name", [STDOUT])]
        self.assertEqual(self.service.job(job, headers={"X-Auth-Token": "wrong"}).status, 401)
        guest = self.service.token("test:guest", "guest")
        self.assertEqual(self.service.job(job, headers={"X-Auth-Token": guest}).status, 403)
        self.assertEqual(self.service.job(job, target="/v1/AUTH_other").status, 403)

    def begin(self, job):
        """Posts a job and does not wait for its answer; returns the connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=300)
        connection.request("POST", f"/v1/{ACCOUNT}", json.dumps(job),
                           {"X-Zerovm-Execute": "1.0", "Content-Type": "application/json",
                            "X-Auth-Token": self.service.token()})
        return connection

    def test_a_client_that_leaves_ends_its_job(self):
        connection = self.begin([group("g", "spin", [{"name": "stdout", "path": "swift://~/out/*"}],
                                       count=4)])
        self.wait_until(self.service.children)
        connection.close()
        self.wait_until(lambda: self.service.children() == [])
        self.assertEqual(self.names("out"), [])

    def test_sessions_end_with_the_server(self):
        for sign in (signal.SIGTERM, signal.SIGKILL):
            connection = self.begin([group("g", "spin", count=2)])
            self.wait_until(self.service.children)
            sessions = self.service.children()
            self.service.stop(sign)
            connection.close()
            self.wait_until(lambda: not any(map(is_running, sessions)))  # noqa: B023
            self.service.start()
        self.warm_up()

    def test_an_output_limit_is_named(self):
        for limit in ("response_bytes", "job_spool_bytes"):
            self.restart(f"/jobs/{limit}=1000000")
            response = self.service.job([group("g", "endless-output", [STDOUT])])
            self.assertIn(response.status, (413, 500), response.body)
            self.assertIn(limit.encode(), response.body)

    def restart(self, *settings):
        self.service.stop()
        self.service.settings = settings
        self.service.start()
        self.warm_up()

    def test_several_jobs_run_side_by_side(self):
        results = []
        def run(number):
            body = self.service.job([group(f"j{number}", "name", [STDOUT], count=10)]).body
            results.append(body.decode() == "".join(f"j{number}-{i + 1}\n" for i in range(10)))
        threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(results, [True] * 8)

    def test_a_report_tells_about_every_session(self):
        response = self.succeed([group("g", "name", [STDOUT], count=3)], headers={"Accept": REPORT})
        report = json.loads(response.body)
        self.assertEqual([s["name"] for s in report["sessions"]], ["g-1", "g-2", "g-3"])
        self.assertEqual(report["body"], "g-1\ng-2\ng-3\n")


class JobsThroughAFront(Jobs):
    """The same jobs, their inputs, programs and outputs over HTTP: the answers must be the same."""

    def make_service(self):
        self.store = super().make_service()
        self.addCleanup(lambda: self.store.stop(signal.SIGKILL))
        self.store.start()
        return Service(self.directory, arguments=["--upstream", self.store.url])

    def quiet_files(self):
        # Connections to the store are kept for the next job: how many is not the point here.
        self.wait_until(lambda: self.service.children() == [])
        return [link for link in self.service.open_files() if link not in ("socket",)]


if __name__ == "__main__":
    unittest.main(verbosity=2)
