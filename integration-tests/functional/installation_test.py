"""What is installed: the tree below DESTDIR works where it lies, and the systemd unit gives the service what
it needs and no more."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from framework import service as framework  # noqa: E402
from framework.service import ACCOUNT, PATH, PROGRAM, Service  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNIT = ROOT / "swift-config" / "zerocloud.service"
UNITS = (UNIT, ROOT / "swift-config" / "zerocloud-node.service")
BUILD = pathlib.Path(os.environ.get("ZEROCLOUD_BUILD", pathlib.Path(PROGRAM).parent.parent))
PROGRAM_TEXT = '#include <unistd.h>\nint main(void) { return write(1, "installed\\n", 10) != 10; }\n'


class TestDirectory(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="zerocloud-install-"))
        self.addCleanup(shutil.rmtree, self.directory)


class Installed(TestDirectory):
    def setUp(self):
        super().setUp()
        destination = self.directory / "root"
        done = subprocess.run(["cmake", "--install", BUILD], capture_output=True, timeout=300, check=False,
                              env={"PATH": PATH, "DESTDIR": str(destination)})
        self.assertEqual(done.returncode, 0, done.stderr.decode()[-2000:])
        prefix = re.search(r"(?m)^CMAKE_INSTALL_PREFIX:PATH=(.*)$", (BUILD / "CMakeCache.txt").read_text())[1]
        self.prefix = destination / prefix.lstrip("/")
        self.program = self.prefix / "bin" / "zerocloud"

    def test_runs_a_job_from_where_it_lies(self):
        self.assertTrue((self.prefix / "libexec/zerocloud/zvm-session").exists())
        doctor = subprocess.run([self.program, "doctor", "--json", "--store", self.directory / "store",
                                 "--set", "server.connections=100", "--set", "engine.sessions_at_once=2"],
                                capture_output=True, timeout=60, check=False)
        self.assertEqual(doctor.returncode, 0, doctor.stdout)
        before, framework.PROGRAM = framework.PROGRAM, str(self.program)
        self.addCleanup(setattr, framework, "PROGRAM", before)
        service = Service(self.directory).start()
        self.addCleanup(lambda: service.stop(signal.SIGKILL))
        with self.subTest("a job of a program that the installed compiler makes"):
            if not (BUILD / "zvm/libexec/as").exists():
                self.skipTest(f"{BUILD} builds no guests, so there is no compiler to install")
            (self.directory / "a.c").write_text(PROGRAM_TEXT)
            subprocess.run([self.prefix / "bin/zvm-cc", "-O2", "-o", self.directory / "a", self.directory / "a.c"],
                           check=True, env={"PATH": PATH}, timeout=60)
            for path, body in (("p", b""), ("p/a", (self.directory / "a").read_bytes())):
                self.assertEqual(service.request("PUT", f"/v1/{ACCOUNT}/{path}", body).status, 201)
            response = service.job([{"name": "a", "exec": {"path": "swift://~/p/a"},
                                     "devices": [{"name": "stdout"}]}])
            self.assertEqual((response.status, response.body), (200, b"installed\n"))
        self.assertEqual(service.stop(), 0)

    def test_has_the_samples_and_the_unit(self):
        for sample in (ROOT / "swift-config").glob("zerocloud*.conf*"):
            self.assertEqual((self.prefix / "share/zerocloud" / sample.name).read_bytes(), sample.read_bytes())
        for unit in UNITS:
            self.assertEqual((self.prefix / "lib/systemd/system" / unit.name).read_bytes(), unit.read_bytes())
        self.assertTrue((self.prefix / "share/doc/zerocloud/operations.md").exists())


class Notified(TestDirectory):
    def test_tells_systemd_when_it_is_ready_and_when_it_stops(self):
        for name in (str(self.directory / "notify"), f"@{self.directory.name}"):
            with self.subTest(name), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
                listening.bind(name.replace("@", "\0"))
                listening.settimeout(60)
                process = subprocess.Popen([PROGRAM, "serve", "--listen", "127.0.0.1:0", "--store",
                                            self.directory / "store"], stdout=subprocess.PIPE,
                                           env={"PATH": PATH, "NOTIFY_SOCKET": name})
                self.addCleanup(process.kill)
                self.assertEqual(listening.recv(100), b"READY=1")
                process.terminate()
                self.assertEqual(listening.recv(100), b"STOPPING=1")
                self.assertEqual(process.wait(timeout=60), 0)
                process.stdout.close()


@unittest.skipUnless(shutil.which("systemd-analyze", path=PATH), "systemd-analyze is not installed")
class Unit(TestDirectory):
    def analyze(self, *arguments):
        return subprocess.run(["systemd-analyze", "--no-pager", *arguments], capture_output=True, text=True,
                              timeout=60, check=False, env={"PATH": PATH})

    def test_is_a_unit_without_mistakes(self):
        for unit in UNITS:
            with self.subTest(unit.name):
                copy = self.directory / unit.name
                copy.write_text(unit.read_text().replace("/usr/local/bin/zerocloud", PROGRAM))
                with_more = self.directory / f"{unit.name}.d"
                with_more.mkdir()
                shutil.copy(ROOT / "swift-config/zerocloud.service.d/10-beside-swift.conf", with_more)
                done = self.analyze("verify", "--man=no", "--recursive-errors=no", str(copy))
                told = [line for line in done.stderr.splitlines() if unit.name in line]
                self.assertEqual((done.returncode, told), (0, []), done.stderr)

    def test_of_a_node_is_as_hard_as_the_services(self):
        service, node = ([line for line in unit.read_text().split("[Service]")[1].splitlines()
                          if line and not line.startswith(("#", "Exec"))] for unit in UNITS)
        self.assertEqual(node, service)

    def test_is_not_more_exposed_than_the_page_says(self):
        page = (ROOT / "docs/operations.md").read_text()
        said = float(re.search(r"exposure of (\d\.\d)", page)[1])
        for unit in UNITS:
            done = self.analyze("security", "--offline=true", "--json=off", str(unit))
            found = re.search(r"exposure level for \S+: (\d\.\d)", done.stdout)
            self.assertTrue(found, done.stdout + done.stderr)
            self.assertLessEqual(float(found[1]), said)

    def filter(self):
        """The system calls that the unit allows."""
        groups, current = {}, None
        for line in self.analyze("syscall-filter").stdout.splitlines():
            name = line.strip()
            if line.startswith("@"):
                current = groups.setdefault(name, [])
            elif current is not None and name and not name.startswith("#"):
                current.append(name)

        def expand(name):
            return set().union(*map(expand, groups.get(name, []))) if name.startswith("@") else {name}

        allowed = set()
        for words in re.findall(r"(?m)^SystemCallFilter=(.*)$", UNIT.read_text()):
            named = set().union(*map(expand, words.lstrip("~").split()))
            allowed = allowed - named if words.startswith("~") else allowed | named
        return allowed

    @unittest.skipUnless(shutil.which("strace", path=PATH), "strace is not installed")
    def test_filters_no_system_call_that_service_or_sessions_make(self):
        traced = self.directory / "calls"
        done = subprocess.run(["strace", "-f", "-qq", "-o", traced, PROGRAM, "doctor", "--json", "--store",
                               self.directory / "store"], capture_output=True, timeout=300, check=False,
                              env={"PATH": PATH})
        if not done.stdout:
            self.skipTest("this host allows no tracing")
        sandbox = [each for each in json.loads(done.stdout)["findings"] if each["check"] == "sandbox"]
        self.assertNotEqual(sandbox[0]["state"], "wrong", sandbox)
        made = set(re.findall(r"(?m)^\d+ +([a-z0-9_]+)\(", traced.read_text(errors="replace")))
        self.assertIn("seccomp", made)  # sessions were traced, too
        self.assertEqual(made - self.filter(), set())


if __name__ == "__main__":
    unittest.main(verbosity=2)
