"""Jobs that fail: which session, why, with which words, and that nothing of them stays."""

import json
import os
import pathlib
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from framework.jobs import GUESTS, JobTest, device, group, poured  # noqa: E402
from framework.service import ACCOUNT  # noqa: E402

JSON = {"Accept": "application/json"}


def text_segment(program):
    """Where an ELF file's code lies: (offset, size)."""
    start, = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    for i in range(count):
        kind, flags, offset, _, _, length = struct.unpack_from("<IIQQQQ", program, start + i * size)
        if kind == 1 and flags & 1:
            return offset, length
    raise ValueError("no code")


class Sessions(JobTest):
    def fails(self, arguments, status, words, said="", **more):
        """A session that ends so, told in every form; returns the session of the JSON form."""
        job = [group("good", "pour", "8", [device("stdout", "out/good")]),
               group("bad", "fail", arguments, ["stdout", device("output", "out/bad")], **more)]
        plain = self.refuse(job, status, f"session bad failed: {words}", said)
        self.assertTrue(plain.headers["Content-Type"].startswith("text/plain"))
        self.assertIn("bad", plain.headers["X-Nexe-System"].split(","))
        self.assertIn(words.split(",")[0], plain.headers["X-Nexe-Error"])
        parsed = json.loads(self.refuse(job, status, headers=JSON).body)
        report = self.report(job, status)
        for answer in (parsed, report):
            self.assertIn(f"session bad failed: {words}", answer["error"]["message"])
            self.assertEqual(answer["failed_session"], "bad")
            good, bad = answer["sessions"]
            self.assertIn(good["end"], ("succeeded", "stopped", "not_started"))
            self.assertEqual((bad["name"], bad["end"]), ("bad", "failed"))
            self.assertIn(words, bad["status"])
            self.assertIn(said, bad["stderr"])
        self.assertNotIn("body", report)
        self.assertEqual(self.names("out"), [])
        return bad

    def test_an_exit_code_fails_the_job(self):
        for code in (1, 3, 255):
            session = self.fails(f"exit {code}", 500, f"exit code {code}", "about to: exit")
            self.assertEqual((session["cause"], session["exit"]), ("exited", code))

    def test_a_signal_is_told_with_its_symbol(self):
        session = self.fails("null", 500, "signal 11 (SIGSEGV) at 0x", "about to: null")
        self.assertEqual((session["cause"], session["signal"], session["symbol"]),
                         ("faulted", 11, "touch_null"))
        self.assertIn("touching 0x0", session["status"])
        self.assertIn("(touch_null)", session["status"])
        self.assertEqual(self.fails("trap", 500, "signal 4 (SIGILL) at 0x")["signal"], 4)

    def test_the_time_limit_is_named(self):
        session = self.fails("loop", 408, "ran longer than its timeout of 300 ms", "about to: loop",
                            timeout=0.3)
        self.assertEqual(session["cause"], "timed_out")
        self.assertGreaterEqual(session["wall_us"], 300_000)

    def test_the_end_of_stderr_is_kept(self):
        lines = 5000
        everything = "".join(f"line {i:<58}\n" for i in range(1, lines + 1))
        job = [group("g", "fail", f"stderr {lines}", ["stdout"])]
        session = json.loads(self.refuse(job, 500, headers=JSON).body)["sessions"][0]
        self.assertEqual(session["stderr"], everything[-65536:])
        self.assertTrue(self.refuse(job, 500).body.decode().endswith(everything[-65536:]))
        # And the same when stderr is an output.
        job[0]["devices"].append(device("stderr", "out/stderr"))
        session = json.loads(self.refuse(job, 500, headers=JSON).body)["sessions"][0]
        self.assertEqual(session["stderr"], everything[-65536:])
        self.assertEqual(self.names("out"), [])

    def test_the_one_that_failed_is_named_among_many(self):
        job = [group("g", "fail", "session g-7", ["stdout", device("output", "out/*")], count=12)]
        answer = json.loads(self.refuse(job, 500, headers=JSON).body)
        self.assertEqual(answer["failed_session"], "g-7")
        self.assertEqual(answer["error"]["message"], "session g-7 failed: exit code 5")
        self.assertEqual(len(answer["sessions"]), 12)
        self.assertEqual(self.names("out"), [])

    def test_what_waits_for_the_failed_one_does_not_run(self):
        answer = self.report([group("a", "fail", "exit 1", connect=["b"]),
                              group("b", "gather", devices=[device("stdout", "out/b")])], 500)
        self.assertEqual([session["end"] for session in answer["sessions"]], ["failed", "not_started"])
        self.assertEqual(self.names("out"), [])

    def test_the_others_of_a_gang_are_stopped(self):
        answer = self.report([group("a", "fail", "exit 1", connect=["b"]),
                              group("b", "fail", "loop", connect=["a"], timeout=3000)], 500)
        self.assertEqual([session["end"] for session in answer["sessions"]], ["failed", "stopped"])

    def test_a_failed_job_keeps_old_outputs(self):
        self.put("out/o", b"old")
        self.refuse([group("a", "pour", "8", [device("stdout", "out/o")]),
                     group("b", "fail", "exit 1")], 500)
        self.assertEqual(self.get("out/o").body, b"old")


