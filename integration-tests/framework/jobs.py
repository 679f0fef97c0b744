"""Tests of jobs: a service with the guests of integration-tests/guests stored in /programs, and after
each test the proof that it left nothing behind."""

import collections
import contextlib
import http.client
import json
import os
import pathlib
import struct

from framework.service import Service, ServiceTest

GUESTS = pathlib.Path(os.environ.get("ZEROCLOUD_GUESTS", "build/release/guests")).resolve()
REPORT = {"Accept": "application/vnd.zerocloud.report+json"}


def group(name, program, args="", devices=(), env=None, **more):
    """One group of a job. Devices are dictionaries, or just names."""
    execute = {"path": f"swift://~/programs/{program}", "args": args}
    if env is not None:
        execute["env"] = env
    return {"name": name, "exec": execute,
            "devices": [{"name": each} if isinstance(each, str) else each for each in devices],
            **more}


def device(name, path, **more):
    return {"name": name, "path": f"swift://~/{path}", **more}


def poured(size):
    """What the guest `pour` writes."""
    count = size // 8 + 1
    return struct.pack(f"<{count}Q", *range(count))[:size]


def is_alive(pid):
    """Whether a process runs; one that nobody has reaped does not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class JobTest(ServiceTest):
    programs = ("show", "copy", "gather", "mesh", "pour", "fail", "sample")

    def make_service(self):
        self.spool = self.directory / "spool"
        self.spool.mkdir()
        return Service(self.directory, settings=(f"engine.spool_directory={self.spool}",
                                                 *self.settings))

    def setUp(self):
        super().setUp()
        for container in ("programs", "in", "out"):
            self.put(container, b"")
        for program in self.programs:
            self.put(f"programs/{program}", (GUESTS / f"jobs-{program}").read_bytes())
        self.warm_up()
        self.quiet = self.files()

    def warm_up(self):
        """Opens what a service opens once: a job that reads, lists and stores."""
        self.put("in/warm", b"up")
        self.succeed([group("warm", "copy", "- -",
                            [device("stdin", "in/w*"), device("stdout", "out/warm")])])
        for path in ("in/warm", "out/warm"):
            self.service.request("DELETE", f"/v1/AUTH_test/{path}")

    def tearDown(self):
        """Every test ends with this proof, also those whose server was killed and started again."""
        self.wait_until(lambda: self.service.children() == [])
        # Nothing more than before the test. Less may be: what the warm-up left was still being closed.
        self.wait_until(lambda: not collections.Counter(self.files()) - collections.Counter(self.quiet),
                        describe=self.files)
        self.assertEqual(self.service.temporary_files(), [])
        self.assertEqual(list(self.spool.iterdir()), [])

    def files(self):
        """What is open when no connection is, but for the verified programs, which are kept."""
        self.quiet_files()
        links = []
        for link in pathlib.Path(f"/proc/{self.service.process.pid}/fd").iterdir():
            try:
                target = os.readlink(link)
            except FileNotFoundError:
                continue  # closed meanwhile
            if "zvm-image" not in target:
                links.append("pipe" if target.startswith("pipe:") else target)
        return sorted(link for link in links if not link.startswith("socket:"))

    def run_job(self, document, headers=None, target="/v1/AUTH_test"):
        return self.service.job(document, target=target, headers=headers)

    def succeed(self, document, **more):
        """The body of a job that must succeed."""
        response = self.run_job(document, **more)
        self.assertEqual(response.status, 200, response.body[:2000])
        return response.body

    def report(self, document, status=200, **more):
        """The report of a job."""
        response = self.run_job(document, headers=REPORT, **more)
        self.assertEqual(response.status, status, response.body[:2000])
        return json.loads(response.body)

    @contextlib.contextmanager
    def under_way(self, document):
        """A job that runs until the block ends; then its client leaves, which ends it."""
        token = self.service.token()
        connection = http.client.HTTPConnection(self.service.host, self.service.port, timeout=300)
        with contextlib.closing(connection):
            connection.request("POST", "/v1/AUTH_test", body=json.dumps(document), headers={
                "X-Zerovm-Execute": "1.0", "Content-Type": "application/json", "X-Auth-Token": token})
            yield

    def refuse(self, document, status, *sentences, headers=None, target="/v1/AUTH_test"):
        """A job that must be refused, with these words in its answer; returns the answer."""
        response = self.run_job(document, headers=headers, target=target)
        self.assertEqual(response.status, status, response.body[:2000])
        for sentence in sentences:
            self.assertIn(sentence, response.body.decode())
        return response

    def fill(self, container="in", **objects):
        for name, body in objects.items():
            self.put(f"{container}/{name}", body)

    def names(self, container):
        return self.get(container).body.decode().splitlines()
