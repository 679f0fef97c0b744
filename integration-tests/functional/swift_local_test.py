"""Jobs on the host that holds the objects: what lies there is opened in place, after Swift has allowed
it, and everything else is read by HTTP, with the same bytes."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import jobs_test  # noqa: E402
from framework import swift_front  # noqa: E402
from framework.jobs import REPORT, JobTest, device, group, poured  # noqa: E402
from framework.service import ACCOUNT  # noqa: E402
from framework.tracing import Tracer  # noqa: E402
from framework.word_count import COUNT, CountsWords  # noqa: E402


def setUpModule():
    swift_front.start_cluster(nodes=1)


def tearDownModule():
    swift_front.stop_cluster()


def copies(path, device_name="stdin"):
    source = "-" if device_name == "stdin" else f"/dev/{device_name}"
    return [group("each", "copy", f"{source} -", [device(device_name, path), "stdout"])]


class LocalInputs(swift_front.BesideSwift, jobs_test.Inputs):
    pass


class LocalOutputs(swift_front.BesideSwift, jobs_test.Outputs):
    pass


class LocalTest(swift_front.BesideSwift, JobTest):
    """With words for where sessions found their objects."""

    def places(self, report):
        """For each session, "local" or why not."""
        return ["local" if session["local"] else session["why_not_local"]
                for session in report["sessions"]]

    def read(self, path, device_name="stdin"):
        """A job that copies objects to its answer: the bytes, and where they were read."""
        report = self.report(copies(path, device_name))
        self.assertEqual(report["local_sessions"], self.places(report).count("local"))
        return report.get("body"), self.places(report)

    def data_files(self):
        """All .data files on the devices."""
        return {path for path in self.swift.devices().glob("*/objects*/*/*/*/*.data")}


class SeenFromOutside(CountsWords, LocalTest):
    """The report says so; here the kernel and Swift say so too."""

    def gets(self, container):
        """The GET and HEAD requests for objects of a container that Swift's servers have logged."""
        pattern = re.compile(rf"(GET|HEAD)[ \"/].*/{ACCOUNT}/{container}/\w")
        return [line for name in ("proxy", "object-1") for line in self.swift.log(name).splitlines()
                if pattern.search(line)]

    def test_plain_objects_are_opened_on_disk_and_not_asked_for(self):
        why_not = Tracer.why_not()
        if why_not:
            self.skipTest(why_not)
        self.put("seen", b"")
        before = self.data_files()
        self.fill("seen", **{f"o{i}": f"text {i} ".encode() for i in range(20)})
        stored = self.data_files() - before
        self.assertEqual(len(stored), 20)
        with Tracer(self.service.process.pid, self.directory / "strace") as tracer:
            body, places = self.read("seen/o*")
        self.assertEqual(body.split(), " ".join(f"text {i}" for i in sorted(range(20), key=str)).split())
        self.assertEqual(places, ["local"] * 20)
        opened = [path for path in tracer.opened() if path in stored]
        self.assertEqual(sorted(opened), sorted(stored))
        self.assertEqual(self.gets("seen"), [])
        # The log would show them.
        self.get("seen/o1")
        self.assertEqual(len(self.gets("seen")), 2)

    def test_the_main_job_opens_every_text_and_asks_for_none(self):
        why_not = Tracer.why_not()
        if why_not:
            self.skipTest(why_not)
        self.store_programs()
        before = self.data_files()
        texts = self.store_texts()
        stored = self.data_files() - before
        self.assertEqual(len(stored), len(texts))
        with Tracer(self.service.process.pid, self.directory / "strace") as tracer:
            self.succeed(COUNT)
        self.check_counts(texts)
        opened = [path for path in tracer.opened() if path in stored]
        self.assertEqual(sorted(opened), sorted(stored))
        self.assertEqual(self.gets("text"), [])
        # The logs would show them.
        self.get("text/text-000.txt")
        self.wait_until(lambda: len(self.gets("text")) == 2, describe=lambda: self.gets("text"))

    def test_a_session_holds_the_file_itself(self):
        self.put("in/o", poured(100_000))
        thread, answer, sessions = jobs_test.WhileAJobRuns.start(
            self, [group("g", "copy", "--wait - -", [device("stdin", "in/o"), "stdout"])])
        os.kill(sessions[0], signal.SIGSTOP)
        links = {os.readlink(link) for link in pathlib.Path(f"/proc/{sessions[0]}/fd").iterdir()}
        os.kill(sessions[0], signal.SIGCONT)
        thread.join()
        self.assertTrue(answer[0].body == poured(100_000))
        self.assertEqual(len(links & {str(path) for path in self.data_files()}), 1, links)

    started = jobs_test.WhileAJobRuns.started

    def test_nothing_is_opened_for_those_who_may_not_read(self):
        why_not = Tracer.why_not()
        if why_not:
            self.skipTest(why_not)
        self.put("in/o", b"secret")
        self.service.request("POST", f"/v1/{ACCOUNT}/programs", headers={"X-Container-Read": "test2:*"})
        token = {"X-Auth-Token": self.service.token("test2:tester2", "testing2")}
        programs = f"swift://{ACCOUNT}/programs/copy"
        with Tracer(self.service.process.pid, self.directory / "strace") as tracer:
            for path in ("in/o", "in/*"):
                job = [{"name": "g", "exec": {"path": programs, "args": "- -"},
                        "devices": [{"name": "stdin", "path": f"swift://{ACCOUNT}/{path}"}, {"name": "stdout"}]}]
                response = self.service.job(job, target="/v1/AUTH_test2", headers=token)
                self.assertEqual(response.status, 403, response.body)
                self.assertNotIn(b"secret", response.body)
        secret = {path for path in self.data_files() if path.read_bytes() == b"secret"}
        self.assertEqual(len(secret), 1)
        self.assertEqual(secret & set(tracer.opened()), set())


