"""The units on a machine that boots: installed as docs/operations.md says, beside a real Swift, they start,
run jobs on stored files as a user without rights, come back when they are killed, and stop."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from framework import machine  # noqa: E402
from framework.jobs import GUESTS, REPORT, device, group  # noqa: E402
from framework.service import ACCOUNT, PATH, PROGRAM, Endpoint, read_or_nothing  # noqa: E402
from framework.swift_cluster import SwiftCluster  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("ZEROCLOUD_BUILD", pathlib.Path(PROGRAM).parent.parent))
SANITIZER = re.search(r"(?m)^ZEROCLOUD_SANITIZE:\w+=(.*)$", (BUILD / "CMakeCache.txt").read_text())[1]
UNITS = ("zerocloud-node", "zerocloud")
INSIDE = "ZEROCLOUD_BOOTED"
SERVICE, NODE = "127.0.0.1:8081", "127.0.0.1:8090"


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        journal = subprocess.run(["journalctl", "--no-pager", "--lines=20", *(f"--unit={unit}" for unit in UNITS)], capture_output=True, text=True, check=False)
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}{journal.stdout}")
    return done.stdout


@unittest.skipIf(INSIDE in os.environ, "this is the machine")
class Booted(unittest.TestCase):
    def test_units(self):
        if reason := machine.why_not():
            self.skipTest(reason)
        status, output = machine.boot(
            ["/usr/bin/python3", "-B", __file__, "-v", "Units"], [ROOT, BUILD],
            {INSIDE: "1", "ZEROCLOUD_PROGRAM": PROGRAM, "ZEROCLOUD_GUESTS": GUESTS, "ZEROCLOUD_BUILD": BUILD})
        self.assertEqual(status, 0, output[-8000:])
        self.assertRegex(output, r"Ran 5 tests in .*\n\nOK\n")


def configure(sample, **values):
    """A sample where the units look for it, with other values."""
    text = (pathlib.Path("/usr/local/share/zerocloud") / sample).read_text()
    for key, value in values.items():
        text, count = re.subn(rf"(?m)^{key} = .*$", f"{key} = {value}", text, count=1)
        if count != 1:
            raise RuntimeError(f"{sample} does not set {key}")
    return text


def install(swift):
    """As docs/operations.md and docs/nodes.md say."""
    run("cmake", "--install", BUILD)
    run("groupadd", "--system", "--force", "swift")
    run("useradd", "--system", "--user-group", "--home-dir", "/var/lib/zerocloud", "zerocloud")
    etc = pathlib.Path("/etc/zerocloud")
    etc.mkdir()
    (etc / "zerocloud.conf").write_text(
        configure("zerocloud-front.conf", upstream=swift.url) +
        f"[local]\nswift_dir = /etc/swift\n[nodes]\nkey_file = {etc}/keys\nlist = {NODE}\n")
    (etc / "node.conf").write_text(configure("zerocloud-node.conf", upstream=swift.url, listen=NODE))
    (etc / "keys").touch(mode=0o600)
    (etc / "keys").write_text(f"one - - {os.urandom(32).hex()}\n")
    run("chown", "zerocloud", etc / "keys")
    drop_in = ROOT / "swift-config/zerocloud.service.d/10-beside-swift.conf"
    for unit in UNITS:
        run("install", "-D", "-m", "644", drop_in, f"/etc/systemd/system/{unit}.service.d/{drop_in.name}")
    for path, what in (("/srv/node", swift.devices()), ("/etc/swift", swift.swift_dir)):
        pathlib.Path(path).mkdir(parents=True, exist_ok=True)
        run("mount", "--bind", what, path)
    run("systemctl", "daemon-reload")
    # The leak check of a build with AddressSanitizer stops its own threads by ptrace, which the units forbid.
    run("systemctl", "set-environment", "ASAN_OPTIONS=detect_leaks=0")


@unittest.skipUnless(INSIDE in os.environ, "for the machine that Booted boots")
class Units(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.swift = SwiftCluster(nodes=1, directory="/var/lib/swift-under-test").start()
        cls.addClassCleanup(cls.swift.stop)
        install(cls.swift)
        run("systemctl", "enable", "--now", *UNITS)
        cls.addClassCleanup(run, "systemctl", "stop", *UNITS)
        cls.front = Endpoint()
        cls.front.address = SERVICE
        for path, body in (("programs", b""), ("in", b""), ("out", b""), ("in/o", b"text"),
                           ("programs/copy", (GUESTS / "jobs-copy").read_bytes())):
            cls.front.request("PUT", f"/v1/{ACCOUNT}/{path}", body)

    def property(self, unit, name):
        return run("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def report(self):
        """Of a job that copies an object to another one."""
        job = [group("g", "copy", "- -", [device("stdin", "in/o"), device("stdout", "out/o")])]
        answer = self.front.request("POST", f"/v1/{ACCOUNT}", json.dumps(job).encode(), {
            "X-Zerovm-Execute": "1.0", "Content-Type": "application/json", **REPORT})
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(self.front.request("GET", f"/v1/{ACCOUNT}/out/o").body, b"text")
        return json.loads(answer.body)

    def wait_until(self, condition):
        deadline = time.monotonic() + 60
        while not condition():
            if time.monotonic() > deadline:
                self.fail(run("journalctl", "--no-pager", "--lines=40"))
            time.sleep(0.05)

    def test_jobs_read_stored_files_as_a_user_without_rights(self):
        session = self.report()["sessions"][0]
        self.assertTrue(session["local"], session)
        self.assertEqual(session["node"], NODE)
        for unit in UNITS:
            status = read_or_nothing(f"/proc/{self.property(unit, 'MainPID')}/status").decode()
            self.assertNotRegex(status, r"(?m)^Uid:.*\b0\b")
            self.assertRegex(status, r"(?m)^CapBnd:\s0+$")
            self.assertRegex(status, r"(?m)^Seccomp:\s2$")

    def test_memory_is_bounded_and_no_reason_to_stop(self):
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        for unit in UNITS:
            self.assertLessEqual(int(self.property(unit, "MemoryMax")), total * 3 // 4)
            self.assertEqual(self.property(unit, "OOMPolicy"), "continue")

    def test_sessions_are_shut_in_as_without_systemd(self):
        doctor = "/usr/local/bin/zerocloud doctor --json --store /var/lib/zerocloud/store"
        unit = pathlib.Path("/usr/local/lib/systemd/system/zerocloud-node.service").read_text()
        for pattern, line in ((r"Type=.*", "Type=oneshot"), (r"Restart=.*", "StandardOutput=file:/run/found"),
                              (r"ExecStart=.*", f"ExecStart={doctor}")):
            unit, count = re.subn(f"(?m)^{pattern}$", line, unit)
            self.assertEqual(count, 1)
        pathlib.Path("/run/systemd/system/doctor.service").write_text(unit)
        run("systemctl", "daemon-reload")
        run("systemctl", "start", "doctor")

        def layers(text):
            return next(finding["found"] for finding in json.loads(text)["findings"] if finding["check"] == "sandbox")
        inside = layers(pathlib.Path("/run/found").read_text())
        if SANITIZER != "thread":  # whose own thread keeps a process out of another user namespace
            self.assertIn("a session ran, with", inside)
        self.assertEqual(inside, layers(run("runuser", "-u", "zerocloud", "--", *doctor.split())))

    def test_they_come_back_when_they_are_killed_and_reload(self):
        for unit in UNITS:
            before = self.property(unit, "MainPID")
            os.kill(int(before), signal.SIGKILL)
            self.wait_until(lambda unit=unit, before=before: self.property(unit, "ActiveState") == "active" and
                            self.property(unit, "MainPID") not in ("0", before))
        run("systemctl", "reload", "zerocloud")
        self.report()

    def test_they_stop_and_leave_nothing(self):
        self.report()
        for unit in UNITS:
            group_of = self.property(unit, "ControlGroup")
            run("systemctl", "stop", unit)
            self.assertEqual(self.property(unit, "Result"), "success")
            self.assertFalse(pathlib.Path(f"/sys/fs/cgroup{group_of}/cgroup.procs").exists())
        run("systemctl", "start", *UNITS)
        self.report()


if __name__ == "__main__":
    unittest.main(verbosity=2)
