"""zvsh as it is used: arguments, files, images, environment, exit status, debugger, and a ported
program with its files in an image."""

import bz2
import json
import os
import pathlib
import pty
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from framework.service import PATH, PROGRAM  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BIN = pathlib.Path(PROGRAM).parent
GUESTS = pathlib.Path(os.environ["ZEROCLOUD_GUESTS"])
TOOLS = GUESTS / "zvsh-tools"
FAULT, TIMEOUT, OTHER, HOST, USAGE = 128, 124, 125, 160, 182


class ZvshTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="zerocloud-zvsh-")
        self.addCleanup(directory.cleanup)
        self.work = pathlib.Path(directory.name)
        (self.work / "tmp").mkdir()
        self.environment = {"PATH": f"{BIN}:{PATH}", "HOME": str(self.work), "LC_ALL": "C.UTF-8",
                            "TMPDIR": str(self.work / "tmp")}

    def tearDown(self):
        self.assertEqual(list((self.work / "tmp").iterdir()), [], "zvsh left files behind")

    def zvsh(self, *words, status=0, stdin=b"", **options):
        """Runs it; returns its two outputs."""
        done = subprocess.run(["zvsh", *map(str, words)], input=stdin, capture_output=True, timeout=60, check=False,
                              cwd=self.work, env=self.environment, **options)
        self.assertEqual(done.returncode, status, (words, done.stdout[-2000:], done.stderr[-2000:]))
        return done.stdout.decode(), done.stderr.decode()

    def tools(self, *words, **options):
        return self.zvsh(TOOLS, *words, **options)

    def write(self, name, text):
        (self.work / name).write_text(text)
        return self.work / name

    def read(self, name):
        return (self.work / name).read_text()


class Arguments(ZvshTest):
    def test_arrive_as_they_are(self):
        words = ["a b", "", "c,d=e", "#;\"'\\", "line\nbreak", "-x", "--zvm-image", "é\x7f"]
        expected = "".join(f"<{word}>\n" for word in ["zvsh-tools", "echo", *words])
        self.assertEqual(self.tools("echo", *words)[0], expected)

    def test_that_begin_with_two_at_signs_have_one(self):
        self.assertEqual(self.tools("echo", "@@x", "@")[0], "<zvsh-tools>\n<echo>\n<@x>\n<@>\n")

    def test_that_name_variables_are_the_environment(self):
        self.assertEqual(self.tools("env", "@A=1,2 3", "@B=x", "@A=\"last\"")[0], 'A="last"\nB=x\n')

    def test_too_long_for_a_guest_are_refused(self):
        _, error = self.tools("echo", "x" * 11000, status=USAGE)
        self.assertIn("a guest reads 10240", error)


class Files(ZvshTest):
    def test_are_read_and_written_in_place(self):
        self.write("data.txt", "before\n")
        self.tools("append", "@data.txt", "after\n")
        self.assertEqual(self.read("data.txt"), "before\nafter\n")

    def test_that_are_missing_are_made(self):
        self.tools("append", "@new", "text")
        self.assertEqual(self.read("new"), "text")

    def test_are_named_by_number_and_base_name(self):
        self.write("a", ""), self.write("b,c", "")
        output, _ = self.tools("echo", "@a", f"@{self.work}/b,c", "@./a")
        self.assertEqual(output.split("\n")[2:5], ["</dev/1.a>", "</dev/2.b_c>", "</dev/1.a>"])

    def test_with_a_name_no_manifest_can_hold_work(self):
        self.write("a=b;c:d, e", "odd")
        self.assertEqual(self.tools("cat", "@a=b;c:d, e")[0], "odd")

    def test_that_cannot_be_are_refused(self):
        self.assertIn("@nowhere/x", self.tools("cat", "@nowhere/x", status=USAGE)[1])
        self.assertIn("no regular file", self.tools("cat", "@/dev/null", status=USAGE)[1])

    def test_the_command_itself_can_be_read(self):
        self.assertIn("/dev/self", self.tools("cat", "/dev/self/x", status=1)[1])
        self.assertEqual(self.tools("ls", "/dev")[0].count("self"), 1)


