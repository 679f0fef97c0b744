"""Nodes that do not hear each other while the proxy hears both, gangs on hosts that are lost, and connections of which
one direction has ended. On hosts of which each has its own network, as in nodes_network_test."""

import itertools
import os
import pathlib
import re
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import nodes_network_test as hosts  # noqa: E402
import nodes_test  # noqa: E402
from framework import metrics, network  # noqa: E402
from framework.jobs import device, group  # noqa: E402
from framework.relay import Relay  # noqa: E402

setUpModule = hosts.setUpModule
tearDownModule = hosts.tearDownModule


class PartitionTest(hosts.HostsTest):
    def sever(self, one, other):
        self.host_of(one).sever(self.host_of(other))

    def failed_nodes(self, report):
        return [why for session in report["sessions"] for why in session.get("failed_nodes", ())]


class GangsTest(nodes_test.Mesh, PartitionTest):
    def wait_for_mesh(self, count=5):
        """Until all of it run; then those on one node stand still, so that none of it ends. Returns the nodes
        that it is on, that one first, and the processes."""
        self.wait_until(lambda: sum(len(node.sessions()) for node in self.nodes) == count)
        busy = [node for node in self.nodes if node.sessions()]
        for pid in busy[0].sessions():
            os.kill(pid, signal.SIGSTOP)
        return busy, [(node, pid) for node in busy for pid in node.sessions()]


@hosts.WHOLE
class Gangs(GangsTest):
    front_settings = ("metrics.listen=127.0.0.1:0",)

    def lose(self, lost):
        """One host with sessions of a gang; `lost` is a context."""
        thread, reports = self.start(self.mesh("--wait"))
        busy, _ = self.wait_for_mesh()
        node = busy[0]
        with lost(node):
            thread.join()
            self.assert_all_heard(reports[0]["body"])
            self.assertNotIn(node.address, {session["node"] for session in reports[0]["sessions"]})
            # Whoever misses it first: the proxy, or a node with a stream from or to it.
            why = reports[0]["sessions"][0]["failed_nodes"]
            self.assertIn("it has been silent for 5000 ms", why[0])
            self.assertLessEqual({each.split(": ")[0] for each in why}, {each.address for each in busy})
            self.assertEqual([session["failed_nodes"] for session in reports[0]["sessions"]], [why] * 5)
            self.wait_until(lambda: f"node {node.address}: it" in self.proxy_log(), describe=self.proxy_log)
        self.wait_until(lambda: f"node {node.address}: it answers again" in self.proxy_log(), describe=self.proxy_log)
        self.wait_until(lambda: node.sessions() == [], describe=node.sessions)
        self.assert_all_heard(self.succeed(self.mesh()).decode())

    def test_a_host_that_is_cut_off(self):
        self.lose(self.cut_off)

    def test_a_host_that_stands_still(self):
        self.lose(lambda node: self.host_of(node).paused())

    def test_what_it_wrote_outlives_its_nodes(self):
        """It could not be made again: who is heard first is not the same in every run of a gang."""
        self.fill(o=b"text")
        thread, reports = self.start([
            group("m", "mesh", devices=[device("stdout", "out/*")], count=6, connect=["m"]),
            group("w", "copy", "--wait - -", [device("stdin", "in/o"), "stdout"])])
        # Until the gang is over, and all that it wrote is here; the other session goes on.
        written = 6 * 5 * len("m-1 heard m-2\n")
        self.wait_until(lambda: metrics.scrape(self.proxy_log())["zerocloud_spool_bytes"] == written)
        last = self.wait_for_sessions()[0]
        for pid in last.sessions():
            os.kill(pid, signal.SIGSTOP)
        lost = [node for node in self.nodes if node is not last]
        for node in lost:
            node.stop(signal.SIGKILL)
        for pid in last.sessions():
            os.kill(pid, signal.SIGCONT)
        thread.join()
        self.assertEqual(reports[0]["body"], "text")
        self.assert_all_heard("".join(self.get(f"out/m-{i}").body.decode() for i in range(1, 7)), count=6)
        of_gang = {session["node"] for session in reports[0]["sessions"] if session["name"].startswith("m-")}
        self.assertTrue(of_gang & {node.address for node in lost}, reports[0])
        self.assertEqual(self.failed_nodes(reports[0]), [])

    def test_nodes_that_do_not_hear_each_other_for_a_while(self):
        thread, reports = self.start(self.mesh("--wait"))
        busy, sessions = self.wait_for_mesh()
        self.sever(*busy[:2])
        # Each notices by itself; no session of the attempt goes on without the others.
        self.wait_until(lambda: not any(pid in node.sessions() for node, pid in sessions))
        self.host_of(busy[0]).heal()
        thread.join()
        self.assert_all_heard(reports[0]["body"])
        why = reports[0]["sessions"][0]["failed_nodes"]
        self.assertEqual([session["failed_nodes"] for session in reports[0]["sessions"]], [why] * 5)
        pair = f"({busy[0].address}|{busy[1].address})"
        self.assertRegex(why[0], rf"^{pair}: the stream /dev/(in|out)/m-[1-5] (from|to) {pair}: it has been silent for 5000 ms$")
        # The proxy has heard all of them all the time.
        self.assertNotIn("node 10.", self.proxy_log())