class Rights(LocalTest):
    """A reader's rights are the container's; Swift's word counts on both ways of asking."""

    def as_reader(self, acl, path):
        self.put("in/o", b"text")
        for container, rights in (("in", acl), ("programs", "test:tester3")):
            self.service.request("POST", f"/v1/{ACCOUNT}/{container}", headers={"X-Container-Read": rights})
        # Who may run jobs in an account owns it, so the reader has one of its own.
        token = {"X-Auth-Token": self.service.token("test2:tester2", "testing2")}
        self.service.request("POST", f"/v1/{ACCOUNT}/programs", headers={"X-Container-Read": "test2:tester2"})
        job = [{"name": "g", "exec": {"path": f"swift://{ACCOUNT}/programs/copy", "args": "- -"},
                "devices": [{"name": "stdin", "path": f"swift://{ACCOUNT}/{path}"}, {"name": "stdout"}]}]
        return self.service.job(job, target="/v1/AUTH_test2", headers={**token, **REPORT})

    def test_who_may_read_is_served_in_place(self):
        for path in ("in/o", "in/*"):
            answer = self.as_reader("test2:tester2", path)
            self.assertEqual(answer.status, 200, answer.body)
            self.assertEqual(json.loads(answer.body)["local_sessions"], 1)

    def test_a_right_to_read_without_listings_holds_for_one_object_only(self):
        self.assertEqual(self.as_reader(".r:*", "in/o").status, 200)
        self.assertEqual(self.as_reader(".r:*", "in/*").status, 403)
        self.assertEqual(self.as_reader(".r:*,.rlistings", "in/*").status, 200)


class AskedForEachObject(LocalTest):
    settings = ("local.listing_seconds=0",)

    def test_a_listing_need_not_be_enough(self):
        self.fill(**{"vouched-a": b"1", "vouched-b": b"2"})
        body, places = self.read("in/*")
        self.assertEqual((body, places), ("12", ["local", "local"]))
        self.assertEqual(len([line for line in self.swift.log("proxy").splitlines()
                              if re.search(rf"HEAD /v1/{ACCOUNT}/in/vouched-[ab] ", line)]), 2)


class OwnCluster(swift_front.OwnCluster, LocalTest):
    pass


class AskedWhere(LocalTest):
    """Without rings: Swift's middleware list_endpoints tells where an object lies."""

    settings = ("local.endpoints=true",)

    def make_service(self):
        service = super().make_service()
        conf = self.directory / "conf"  # without rings
        conf.mkdir()
        shutil.copy(self.swift.swift_dir / "swift.conf", conf)
        service.arguments[-1] = str(conf)
        return service

    def test_finds_plain_objects_and_no_others(self):
        self.fill(**{"o1": b"one ", "o2": b"two "})
        self.assertEqual(self.read("in/*"), ("one two ", ["local"] * 2))
        odd = "in/a \u00e4%25"
        self.put(urllib.parse.quote(odd), b"odd")
        self.assertEqual(self.read(odd), ("odd", ["local"]))
        self.put("ec", b"", {"X-Storage-Policy": "ec"})
        self.put("ec/o", b"coded")
        body, places = self.read("ec/o")
        self.assertEqual(body, "coded")
        self.assertIn("other hosts", places[0])
        self.assertIn("/endpoints/v2/AUTH_test/in/o1", self.swift.log("proxy"))