class Limits(JobTest):
    settings = ("jobs.response_bytes=100000", "jobs.channel_bytes=300000",
                "jobs.job_spool_bytes=2000000", "engine.spool_bytes=5000000",
                "jobs.memory_bytes=100000000")

    def test_the_bound_of_the_body_is_named(self):
        self.assertEqual(len(self.succeed([group("g", "pour", "25000", ["stdout"], count=4)])), 100_000)
        self.refuse([group("g", "pour", "25001", ["stdout"], count=4)], 413, "response_bytes is 100000")

    def test_the_bound_of_a_channel_is_named(self):
        self.succeed([group("g", "pour", "300000", [device("stdout", "out/o")])])
        self.assertEqual(len(self.get("out/o").body), 300_000)
        self.service.request("DELETE", f"/v1/{ACCOUNT}/out/o")
        self.refuse([group("g", "pour", "300001", [device("stdout", "out/o")])], 413,
                    "session g failed", "/dev/stdout", "channel_bytes is 300000",
                    "pour: Quota exceeded")
        self.assertEqual(self.names("out"), [])

    def test_an_input_above_the_bound_is_refused(self):
        self.put("in/big", bytes(300_001))
        self.refuse([group("g", "copy", "- -", [device("stdin", "in/big"), "stdout"])], 413,
                    "/0/devices/0", "300001", "channel_bytes is 300000")

    def test_the_bound_of_the_spool_is_named(self):
        sessions = group("g", "pour", "250000 /dev/output", [device("output", "out/*")], count=9)
        self.refuse([sessions], 413, "job_spool_bytes")
        self.assertEqual(self.names("out"), [])
        # Nothing of it stays charged.
        for _ in range(4):
            self.refuse([sessions], 413, "job_spool_bytes")
        self.succeed([{**sessions, "count": 7}])
        self.assertEqual(len(self.names("out")), 7)

    def test_the_bound_of_memory_is_named(self):
        self.refuse([group("g", "pour", "1", memory=100_000_001)], 413,
                    "/0/memory", "memory_bytes is 100000000")


class SessionLimits(JobTest):
    settings = ("jobs.cpu_seconds=1", "jobs.resident_bytes=30000000")

    def test_the_limit_of_processor_time_is_named_and_what_was_used_is_told(self):
        limits = json.loads(self.service.request("GET", "/info").body)["zerocloud"]["limits"]
        self.assertEqual((limits["cpu_seconds"], limits["resident_bytes"]), (1, 30_000_000))
        job = [group("g", "fail", "loop", timeout=60)]
        self.refuse(job, 413, "session g failed", "its limit of 1000000 us", "cpu_seconds")
        session = self.report(job, 413)["sessions"][0]
        self.assertEqual((session["cause"], session["limit_hit"]), ("cpu_limit", "cpu_seconds"))
        self.assertGreater(session["cpu_us"], 500_000)
        self.tells_its_memory(session)

    def test_a_session_within_its_limits_tells_what_it_used(self):
        session = self.report([group("g", "pour", "8", ["stdout"])], 200)["sessions"][0]
        self.assertNotIn("limit_hit", session)
        self.assertIn("cpu_us", session)
        self.tells_its_memory(session)

    def tells_its_memory(self, session):
        """Unless it was started without a zygote, as under ThreadSanitizer."""
        if "peak_memory_bytes" in session:
            self.assertGreater(session["peak_memory_bytes"], 50_000)