class Streams(ZvshTest):
    def test_are_the_callers(self):
        output, error = self.tools("cat", "-", stdin=b"x" * 300000)
        self.assertEqual((len(output), error), (300000, ""))
        self.assertEqual(self.tools("error"), ("", "to the error stream\n"))

    def test_input_goes_on_where_it_stands(self):
        path = self.write("input", "first\nsecond\n")
        with open(path, "rb") as file:
            os.read(file.fileno(), 6)
            done = subprocess.run(["zvsh", TOOLS, "cat", "-"], stdin=file, capture_output=True, timeout=60,
                                  check=True, cwd=self.work, env=self.environment)
        self.assertEqual(done.stdout, b"second\n")

    def test_closed_input_is_empty(self):
        done = subprocess.run(["sh", "-c", f"zvsh {TOOLS} cat - <&-"], capture_output=True, timeout=60, check=True,
                              cwd=self.work, env=self.environment)
        self.assertEqual(done.stdout, b"")

    def test_output_without_a_reader_ends_the_run(self):
        done = subprocess.run(["bash", "-c", f"zvsh {TOOLS} yes | head -n 1; exit ${{PIPESTATUS[0]}}"],
                              capture_output=True, timeout=60, check=False, cwd=self.work, env=self.environment)
        self.assertEqual((done.stdout, done.returncode), (b"yes\n", 128 + signal.SIGPIPE))

    def test_a_terminal_is_one_for_the_guest(self):
        master, terminal = pty.openpty()
        done = subprocess.run(["zvsh", TOOLS, "tty"], stdin=terminal, stdout=subprocess.PIPE, stderr=terminal,
                              timeout=60, check=True, cwd=self.work, env=self.environment)
        os.close(master), os.close(terminal)
        self.assertEqual(done.stdout, b"1 0 1\n")

    def test_a_signal_ends_everything(self):
        process = subprocess.Popen(["zvsh", TOOLS, "yes"], stdout=subprocess.PIPE, cwd=self.work, env=self.environment)
        process.stdout.read(4)
        process.terminate()
        process.stdout.read()
        self.assertEqual(process.wait(60), 128 + signal.SIGTERM)
        process.stdout.close()


class ExitStatus(ZvshTest):
    def test_is_the_guests_or_said(self):
        for code in (0, 1, 99, 123, 200, 255):
            self.tools("exit", code, status=code)
        for code in (124, 160, 1234, -1):
            self.assertIn(f"the guest exited with {code}", self.tools("exit", code, status=OTHER)[1])

    def test_of_a_fault_is_the_signal(self):
        _, error = self.tools("fault", status=FAULT + signal.SIGSEGV)
        self.assertRegex(error, r"Signal 11 .*\(main\+")
        self.assertIn("ERROR: ZeroVM return code is 4", error)

    def test_of_a_timeout(self):
        self.write("zvsh.cfg", "[manifest]\nTimeout = 1\n")
        self.assertIn("session timeout", self.tools("loop", status=TIMEOUT)[1])

    def test_can_be_that_of_zerovm(self):
        self.zvsh("--zvm-getrc", TOOLS, "exit", 5, status=0)
        self.zvsh("--zvm-getrc", TOOLS, "fault", status=4)

    def test_of_a_wrong_command_line(self):
        for words in ([], ["--zvm-nothing", TOOLS], ["nowhere"], ["gdb", TOOLS], ["--zvm-image", "x,y", TOOLS]):
            self.zvsh(*words, status=USAGE)