class Mapped(LocalTest):
    """An input that the program finds in its memory."""

    length = 3_000_000

    def sampled(self, path, **more):
        """A job that reads 1 % of it: the sum it printed, and its session in the report."""
        job = [group("g", "sample", f"{self.length} 10 3000 7",
                     [device("input", path, mapped=True), "stdout"], **more)]
        report = self.report(job)
        return report["body"], report["sessions"][0]

    def test_is_the_stored_file_itself_or_what_was_fetched(self):
        body = poured(self.length)
        self.put("in/o", body)
        expected = self.succeed([group("g", "sample", f"{self.length} 10 3000 7",
                                       [device("input", "in/o"), "stdout"])]).decode()
        text, session = self.sampled("in/o")
        self.assertEqual(text, expected)
        self.assertTrue(session["mapped"] and session["local"], session)
        # All of it counts as read, though no call read it.
        self.assertGreaterEqual(session["in_bytes"], self.length)
        self.put("in/part", body)
        self.put("out/slo?multipart-manifest=put", json.dumps([{"path": "/in/part"}]).encode())
        text, session = self.sampled("out/slo")
        self.assertEqual(text, expected)
        self.assertTrue(session["mapped"], session)
        self.assertFalse(session["local"])

    def test_stays_as_it_was_when_the_object_is_replaced(self):
        self.put("in/o", poured(self.length))
        thread, answer, sessions = jobs_test.WhileAJobRuns.start(
            self, [group("g", "copy", "--wait /dev/input -",
                         [device("input", "in/o", mapped=True), "stdout"])])
        maps = pathlib.Path(f"/proc/{sessions[0]}/maps")
        self.wait_until(lambda: re.search(r"r--[ps] .*\.data\b", maps.read_text()), describe=maps.read_text)
        os.kill(sessions[0], signal.SIGSTOP)
        self.put("in/o", bytes(self.length))
        os.kill(sessions[0], signal.SIGCONT)
        thread.join()
        self.assertTrue(answer[0].body == poured(self.length))

    started = jobs_test.WhileAJobRuns.started


class OrdinaryUser(OwnCluster):
    """The service runs as a user of its own, who is in the group of Swift's files and owns none of them."""

    user, group = 64_001, 64_002  # nobody else's

    def make_service(self):
        if os.geteuid() != 0:
            self.skipTest("only root can become others")
        service = super().make_service()
        for place in (self.swift.data, self.swift.directory):
            subprocess.run(["chgrp", "-R", str(self.group), place], check=True)
            subprocess.run(["chmod", "-R", "g+rX,o-rwx", place], check=True)
        subprocess.run(["chown", "-R", str(self.user), self.directory], check=True)
        service.wrapper = ("setpriv", f"--reuid={self.user}", f"--regid={self.user}",
                           f"--groups={self.group}", "--no-new-privs")
        return service

    def test_reads_in_place_what_its_group_may(self):
        self.put("in/o", b"for the group")
        for directory in self.swift.devices().glob("*/objects/*/*/*"):
            for path in (directory, *directory.parents[:3], *directory.iterdir()):
                os.chown(path, -1, self.group)
                os.chmod(path, 0o750 if path.is_dir() else 0o640)
        self.assertEqual(self.read("in/o"), ("for the group", ["local"]))
        status = pathlib.Path(f"/proc/{self.service.process.pid}/status").read_text()
        self.assertRegex(status, rf"Uid:\s{self.user}\s{self.user}\s{self.user}\s{self.user}\n")
        # And what it may not is told, and read by HTTP.
        for path in self.swift.devices().glob("*/objects/*/*/*/*.data"):
            os.chmod(path, 0o600)
        body, places = self.read("in/o")
        self.assertEqual(body, "for the group")
        self.assertIn("must be in the group of Swift's files", places[0])


class MeanwhileLocal(swift_front.BesideSwift, jobs_test.WhileAJobRuns):
    """Deleted or replaced while a session reads: the old bytes to the end."""


# These are of the embedded store, or have nothing to do with objects.
for name in [name for name in dir(MeanwhileLocal) if name.startswith("test_")]:
    if "input" not in name:
        setattr(MeanwhileLocal, name, None)