@hosts.WHOLE
class SeveredGangs(GangsTest):
    front_settings = ("nodes.attempts=3",)

    def test_are_placed_so_that_all_hear_each_other(self):
        thread, reports = self.start(self.mesh("--wait"))
        busy, _ = self.wait_for_mesh()
        one, other = busy[:2]
        self.sever(one, other)
        thread.join()
        self.assert_all_heard(reports[0]["body"])
        sessions = reports[0]["sessions"]
        self.assertFalse({one.address, other.address} <= {session["node"] for session in sessions}, sessions)
        self.assertRegex("\n".join(sessions[0]["failed_nodes"]), rf"(?m)^({one.address}|{other.address}): ")
        self.assertNotIn("node 10.", self.proxy_log())

    def test_that_need_nodes_which_do_not_hear_each_other_are_an_honest_answer(self):
        count = 2 * len(self.nodes)
        thread, answers = self.start_unasked(self.mesh("--wait", count=count))
        busy, _ = self.wait_for_mesh(count)
        one, other = busy[:2]
        self.sever(one, other)
        # Each attempt may wait for the silence of a stream, or for one that cannot be opened.
        thread.join(timeout=60)
        self.assertFalse(thread.is_alive())
        self.assertEqual(answers[0].status, 503, answers[0].body)
        self.assertTrue(answers[0].headers["Retry-After"].isdigit())
        text = answers[0].body.decode()
        self.assertRegex(text, r"the stream /dev/(in|out)/m-[1-8] (from|to) [0-9.:]+: it has been silent for 5000 ms")
        between = [rf"{writer.address}: the stream /dev/out/m-[1-8] to {reader.address}: it cannot be reached: no answer"
                   for writer, reader in ((one, other), (other, one))]
        self.assertRegex(text, "|".join(between))
        self.wait_until(lambda: not any(node.sessions() for node in self.nodes))
        # Who needs no stream between the two is not concerned.
        self.assertEqual(sorted(self.succeed(self.mesh(count=2)).decode().splitlines()),
                         ["m-1 heard m-2", "m-2 heard m-1"])
        self.assertNotIn("node 10.", self.proxy_log())
        self.host_of(one).heal()
        self.assert_all_heard(self.succeed(self.mesh(count=count)).decode(), count)


