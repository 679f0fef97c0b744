"""Jobs on four nodes beside the four object servers of a real Swift: sessions run where their objects
are, move when their node dies, and leave nothing behind."""

import collections
import contextlib
import errno
import os
import pathlib
import re
import signal
import socket
import sys
import threading
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import jobs_test  # noqa: E402
from framework import swift_front  # noqa: E402
from framework.jobs import JobTest, device, group, is_alive, poured  # noqa: E402
from framework.node import OnNodes, Relay, make_key_file  # noqa: E402
from framework.service import ACCOUNT  # noqa: E402


def setUpModule():
    swift_front.start_cluster(nodes=4)


def tearDownModule():
    swift_front.stop_cluster()


def copies(path, arguments="- -"):
    return [group("each", "copy", arguments, [device("stdin", path), "stdout"])]


class NodesTest(OnNodes, JobTest):
    def start(self, document):
        """Posts a job that wants a report, on a thread; returns the thread and a list for the report."""
        reports = []
        thread = threading.Thread(target=lambda: reports.append(self.report(document)))
        thread.start()
        return thread, reports

    def wait_for_sessions(self):
        """Nodes that run sessions, as soon as one does."""
        busy = []
        self.wait_until(lambda: busy.extend(node for node in self.nodes if node.sessions()) or busy)
        return busy

    def replica_hosts(self, container):
        """The hosts of each object, as its files on the devices tell."""
        hosts = collections.defaultdict(set)
        for number in range(1, 5):
            for path in self.swift.devices(number).glob("*/objects/*/*/*/*.data"):
                name = os.getxattr(path, "user.swift.metadata")
                start = name.find(f"/{ACCOUNT}/{container}/".encode())
                if start >= 0:
                    # The pickle has the name's length before it, and what follows is no part of a name.
                    rest = name[start:].split(b"/")[3]
                    hosts[rest[:3].decode()].add(f"127.0.0.{number}")
        return hosts


class Placed(NodesTest):
    def test_sessions_run_where_their_objects_are_and_read_the_stored_files(self):
        self.fill(**{f"o{i:02}": f"{i} ".encode() for i in range(24)})
        hosts = self.replica_hosts("in")
        report = self.report(copies("in/o*"))
        self.assertEqual(report["body"].split(), [str(i) for i in range(24)])
        self.assertEqual(report["local_sessions"], 24)
        for i, session in enumerate(report["sessions"]):
            self.assertTrue(session["local"])
            self.assertEqual(len(hosts[f"o{i:02}"]), 3)
            self.assertIn(session["node"].split(":")[0], hosts[f"o{i:02}"])
        self.assertEqual(self.service.children(), [])

    def test_waves_outputs_and_large_streams(self):
        self.fill(a=poured(300_000), b=poured(2_000_000))
        self.assertTrue(self.succeed(copies("in/*")) == poured(300_000) + poured(2_000_000))
        self.succeed([group("each", "copy", "- -", [device("stdin", "in/*"), device("stdout", "out/*.copy")])])
        self.assertTrue(self.get("out/b.copy").body == poured(2_000_000))
        self.assertEqual(self.names("out"), ["a.copy", "b.copy"])

    def test_rights_are_the_callers(self):
        self.put("in/o", b"secret")
        self.service.request("POST", f"/v1/{ACCOUNT}/programs", headers={"X-Container-Read": "test2:*"})
        token = {"X-Auth-Token": self.service.token("test2:tester2", "testing2")}
        for path in ("in/o", "in/*"):
            job = [{"name": "g", "exec": {"path": f"swift://{ACCOUNT}/programs/copy", "args": "- -"},
                    "devices": [{"name": "stdin", "path": f"swift://{ACCOUNT}/{path}"}, {"name": "stdout"}]}]
            response = self.service.job(job, target="/v1/AUTH_test2", headers=token)
            self.assertEqual(response.status, 403, response.body)
            self.assertNotIn(b"secret", response.body)

    def test_errors_are_those_of_one_machine(self):
        self.refuse([group("g", "copy", "- -", [device("stdin", "in/none"), "stdout"])], 404,
                    "/0/devices/0: cannot read swift://AUTH_test/in/none for session g")
        self.refuse([group("g", "fail", "exit 3")], 500, "session g failed")
        self.refuse([group("g", "fail", "loop", timeout=0.2)], 408)


@unittest.skipUnless(os.environ.get("ZEROCLOUD_SWIFT_FULL"), "the rest: ./test.sh --swift-full")
class Connections(OnNodes, jobs_test.Connections):
    """The suite for one machine: sessions that write to each other."""


@unittest.skipUnless(os.environ.get("ZEROCLOUD_SWIFT_FULL"), "the rest: ./test.sh --swift-full")
class Outputs(OnNodes, jobs_test.Outputs):
    pass