class Configuration(ZvshTest):
    def test_comes_from_the_directory_and_the_home(self):
        (self.work / "here").mkdir()
        self.write("here/zvsh.cfg", "[manifest]\nNode = 2\n[env]\nA = here\n")
        self.write(".zvsh.cfg", "[manifest]\nNode = 3\nTimeout = 7\n[env]\nA = home\nB = home\n")
        done = subprocess.run(["zvsh", "--zvm-save-dir", "saved", TOOLS, "env", "@C=1"], capture_output=True,
                              timeout=60, check=True, cwd=self.work / "here", env=self.environment)
        self.assertEqual(done.stdout, b"A=here\nB=home\nC=1\n")
        manifest = self.read("here/saved/manifest.1")
        self.assertIn("Node = 2\nTimeout = 7\n", manifest)

    def test_limits_hold(self):
        self.write("zvsh.cfg", "[limits]\nwbytes = 10\n")
        self.assertEqual(self.tools("cat", "-", stdin=b"x" * 100, status=1)[0], "x" * 10)

    def test_mistakes_are_named(self):
        self.write("zvsh.cfg", "[manifest]\nTimout = 1\n")
        self.assertIn("zvsh.cfg: line 2: 'Timout'", self.tools("env", status=USAGE)[1])


class SavedFiles(ZvshTest):
    def test_tell_of_the_run_and_can_be_run_again(self):
        self.zvsh("--zvm-save-dir", "saved", TOOLS, "echo", "x")
        output = self.read("saved/stdout.1")
        self.assertEqual(output, "<zvsh-tools>\n<echo>\n<x>\n")
        self.assertEqual(json.loads(self.read("saved/report.1"))["session"]["exit_code"], 0)
        (self.work / "saved/stdout.1").unlink()
        subprocess.run([BIN / "zerovm", "saved/manifest.1"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       timeout=60, check=True, cwd=self.work)
        self.assertEqual(self.read("saved/stdout.1"), output)

    def test_are_not_overwritten(self):
        (self.work / "saved").mkdir()
        self.write("saved/nvram.1", "mine")
        self.assertIn("is there already", self.zvsh("--zvm-save-dir", "saved", TOOLS, "env", status=USAGE)[1])
        self.assertEqual(self.read("saved/nvram.1"), "mine")


class Images(ZvshTest):
    def image(self, name, files, tar_format=tarfile.GNU_FORMAT):
        """Makes an archive; a value that is a string with '->' before it is a link."""
        with tarfile.open(self.work / name, "w", format=tar_format) as archive:
            for path, text in files.items():
                member = tarfile.TarInfo(path)
                member.mode = 0o640
                if path.endswith("/"):
                    member.type, member.mode = tarfile.DIRTYPE, 0o750
                    archive.addfile(member)
                elif text.startswith("->"):
                    member.type, member.linkname = tarfile.SYMTYPE, text[2:]
                    archive.addfile(member)
                elif text.startswith("=>"):
                    member.type, member.linkname = tarfile.LNKTYPE, text[2:]
                    archive.addfile(member)
                else:
                    source = self.write("member", text)
                    member.size = len(text)
                    with open(source, "rb") as file:
                        archive.addfile(member, file)
        return name

    def test_of_every_format_are_mounted(self):
        long = "n" * 90 + "/" + "m" * 90
        for tar_format in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            with self.subTest(format=tar_format):
                name = self.image("data.tar", {"d/": "", "d/f": "text", long: "long", "big": "b" * 200000}, tar_format)
                output, _ = self.zvsh("--zvm-image", f"{name},/data", TOOLS, "cat", "/data/d/f", f"/data/{long}")
                self.assertEqual(output, "textlong")
                output, _ = self.zvsh("--zvm-image", f"{name},/data", TOOLS, "ls", "/data")
                self.assertIn("big 640 200000 1\nd 750 -1 2\n", output)

    def test_names_longer_than_a_header_holds(self):
        long = "x" * 200
        for tar_format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            name = self.image("data.tar", {long: "text"}, tar_format)
            self.assertEqual(self.zvsh("--zvm-image", name, TOOLS, "cat", f"/{long}")[0], "text")

    def test_links_become_further_names(self):
        name = self.image("data.tar", {"early": "->late", "f": "text", "hard": "=>f", "late": "->f", "none": "->x"})
        self.assertEqual(self.zvsh("--zvm-image", name, TOOLS, "cat", "/early", "/hard", "/late")[0], "text" * 3)
        self.zvsh("--zvm-image", name, TOOLS, "cat", "/none", status=1)

    def test_later_ones_overlay_earlier_ones(self):
        self.image("a.tar", {"f": "a", "only-a": "1"})
        self.image("b.tar", {"f": "bb"})
        images = ["--zvm-image", "a.tar", "--zvm-image", "b.tar"]
        self.assertEqual(self.zvsh(*images, TOOLS, "cat", "/f", "/only-a")[0], "bb1")

    def test_hold_the_command(self):
        with tarfile.open(self.work / "programs.tar", "w") as archive:
            archive.add(TOOLS, "bin/tool")
        output, _ = self.zvsh("--zvm-image", "programs.tar", "bin/tool", "echo", "x")
        self.assertEqual(output, "<tool>\n<echo>\n<x>\n")
        self.assertIn("in none of the images", self.zvsh("--zvm-image", "programs.tar", "tool", status=USAGE)[1])

    def test_that_are_written_hold_what_the_guest_left(self):
        self.zvsh("--zvm-image", "out.tar,/out,wo", TOOLS, "make", "/out/" + "n" * 120, "made")
        with tarfile.open(self.work / "out.tar") as archive:
            self.assertEqual([(member.name, archive.extractfile(member).read()) for member in archive],
                             [("n" * 120, b"made")])
        self.zvsh("--zvm-image", "out.tar,/out,wo", TOOLS, "mkdir", "/out/d")
        with tarfile.open(self.work / "out.tar") as archive:
            self.assertEqual([(member.name, member.isdir(), member.mode) for member in archive], [("d", True, 0o700)])

    def test_can_be_read_and_written(self):
        self.image("data.tar", {"f": "text"})
        images = ["--zvm-image", "data.tar,/in", "--zvm-image", "data.tar,/out,wo"]
        self.zvsh(*images, TOOLS, "make", "/out/g", "new")
        self.assertEqual(self.zvsh("--zvm-image", "data.tar", TOOLS, "cat", "/g")[0], "new")
        self.zvsh(*images, TOOLS, "fault", status=FAULT + signal.SIGSEGV)
        self.assertEqual(self.zvsh("--zvm-image", "data.tar", TOOLS, "cat", "/g")[0], "new", "kept after a fault")

    def test_that_are_damaged_end_the_run(self):
        self.image("data.tar", {"f": "x" * 3000})
        whole = (self.work / "data.tar").read_bytes()
        for damaged, words in ((whole[:2000], "ends in the middle"), (b"\x1f\x8b" * 600, "is not a tar archive")):
            (self.work / "bad.tar").write_bytes(damaged)
            _, error = self.zvsh("--zvm-image", "bad.tar", TOOLS, "env", status=78)
            self.assertIn(words, error)

    def test_mounts_are_logged(self):
        self.image("data.tar", {"f": "text"})
        self.zvsh("--zvm-debug", "--zvm-image", "data.tar,/d", TOOLS, "env")
        self.assertEqual(self.read("zvsh.log"), "zvm: mounted /dev/1.data.tar on /d: 1 entries\n")


class Trace(ZvshTest):
    def test_shows_stages_and_calls(self):
        self.zvsh("--zvm-trace", TOOLS, "echo", "words")
        trace = self.read("zvsh.trace.log")
        for line in trace.splitlines():
            self.assertRegex(line, r"^\d+\.\d{6} \[\d+\.\d{6}\]: ")
        stages = ["manifest parsed", "program verified", "untrusted code", "pwrite(1, ",
                  "exit(0)", "session ended", "done: ok"]
        places = [trace.find(f"]: {stage}") for stage in stages]
        self.assertEqual(places, sorted(places), trace)
        self.assertNotIn(-1, places, trace)
        self.zvsh("--zvm-trace", TOOLS, "echo")
        self.assertTrue(self.read("zvsh.trace.log").startswith(trace), "appended, not written over")


class Seed(ZvshTest):
    """The program that the first article about ZeroVM shows, with a right explanation."""

    def build(self, *command):
        subprocess.run(command, check=True, cwd=self.work, env=self.environment, timeout=60)

    def setUp(self):
        super().setUp()
        self.source = ROOT / "docs/examples/seed/syscalls.cc"

    def test_built_by_the_host_compiler_is_refused_as_a_host_program(self):
        for option in ("-pie", "-static"):
            self.build("g++", option, "-fPIE", "-o", "program", self.source)
            _, error = self.zvsh("./program", stdin=b"hello\n", status=HOST + 8)
            self.assertIn("the file is a Linux program", error)
            self.assertIn("A guest is built with zvm-cc: zvm-cc -O2 -o program program.c", error)
            self.assertIn("ERROR: ZeroVM return code is 8", error)
            self.zvsh("--zvm-getrc", "./program", status=8)

    def test_built_by_the_guest_compiler_runs(self):
        self.build("zvm-c++", "-O2", "-o", "program", self.source)
        self.assertEqual(self.zvsh("./program", stdin=b"hello\n"), ("", "hello\n"))

    def test_a_system_call_by_hand_is_refused_by_name(self):
        self.build("as", "-o", "raw.o", self.source.parent / "raw_syscall.s")
        self.build("zvm-cc", "-o", "raw", "raw.o")
        _, error = self.zvsh("./raw", status=HOST + 8)
        self.assertRegex(error, r"rule V05 \(opcode\) is broken at main\+0x16 \(0x[0-9a-f]+\)")
        self.assertRegex(error, r"0x[0-9a-f]+ <main\+0x16>: V05 opcode: syscall")


class Debugger(ZvshTest):
    def setUp(self):
        super().setUp()
        subprocess.run(["zvm-cc", "-g", "-O0", "-o", "answer", ROOT / "docs/examples/debugging/answer.c"], check=True,
                       cwd=self.work, env=self.environment, timeout=60)

    def test_stops_in_main_and_shows_variables(self):
        output, _ = self.zvsh("gdb", "-nx", "-batch", "-ex", "next", "-ex", "next", "-ex", "print answer", "-ex", "bt",
                              "-ex", "continue", "--args", "./answer")
        self.assertIn("main () at", output)
        self.assertIn("answer.c:6", output)
        self.assertIn("$1 = 42", output)
        self.assertIn("exited normally", output)
        self.assertIn("the answer is 42", output)

    def test_ends_the_session_when_it_ends(self):
        self.zvsh("gdb", "-nx", "-batch", "-ex", "kill", "--args", "./answer", status=HOST + 4)

    def test_attaches_to_a_session_that_waits(self):
        process = subprocess.Popen(["zvsh", "--gdb", "./answer"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, cwd=self.work, env=self.environment)
        self.assertRegex(process.stderr.readline(), r"session \d+ waits for a debugger")
        command = process.stderr.readline().split()
        self.assertEqual(command[:3], ["gdb", "-q", "-x"])
        done = subprocess.run([*command, "-nx", "-batch", "-ex", "break square", "-ex", "continue",
                               "-ex", "print number", "-ex", "bt", "-ex", "continue"], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60, check=True, env=self.environment)
        self.assertIn("$1 = 41", done.stdout)
        self.assertRegex(done.stdout, r"#1 .* main \(\)")
        output, error = process.communicate(timeout=60)
        self.assertEqual((output, error, process.returncode), ("the answer is 42\n", "", 0))

    def test_is_only_for_sessions_that_ask(self):
        """Without --gdb a session cannot be inspected, even by its own user."""
        process = subprocess.Popen(["zvsh", TOOLS, "yes"], stdout=subprocess.PIPE, cwd=self.work, env=self.environment)
        process.stdout.read(4)
        try:
            sessions = [pid for pid in self.descendants(process.pid)
                        if pathlib.Path(f"/proc/{pid}/comm").read_text() == "zvm-session\n"]
            self.assertTrue(sessions)
            for session in sessions:
                self.assertEqual(os.stat(f"/proc/{session}/mem").st_uid, 0, "of a process that is not dumpable")
        finally:
            process.terminate()
            process.stdout.read()
            process.stdout.close()
            process.wait(60)

    def descendants(self, pid):
        children = [child for tasks in pathlib.Path(f"/proc/{pid}/task").glob("*/children")
                    for child in tasks.read_text().split()]
        return children + [other for child in children for other in self.descendants(child)]


class Lua(ZvshTest):
    """A program of others, with its own files in an image: what ZeroVM's users did."""

    def setUp(self):
        super().setUp()
        self.lua = GUESTS / "ports/lua"

    def test_runs_a_script_that_uses_a_module_of_an_image(self):
        (self.work / "tree/lib").mkdir(parents=True)
        self.write("tree/lib/words.lua", """
            local words = {}
            function words.count(text)
              local n = 0
              for _ in text:gmatch("%a+") do n = n + 1 end
              return n
            end
            return words""")
        self.write("tree/text.txt", "one two\nthree\n")
        with tarfile.open(self.work / "tree.tar", "w") as archive:
            archive.add(self.work / "tree", ".")
        self.write("script.lua", """
            package.path = "/lib/?.lua"
            local words = require("words")
            local file = assert(io.open("/text.txt"))
            print(words.count(file:read("a")), os.getenv("NAME"), select("#", ...), ...)
            assert(io.open(select(2, ...), "r+")):write("from lua")
            io.stderr:write(io.read("l"), "\\n")
            os.exit(3)""")
        output, error = self.zvsh("--zvm-image", "tree.tar", self.lua, "@script.lua", "a b", "@result.txt",
                                  "@NAME=value", stdin=b"a line\n", status=3)
        self.assertEqual(output, "3\tvalue\t2\ta b\t/dev/2.result.txt\n")
        self.assertEqual(error, "a line\n")
        self.assertEqual(self.read("result.txt"), "from lua")

    def test_its_errors_are_its_own(self):
        self.write("script.lua", "error('wrong')")
        _, error = self.zvsh(self.lua, "@script.lua", status=1)
        self.assertTrue(re.search(r"script\.lua:1: wrong", error), error)


class Compressors(ZvshTest):
    """More programs of others: as filters, and over files that the host names."""

    def setUp(self):
        super().setUp()
        self.data = TOOLS.read_bytes() * 4

    def filter(self, *command, data):
        done = subprocess.run(command, input=data, capture_output=True, timeout=60, check=False, cwd=self.work,
                              env=self.environment)
        self.assertEqual((done.returncode, done.stderr), (0, b""), command)
        return done.stdout

    def test_bzip2_packs_what_the_hosts_tool_unpacks(self):
        packed = self.filter("zvsh", GUESTS / "ports/bzip2", "-c", data=self.data)
        self.assertEqual(bz2.decompress(packed), self.data)
        self.assertEqual(self.filter("zvsh", GUESTS / "ports/bzip2", "-dc", data=packed), self.data)

    def test_lz4_packs_files_and_streams(self):
        packed = self.filter("zvsh", GUESTS / "ports/lz4", "-c", data=self.data)
        self.assertLess(len(packed), len(self.data))
        self.assertEqual(self.filter("zvsh", GUESTS / "ports/lz4", "-dc", data=packed), self.data)
        (self.work / "data").write_bytes(self.data)
        self.zvsh(GUESTS / "ports/lz4", "-qf", "@data", "@data.lz4")
        self.assertEqual((self.work / "data.lz4").read_bytes()[-1000:], self.filter(
            "zvsh", GUESTS / "ports/lz4", "-c", "@data", data=b"")[-1000:])


if __name__ == "__main__":
    unittest.main(verbosity=2)
