"""quickstart.sh on a few small texts: it passes, it sees one wrong byte, and it leaves nothing."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from framework.service import PATH, PROGRAM  # noqa: E402

SCRIPT = pathlib.Path(__file__).resolve().parent.parent / "quickstart.sh"
LICENSES = pathlib.Path("/usr/share/common-licenses")


class QuickStart(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="zerocloud-quickstart-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.texts = self.directory / "texts"
        self.temporary = self.directory / "tmp"
        self.texts.mkdir()
        self.temporary.mkdir()
        whole = b"".join(path.read_bytes() for path in sorted(LICENSES.iterdir())
                         if path.is_file() and not path.is_symlink())
        self.assertGreater(len(whole), 200_000)
        for i in range(5):
            (self.texts / f"text-{i}.txt").write_bytes(whole[i * len(whole) // 5:][:50_000])

    def command(self, *options):
        return ["/bin/bash", str(SCRIPT), "--bin", os.path.dirname(PROGRAM), "--texts", str(self.texts),
                *options]

    def environment(self):
        return {"PATH": PATH, "TMPDIR": str(self.temporary), "HOME": str(self.directory),
                "LC_ALL": "C.UTF-8"}

    def run_script(self, *options):
        done = subprocess.run(self.command(*options), env=self.environment(), capture_output=True,
                              timeout=200, check=False, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout.decode() + done.stderr.decode()

    def servers(self):
        """Processes that name our directory."""
        found = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if str(self.temporary).encode() in (process / "cmdline").read_bytes():
                    found.append(int(process.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
        return found

    def wait_until(self, condition):
        deadline = time.monotonic() + 60
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def assert_nothing_left(self):
        self.assertEqual(self.servers(), [])
        self.assertEqual(list(self.temporary.iterdir()), [])

    def test_it_counts_as_coreutils_does(self):
        status, output = self.run_script()
        self.assertEqual(status, 0, output)
        self.assertRegex(output, r"the same: \d+ different words")
        self.assertRegex(output, r"(?m)^map-5 ")
        self.assertRegex(output, r"(?m)^reduce-4 ")
        self.assertRegex(output, r"(?m)^the\t\d+$")
        self.assert_nothing_left()

    def test_one_wrong_byte_is_seen(self):
        status, output = self.run_script("--corrupt")
        self.assertNotEqual(status, 0)
        self.assertIn("DIFFERENT from coreutils", output)
        self.assertNotIn("the same:", output)
        self.assert_nothing_left()

    def test_beside_a_real_swift_every_reader_is_local_and_kill_stops_all(self):
        with open(self.directory / "output", "wb") as output:
            status = subprocess.run(self.command("--swift", "--keep"), env=self.environment(), stdout=output,
                                    stderr=subprocess.STDOUT, timeout=250, check=False).returncode
        said = (self.directory / "output").read_text()
        self.assertEqual(status, 0, said)
        server = int(re.search(r"stop it with: kill (\d+)", said).group(1))
        self.assertGreater(len(self.servers()), 4)
        os.kill(server, signal.SIGTERM)
        self.wait_until(lambda: self.servers() == [])
        self.assertIn("5 of the 5 sessions that read stored objects were local", said)
        self.assertIn("4 of the 4 sessions that read stored objects were local", said)
        self.assertRegex(said, r"the same: \d+ different words")

    def test_an_unknown_option_is_explained(self):
        status, output = self.run_script("--nonsense")
        self.assertEqual(status, 2)
        for option in ("--swift", "--keep", "--texts DIR", "--corrupt", "--bin DIR"):
            self.assertIn(option, output)

    def test_what_it_says_to_try_works(self):
        # Its server keeps the descriptors, so the output goes to a file.
        with open(self.directory / "output", "wb") as output:
            status = subprocess.run(self.command("--keep"), env=self.environment(), stdout=output,
                                    stderr=subprocess.STDOUT, timeout=200, check=False).returncode
        said = (self.directory / "output").read_text()
        server = int(re.search(r"stop it with: kill (\d+)", said).group(1))
        try:
            self.assertEqual(status, 0, said)
            self.assertEqual(self.servers(), [server])
            lines = [line for line in said.splitlines() if line.startswith("curl ")]
            self.assertEqual(len(lines), 3)
            answers = [subprocess.run(["/bin/bash", "-c", line], env=self.environment(), check=True,
                                      capture_output=True, timeout=60).stdout.decode() for line in lines]
            self.assertIn('"name":"reduce-1.tsv"', answers[0].replace(" ", ""))
            self.assertRegex(answers[1], r"^\w+\t\d+\n")
            self.assertEqual(answers[2].count("\n"), 20)
        finally:
            os.kill(server, signal.SIGTERM)
            self.wait_until(lambda: self.servers() == [])

    def test_interrupted_it_stops_its_server(self):
        with open(self.directory / "output", "wb") as output:
            process = subprocess.Popen(self.command(), env=self.environment(), stdout=output,
                                       stderr=output, start_new_session=True)
        self.wait_until(lambda: self.servers() or process.poll() is not None)
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)
        self.wait_until(lambda: self.servers() == [])
        self.assertEqual(list(self.temporary.iterdir()), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