class OnFailingNodes(NodesTest):
    def test_kill_9_moves_the_session(self):
        self.put("in/o", b"text")
        thread, reports = self.start(copies("in/o", "--wait - -"))
        node = self.wait_for_sessions()[0]
        running = node.sessions()
        node.stop(signal.SIGKILL)
        thread.join()
        session = reports[0]["sessions"][0]
        self.assertEqual(reports[0]["body"], "text")
        self.assertIsNot(self.node_of(session), node)
        self.assertEqual(len(session["failed_nodes"]), 1)
        self.assertTrue(session["failed_nodes"][0].startswith(node.address))
        self.wait_until(lambda: not any(map(is_alive, running)))
        # It comes back, and is used again.
        node.start()
        self.wait_until(lambda: "answers again" in (self.directory / "log").read_text())

    def test_all_dead_is_503_and_says_when_to_come_again(self):
        for node in self.nodes:
            node.stop(signal.SIGKILL)
        self.put("in/o", b"text")
        answer = self.refuse(copies("in/o"), 503, "could not run on any node")
        self.assertTrue(answer.headers["Retry-After"].isdigit())
        for node in self.nodes:
            node.start()
        self.wait_until(lambda: self.run_job(copies("in/o")).status == 200)

    def test_a_proxy_that_is_killed_leaves_nothing_on_the_nodes(self):
        thread = threading.Thread(target=lambda: self.assertRaises(
            Exception, self.run_job, [group("g", "fail", "loop", count=4, timeout=3000)]))
        thread.start()
        self.wait_for_sessions()
        self.service.stop(signal.SIGKILL)
        thread.join()
        for node in self.nodes:
            self.wait_until(lambda: node.children() == [], describe=node.children)
        # Another process, of which tearDown() compares what it has open now with what it has then.
        self.service.start()
        self.warm_up()
        self.quiet = self.files()


class OnSilentNodes(NodesTest):
    silence_seconds = 5

    def test_a_node_that_stands_still_is_left(self):
        self.put("in/o", b"text")
        thread, reports = self.start(copies("in/o", "--wait - -"))
        node = self.wait_for_sessions()[0]
        os.kill(node.process.pid, signal.SIGSTOP)
        thread.join()
        os.kill(node.process.pid, signal.SIGCONT)
        session = reports[0]["sessions"][0]
        self.assertEqual(reports[0]["body"], "text")
        self.assertIsNot(self.node_of(session), node)
        self.assertIn(f"{node.address}: it has been silent for 5000 ms", session["failed_nodes"])
        # What it still had of the session, it ends: see tearDown.