class BadInput(OwnCluster):
    """Rings, configurations and files as they should not be."""

    def make_service(self):
        service = super().make_service()
        self.conf = self.directory / "conf"
        shutil.copytree(self.swift.swift_dir, self.conf)
        service.arguments[-1] = str(self.conf)
        return service

    def restart(self):
        self.service.stop()
        self.start_again()

    def start_again(self):
        self.service.start()
        self.warm_up()
        self.quiet = self.files()

    def only_file(self):
        """The .data file of the one object in container `in`."""
        found = [path for path in self.data_files()
                 if f"/{ACCOUNT}/in/".encode() in os.getxattr(path, "user.swift.metadata")]
        self.assertEqual(len(found), 1)
        return found[0]

    def replace(self, name, text):
        (self.conf / "new").write_bytes(text)
        os.rename(self.conf / "new", self.conf / name)

    def test_a_ring_is_read_again_and_a_broken_one_is_not_taken(self):
        self.put("in/o", b"text")
        self.assertEqual(self.read("in/o"), ("text", ["local"]))
        good = (self.conf / "object.ring.gz").read_bytes()
        self.replace("object.ring.gz", good[:-10])
        for _ in range(3):
            self.assertEqual(self.read("in/o"), ("text", ["local"]))
        complaints = [line for line in (self.directory / "log").read_text().splitlines()
                      if "object.ring.gz" in line]
        self.assertEqual(len(complaints), 1, complaints)
        # A ring of other hosts is a good one, and leads to no file here.
        self.swift.command(do="ring", file=str(self.conf / "other.gz"), part_power=6, replicas=1,
                           devices=[{"zone": 1, "ip": "192.0.2.1", "port": 6200, "device": "d1"}])
        os.rename(self.conf / "other.gz", self.conf / "object.ring.gz")
        self.assertEqual(self.read("in/o"), ("text", ["the rings place it on other hosts"]))
        self.assertEqual(self.read("in/*")[0], "text")
        self.replace("object.ring.gz", good)
        self.assertEqual(self.read("in/o"), ("text", ["local"]))

    def test_a_broken_ring_or_none_is_told_at_the_start(self):
        for text in (b"", b"garbage", (self.conf / "object.ring.gz").read_bytes()[:100]):
            self.replace("object.ring.gz", text)
            self.service.stop()
            with self.assertRaisesRegex(RuntimeError, "object.ring.gz"):
                self.service.start()
            self.service.stop()
        shutil.copy(self.swift.swift_dir / "object.ring.gz", self.conf)
        self.start_again()

    def test_another_hash_suffix_finds_nothing(self):
        text = (self.conf / "swift.conf").read_text().replace("suffix = tests", "suffix = wrong")
        self.replace("swift.conf", text.encode())
        self.restart()
        self.put("in/o", b"text")
        body, places = self.read("in/o")
        self.assertEqual(body, "text")
        self.assertIn("no replica", places[0])

    def test_a_link_in_the_tree_is_not_followed(self):
        self.put("in/o", b"text")
        file = self.only_file()
        hidden = file.with_name("hidden")
        os.rename(file, hidden)
        os.symlink(hidden, file)
        body, places = self.read("in/o")
        self.assertEqual(body, "text")  # Swift itself follows it
        self.assertIn("symbolic link", places[0])
        os.unlink(file)
        os.rename(hidden, file)

    def test_damaged_metadata_are_not_believed(self):
        """Swift itself finds the damage too and puts the file away, so the job fails."""
        for damage in ("missing", "cut", "foreign"):
            with self.subTest(damage):
                self.put("in/o", b"text")
                file = self.only_file()
                pickled = os.getxattr(file, "user.swift.metadata")
                if damage == "missing":
                    os.removexattr(file, "user.swift.metadata")
                elif damage == "cut":
                    os.setxattr(file, "user.swift.metadata", pickled[:-20])
                else:
                    os.setxattr(file, "user.swift.metadata", b"cos\nsystem\n(S'touch /tmp/owned'\ntR.")
                self.refuse(copies("in/*"), 404)
                self.assertFalse(os.path.exists("/tmp/owned"))

    def test_a_file_shorter_than_its_metadata_is_not_read(self):
        self.put("in/o", b"a longer text")
        os.truncate(self.only_file(), 5)
        answer = self.run_job(copies("in/*"))
        self.assertNotEqual(answer.status, 200)
        self.assertNotIn(b"a lon", answer.body)

    def test_a_file_of_another_object_is_not_read(self):
        self.put("out/other", b"secret")
        secret = [path for path in self.data_files() if path.read_bytes() == b"secret"][0]
        self.put("in/o", b"mine!!")
        mine = self.only_file()
        # As if an operator had restored files into the wrong places.
        mine.write_bytes(b"secret")
        for name in os.listxattr(secret):
            os.setxattr(mine, name, os.getxattr(secret, name))
        answer = self.run_job(copies("in/*"))
        self.assertNotIn(b"secret", answer.body)
        self.assertNotEqual(answer.status, 200)


if __name__ == "__main__":
    unittest.main(verbosity=2)