class Programs(JobTest):
    def refuse_program(self, bytes_, status, *sentences):
        self.put("programs/x", bytes_)
        job = [group("g", "pour", devices=["stdout"]), group("x", "x", devices=["stdout"])]
        self.refuse(job, status, "/1/exec/path", f"swift://{ACCOUNT}/programs/x", *sentences)
        answer = json.loads(self.refuse(job, status, headers=JSON).body)
        self.assertEqual(answer["error"]["code"], "rejected_code")

    def test_a_program_of_the_host_is_told_how_to_build(self):
        host = pathlib.Path("/bin/true").read_bytes()
        self.refuse_program(host, 422, "zvm-cc -O2 -o program program.c")

    def test_what_is_no_program_is_told_how_to_build(self):
        for bytes_ in (b"", b"#!/bin/sh\necho hello\n", b"\x7fELF", os.urandom(100_000)):
            self.refuse_program(bytes_, 422, "zvm-cc")

    def test_code_that_breaks_a_rule_is_named_by_the_rule(self):
        good = (GUESTS / "jobs-pour").read_bytes()
        offset, size = text_segment(good)
        at = offset + size // 2 // 32 * 32
        self.refuse_program(good[:at] + b"\x0f\x05" + b"\x90" * 30 + good[at + 32:], 422,
                            "rule V05 (opcode) is broken at ", "zvm-verify lists")

    def test_a_truncated_program_is_refused(self):
        good = (GUESTS / "jobs-pour").read_bytes()
        offset, length = text_segment(good)
        for size in (10, 64, 200, offset + length // 2, offset + length - 1):
            self.put("programs/x", good[:size])
            self.refuse([group("x", "x", devices=["stdout"])], 422, "/0/exec/path")

    def test_a_program_spoiled_anywhere_is_refused_or_runs_confined(self):
        good = bytearray((GUESTS / "jobs-pour").read_bytes())
        for i in range(60):
            spoiled = bytearray(good)
            spoiled[(i * 7919) % 8192 if i % 2 else i] ^= 1 << i % 8
            self.put("programs/x", bytes(spoiled))
            response = self.run_job([group("x", "x", "16", ["stdout"], timeout=5)])
            self.assertIn(response.status, (200, 408, 422, 500), response.body)
            self.assertNotIn(b"internal", response.body)

    def test_a_program_above_its_bound_is_refused(self):
        self.service.stop()
        self.service.settings = (*self.service.settings, "jobs.program_bytes=1000")
        self.service.start()
        self.refuse([group("g", "pour")], 413, "/0/exec/path", "program_bytes is 1000")
        self.service.stop()
        self.service.settings = self.service.settings[:-1]
        self.service.start()
        self.warm_up()

    def test_a_program_is_verified_again_when_it_has_changed(self):
        self.put("programs/x", (GUESTS / "jobs-pour").read_bytes())
        self.assertEqual(self.succeed([group("x", "x", "8", ["stdout"])]), poured(8))
        self.put("programs/x", pathlib.Path("/bin/true").read_bytes())
        self.refuse([group("x", "x", "8", ["stdout"])], 422, "zvm-cc")


@unittest.skipUnless(os.geteuid() == 0, "mounting a small file system takes root")
class FullDisk(JobTest):
    """The spool and the store on file systems of a few MB that really are full."""

    def make_service(self):
        service = super().make_service()
        self.mount(self.spool, "12m")
        self.mount(self.directory / "store", "6m")
        return service

    def mount(self, where, size):
        where.mkdir(exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(where)],
                              capture_output=True, check=False)
        if done.returncode != 0:
            self.skipTest("no right to mount: " + done.stderr.decode())
        self.addCleanup(subprocess.run, ["umount", "--lazy", str(where)], check=True)

    def test_a_full_spool_fails_the_job_and_frees_it(self):
        for _ in range(3):
            self.refuse([group("g", "pour", "20000000 /dev/output", [device("output", "out/o")])], 503,
                        "No space left")
            self.assertEqual(self.names("out"), [])
        self.succeed([group("g", "pour", "1000", [device("stdout", "out/o")])])

    def test_a_full_store_fails_the_job_and_keeps_what_was(self):
        self.put("out/o", b"old")
        self.refuse([group("g", "pour", "8000000 /dev/output", [device("output", "out/o")])], 503,
                    "/0/devices/0/path", f"cannot store swift://{ACCOUNT}/out/o", "disk is full")
        self.assertEqual(self.names("out"), ["o"])
        self.assertEqual(self.get("out/o").body, b"old")
        self.succeed([group("g", "pour", "1000", [device("stdout", "out/o")])])
        self.assertEqual(self.get("out/o").body, poured(1000))


if __name__ == "__main__":
    unittest.main(verbosity=2)