@hosts.WHOLE
class Held(PartitionTest):
    """What a session shall read is on a node that the reader's does not hear."""

    front_settings = ("nodes.attempts=3",)

    def job(self):
        return [group("a", "copy", "--wait - /dev/out/r", [device("stdin", "in/a")], connect=["r"]),
                group("b", "copy", "--wait - /dev/out/r", [device("stdin", "in/b")], connect=["r"]),
                group("r", "gather", devices=["stdout"])]

    def test_is_made_again_where_the_reader_gets_it(self):
        self.fill(a=b"one", b=b"two")
        thread, reports, node, session = self.start_and_hold(self.job())
        holders = []
        self.wait_until(lambda: holders.extend(other for other in self.nodes if other is not node and
                                               not other.sessions() and other.spooled_bytes()) or holders)
        self.sever(node, holders[0])
        os.kill(session, signal.SIGCONT)
        thread.join(timeout=60)
        self.assertFalse(thread.is_alive())
        report = reports[0]
        self.assertEqual(report["body"], "a: one\nb: two\n")
        self.assertEqual([each["end"] for each in report["sessions"]], ["succeeded"] * 3)
        # The reader runs where one of them was held, and has missed the other.
        lost = {each.address for each in (node, holders[0])} - {report["sessions"][2]["node"]}
        why = self.failed_nodes(report)
        self.assertEqual(len(why), 1, why)
        self.assertIn(why[0], [f"{each}: what it held was lost: {each}: it cannot be reached: no answer" for each in lost])
        made = next(each for each in report["sessions"] if "failed_nodes" in each)
        self.assertIn(made["name"], ("a", "b"))
        self.assertFalse(why[0].startswith(made["node"]))
        # The proxy has heard all of them all the time: that is all that it has to say.
        self.assertEqual(re.findall(r"(?m)node (10\..*)$", self.proxy_log()), why)

    def test_with_no_node_that_hears_another_is_an_answer_in_time(self):
        self.fill(a=b"one", b=b"two")
        thread, answers = self.start_unasked(self.job())
        self.wait_for_sessions()
        for one, other in itertools.combinations(self.nodes, 2):
            self.sever(one, other)
        thread.join(timeout=90)
        self.assertFalse(thread.is_alive())
        # Perhaps one was made again on the reader's own node.
        if answers[0].status == 200:
            self.assertEqual(answers[0].body, b"a: one\nb: two\n")
        else:
            self.assertEqual(answers[0].status, 503, answers[0].body)
            self.assertTrue(answers[0].headers["Retry-After"].isdigit())
            text = answers[0].body.decode()
            self.assertRegex(text, "what session [ab] wrote was lost on 3 nodes, and nodes.attempts is 3; |"
                             "session [abr] could not run on any node: ")
            self.assertIn("it cannot be reached: no answer", text)
        for host in self.hosts:
            host.heal()
        self.assertEqual(self.succeed(self.job()), b"a: one\nb: two\n")


@hosts.WHOLE
class HalfClosed(hosts.HostsTest):
    """All connections to the nodes go through something that can end one direction of them."""

    silence_seconds = 60

    def half_close(self, towards_node, noticed):
        relays = [Relay(node.address, listen=network.OUTER) for node in self.nodes]
        for relay in relays:
            self.addCleanup(relay.close)
        through = f"nodes.list={','.join(relay.address for relay in relays)}"
        self.service.stop()
        self.service.arguments += ["--set", through]
        self.service.start()
        self.warm_up()
        self.quiet = self.files()
        self.fill_in(4)
        thread, reports, node, session = self.start_and_hold()
        relay = relays[self.nodes.index(node)]
        relay.half_close(towards_node)
        self.wait_until(lambda: session not in node.sessions())
        thread.join()
        self.assertEqual({session["end"] for session in reports[0]["sessions"]}, {"succeeded"})
        # What the proxy has noticed, for who reads the report and for who reads its log.
        moved = [why for session in reports[0]["sessions"] for why in session.get("failed_nodes", ())]
        self.assertTrue(moved)
        for why in moved:
            self.assertRegex(why, f"^{relay.address}: {noticed}$")
        self.wait_until(lambda: re.search(f"node {relay.address}: {noticed}\n", self.proxy_log()), describe=self.proxy_log)
        self.wait_until(lambda: f"node {relay.address}: it answers again\n" in self.proxy_log(), describe=self.proxy_log)
        self.assert_all_copied()

    def test_towards_the_node(self):
        self.half_close(towards_node=True, noticed="(it closed the connection|the connection to it broke: .+)")

    def test_towards_the_proxy(self):
        self.half_close(towards_node=False, noticed="the connection to it broke: unexpected eof while reading")


if __name__ == "__main__":
    unittest.main(verbosity=2)
