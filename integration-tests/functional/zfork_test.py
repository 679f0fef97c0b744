"""zfork and [precache]: a guest that starts once and serves sessions with files and environment of their own."""

import os
import pathlib
import select
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from framework.service import PATH, PROGRAM  # noqa: E402

ZEROVM = pathlib.Path(PROGRAM).parent / "zerovm"
WARM = pathlib.Path(os.environ["ZEROCLOUD_GUESTS"]) / "zvsh-warm"


class WarmGuests(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="zerocloud-zfork-")
        self.addCleanup(directory.cleanup)
        self.work = pathlib.Path(directory.name)
        self.image("base.tar", "base.txt", "the base")

    def image(self, archive, name, text):
        (self.work / "member").write_text(text)
        with tarfile.open(self.work / archive, "w") as tar:
            tar.add(self.work / "member", name)

    def manifest(self, name, nvram, session_text, job=True):
        """A session's files are named after it."""
        self.image(f"{name}.tar", "session.txt", session_text)
        (self.work / f"{name}.nvram").write_text(nvram)
        lines = ["Version = 20130611", f"Program = {WARM}", "Memory = 67108864, 0", "Timeout = 20",
                 "Channel = /dev/null, /dev/stdin, 0, 0, 9, 9, 0, 0",
                 f"Channel = {self.work}/{name}.out, /dev/stdout, 0, 0, 0, 0, 999, 9999",
                 f"Channel = {self.work}/{name}.err, /dev/stderr, 0, 0, 0, 0, 999, 9999",
                 f"Channel = {self.work}/{name}.nvram, /dev/nvram, 1, 0, 99, 99999, 0, 0",
                 f"Channel = {self.work}/base.tar, /dev/base.tar, 1, 0, 999, 9999999, 0, 0",
                 f"Channel = {self.work}/{name}.tar, /dev/session.tar, 1, 0, 999, 9999999, 0, 0"]
        if job:
            lines.append(f"Job = {self.work}/job")
        return "\n".join(lines) + "\n"

    def start(self, manifest):
        (self.work / "manifest").write_text(manifest)
        done = subprocess.run([ZEROVM, self.work / "manifest"], capture_output=True, timeout=60, check=False,
                              env={"PATH": PATH}, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout.decode().splitlines()

    def ask(self, manifest):
        """Lines of the report of a session that the daemon starts."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(60)
            client.connect(str(self.work / "job"))
            self.daemon = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
            text = manifest.encode()
            client.sendall(b"0x%06x" % len(text) + text)
            answer = b""
            while part := client.recv(65536):
                answer += part
        return answer[8:].decode().splitlines()

    def stop(self):
        pidfd = os.pidfd_open(self.daemon)
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        self.assertTrue(select.select([pidfd], [], [], 60)[0])
        os.close(pidfd)

    def nvram(self, name, first="fork", more=""):
        return (f"[args]\nargs = warm {first} {name}\n[env]\nname=NAME,value={name}\n[fstab]\n"
                "channel=/dev/base.tar,mountpoint=/,access=ro\n"
                f"channel=/dev/session.tar,mountpoint=/,access=ro,removable=yes\n{more}")

    def output(self, name):
        return (self.work / f"{name}.out").read_text().lstrip("\0")

    def test_without_a_job_the_program_runs_as_always(self):
        report = self.start(self.manifest("one", self.nvram("one"), "of one", job=False))
        self.assertEqual(report[1:3], ["0", "7"])
        self.assertEqual(self.output("one"),
                         "/base.txt: the base\nbefore, argument one, NAME=one\n/session.txt: of one\n")

    def test_sessions_that_go_on_have_their_own_environment_and_files(self):
        report = self.start(self.manifest("one", self.nvram("one"), "of one"))
        self.assertEqual(report[1], "1", report)
        try:
            for name in ("two", "three"):
                report = self.ask(self.manifest(name, self.nvram(name), f"of {name}, which is longer"))
                self.assertEqual(report[2], "7", report)
                self.assertEqual(self.output(name),
                                 f"argument one, NAME={name}\n/session.txt: of {name}, which is longer\n")
        finally:
            self.stop()
        self.assertEqual(self.output("one"), "/base.txt: the base\nbefore, ")

    def test_precache_makes_a_daemon_of_a_program_that_knows_nothing_of_it(self):
        nvram = self.nvram("one", "simply", "[precache]\nprecache=yes\n")
        report = self.start(self.manifest("one", nvram, "of one"))
        self.assertEqual(report[1], "1", report)
        try:
            report = self.ask(self.manifest("two", self.nvram("two", "simply"), "of two"))
            self.assertEqual(report[2], "7", report)
            self.assertEqual(self.output("two"),
                             "/base.txt: the base\nbefore, argument one, NAME=two\n/session.txt: of two\n")
        finally:
            self.stop()
        self.assertEqual(self.output("one"), "")


if __name__ == "__main__":
    unittest.main(verbosity=2)