class Held(NodesTest):
    """What sessions write stays on their nodes. Swift sees node N come from 127.0.1.N."""

    front_settings = ("metrics.listen=127.0.0.1:0",)

    def upstream_of(self, number):
        relay = Relay(("127.0.0.1", self.swift.port), f"127.0.1.{number}")
        self.addCleanup(relay.close)
        return relay.url

    def gauge(self, name):
        url = re.findall(r"metrics are at (\S+)", (self.directory / "log").read_text())[-1]
        text = urllib.request.urlopen(url, timeout=60).read().decode()
        return int(re.search(rf"^{name} (\d+)$", text, re.M)[1])

    def puts(self, path):
        """Where PUTs of that object that Swift took came from, as its proxy logged them."""
        lines = [line.split() for line in self.swift.log("proxy").splitlines()
                 if f" PUT /v1/{ACCOUNT}/{path} " in line]
        return [words[words.index("PUT") - 3] for words in lines
                if words[words.index("PUT") + 3] == "201"]

    def moved(self):
        """Bytes that the proxy has read, but for sockets without TLS, and written."""
        counts = pathlib.Path(f"/proc/{self.service.process.pid}/io").read_text()
        return sum(int(count) for count in re.findall(r"^[rw]char: (\d+)$", counts, re.M))

    def address_of(self, session):
        """What Swift knows the session's node by."""
        return "127.0.1." + session["node"].split(":")[0].split(".")[3]

    def test_nodes_put_outputs_and_read_from_each_other(self):
        size = 20_000_000
        before = self.moved()
        report = self.report([
            group("map", "pour", f"{size} /dev/out/reduce", connect=["reduce"], count=2),
            group("reduce", "copy", "/dev/in/map-1 -", [device("stdout", "out/reduced")]),
            group("too", "pour", f"{size}", [device("stdout", "out/too")])])
        self.assertLess(self.moved() - before, size)  # neither of them went through it
        self.assertEqual(self.gauge("zerocloud_spool_bytes"), 0)
        for name, session in (("reduced", report["sessions"][2]), ("too", report["sessions"][3])):
            self.assertTrue(self.get(f"out/{name}").body == poured(size))
            self.wait_until(lambda path=f"out/{name}": self.puts(path))
            self.assertEqual(self.puts(f"out/{name}"), [self.address_of(session)])
            self.assertNotIn("failed_nodes", session)

    def run_and_kill_a_holder(self, document, waiting):
        """Starts a job in which one session waits, kills the node that holds what the other one wrote as
        soon as that is all there is, and returns the report."""
        thread, reports = self.start(document)
        self.wait_until(lambda: self.gauge("zerocloud_sessions") == 1 and
                        self.gauge("zerocloud_sessions_waiting") == waiting and
                        any(node.spooled_bytes() for node in self.nodes) and
                        any(node.sessions() for node in self.nodes))
        stopped = [pid for node in self.nodes for pid in node.sessions()]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        self.assertEqual(self.gauge("zerocloud_spool_bytes"), 0)
        holders = [node for node in self.nodes if node.spooled_bytes()]
        self.assertEqual(len(holders), 1)
        holders[0].stop(signal.SIGKILL)
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):  # it ran on that node, too
                os.kill(pid, signal.SIGCONT)
        thread.join()
        held = reports[0]["sessions"][0]
        self.assertEqual(len(held["failed_nodes"]), 1, held)
        self.assertTrue(held["failed_nodes"][0].startswith(f"{holders[0].address}: what it held was lost: "))
        self.assertIsNot(self.node_of(held), holders[0])
        return reports[0]

    def apart(self):
        """Names of two objects of which the first has a replica where the second has none."""
        self.fill(**{f"o{i:02}": f"{i:02} ".encode() for i in range(24)})
        hosts = self.replica_hosts("in")
        return next((one, other) for one in sorted(hosts) for other in sorted(hosts)
                    if hosts[one] != hosts[other])

    def test_kill_9_of_a_mappers_node_while_the_reducer_waits(self):
        one, other = self.apart()
        report = self.run_and_kill_a_holder([
            group("a", "copy", "- /dev/out/r", [device("stdin", f"in/{one}")], connect=["r"]),
            group("b", "copy", "--wait - /dev/out/r", [device("stdin", f"in/{other}")], connect=["r"]),
            group("r", "gather", devices=["stdout"])], waiting=1)
        self.assertEqual(report["body"], f"a: {one[1:]} \nb: {other[1:]} \n")

    def test_kill_9_of_a_node_that_holds_an_output_before_it_is_stored(self):
        one, other = self.apart()
        report = self.run_and_kill_a_holder([
            group("a", "copy", "- -", [device("stdin", f"in/{one}"), device("stdout", "out/a")]),
            group("b", "copy", "--wait - -", [device("stdin", f"in/{other}"), device("stdout", "out/b")])],
            waiting=0)
        self.assertEqual(self.get("out/a").body, f"{one[1:]} ".encode())
        self.wait_until(lambda: self.puts("out/a"))
        self.assertEqual(self.puts("out/a"), [self.address_of(report["sessions"][0])])

    def test_a_job_that_fails_or_is_left_leaves_nothing_on_nodes(self):
        self.put("in/o", b"text")
        self.refuse([group("a", "copy", "- -", [device("stdin", "in/o"), device("stdout", "out/a")]),
                     group("b", "fail", "exit 3")], 500)
        self.wait_until(lambda: not any(node.spooled_bytes() for node in self.nodes))
        self.assertEqual(self.names("out"), [])


class BadKeys(NodesTest):
    def test_a_node_that_does_not_know_the_key_says_so_and_is_not_used(self):
        node = self.nodes[0]
        node.stop()
        node.key_file = make_key_file(self.directory / "other", "two")
        node.start()
        self.wait_until(lambda: 'key "one" is not in this machine\'s key file' in node.log())
        self.wait_until(lambda: "it does not take key" in (self.directory / "log").read_text())
        self.fill(**{f"o{i}": b"x" for i in range(8)})
        report = self.report(copies("in/o*"))
        self.assertEqual(report["body"], "x" * 8)
        self.assertNotIn(node.address, {session["node"] for session in report["sessions"]})

    def test_strangers_are_refused_with_a_reason(self):
        host, port = self.nodes[1].address.split(":")
        with socket.create_connection((host, int(port)), timeout=60) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            try:
                stranger.shutdown(socket.SHUT_WR)
                while stranger.recv(4096):
                    pass
            except OSError as error:  # hung up on before it had read all
                self.assertIn(error.errno, (errno.ECONNRESET, errno.ENOTCONN))
        self.wait_until(lambda: "offers no key" in self.nodes[1].log())
        self.put("in/o", b"x")
        self.assertEqual(self.succeed(copies("in/o")), b"x")


if __name__ == "__main__":
    unittest.main(verbosity=2)
