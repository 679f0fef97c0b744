"""Jobs on hosts of which each has its own network: cables are pulled, hosts die, stand still and fill up, clocks
and configurations disagree. A job's outputs are whole and right or not there, its answer says
what happened, and nothing is left running, open or stored on any host."""

import contextlib
import datetime
import os
import pathlib
import re
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import nodes_test  # noqa: E402
from framework import network, swift_front  # noqa: E402
from framework.jobs import device, group, poured  # noqa: E402
from framework.node import Node  # noqa: E402
from framework.service import PATH, PROGRAM, read_or_nothing  # noqa: E402
from framework.swift_cluster import SwiftCluster  # noqa: E402

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
WHOLE = unittest.skipUnless(os.environ.get("ZEROCLOUD_SWIFT_FULL"), "the rest: ./test.sh --swift-full")
_network = None


def setUpModule():
    global _network
    if reason := network.why_not():
        raise unittest.SkipTest(reason)
    _network = network.Network(hosts=5).__enter__()  # four for Swift, and one more
    try:
        swift_front.start_cluster(nodes=4, network=_network)
    except BaseException:
        _network.__exit__()
        raise


def tearDownModule():
    swift_front.stop_cluster()
    _network.__exit__()


def set_clock(hours):
    """A command that runs another whose clock is off by so much; times that pass are as they are."""
    return ("env", f"LD_PRELOAD={FAKETIME}", f"FAKETIME={hours:+}h", "FAKETIME_DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1")


class HostsTest(nodes_test.NodesTest):
    programs = ("copy", "fail", "gather", "mesh", "pour")
    silence_seconds = 5
    # Of a node that a busy machine makes look dead the test does not speak.
    front_settings = ("nodes.attempts=8",)

    def setUp(self):
        self.hosts = _network.hosts
        self.addCleanup(lambda: [host.heal() for host in self.hosts])
        super().setUp()
        self.stem = self._testMethodName  # of names, so that no listing of an earlier test matters

    def make_node(self, number, settings=(), wrapper=()):
        host = _network.hosts[number - 1]
        return super().make_node(number, host.address, settings, (*host.wrapper, *wrapper))

    def tearDown(self):
        for host in self.hosts:
            host.heal()
        super().tearDown()
        for host in self.hosts:
            self.wait_until(lambda: self.strangers(host) == [], describe=lambda: self.strangers(host))
        for node in self.nodes:
            if node.process is not None:
                self.wait_until(lambda: self.left_open(node) == [], describe=lambda: self.left_open(node))

    def strangers(self, host):
        """What runs there but Swift, the node, and what its sessions are cloned from."""
        nodes = {node.process.pid for node in self.nodes if node.process is not None}
        names = {pid: read_or_nothing(f"/proc/{pid}/cmdline") for pid in host.processes() if pid not in nodes}
        return [(pid, name) for pid, name in names.items()
                if not name.startswith(b"zvm-starter\0") and b"swift_servers.py" not in name]

    @staticmethod
    def left_open(node):
        """Files of the spool and of Swift's devices that it has open."""
        links = []
        for link in pathlib.Path(f"/proc/{node.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                links.append(os.readlink(link))
        return [link for link in links if f"/{node.directory.name}/" in link and not link.endswith("/log")]

    def proxy_log(self):
        return (self.directory / "log").read_text()

    # Jobs that copy objects, of which each is as many bytes as no other.

    def fill_in(self, count, size=1000):
        self.objects = {f"{self.stem}-{i}": poured(size + i) for i in range(count)}
        self.fill(**self.objects)

    def copy_job(self, arguments="- -"):
        return [group("each", "copy", arguments,
                      [device("stdin", f"in/{self.stem}-*"), device("stdout", f"out/{self.stem}-*.copy")])]

    def copy_one_by_one(self):
        """The same without a listing."""
        return [group(f"g{i}", "copy", "- -", [device("stdin", f"in/{name}"), device("stdout", f"out/{name}.copy")])
                for i, name in enumerate(self.objects)]

    def pour_job(self):
        """The same with nothing stored."""
        return [group("each", "copy", "--wait - -", [device("stdin", f"in/{self.stem}-*"), "stdout"])]

    def assert_all_copied(self):
        for name, text in self.objects.items():
            stored = self.get(f"out/{name}.copy")
            self.assertEqual(stored.status, 200, name)
            self.assertTrue(stored.body == text, name)

    def assert_whole_or_absent(self):
        """What a failed job has stored, if anything; returns how many."""
        stored = {name: self.get(f"out/{name}.copy") for name in self.objects}
        for name, answer in stored.items():
            self.assertIn(answer.status, (200, 404), name)
            self.assertTrue(answer.status == 404 or answer.body == self.objects[name], name)
        return sum(answer.status == 200 for answer in stored.values())

    def start_and_hold(self, job=None):
        """Starts a job, which will want a report; one of its sessions then stands still, so that it does
        not end before what is to happen to its node has happened. Returns thread, reports, node and session."""
        thread, reports = self.start(job or self.copy_job("--wait - -"))
        held = []

        def hold():
            for node in self.nodes:
                for pid in node.sessions():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGSTOP)
                        held.append((node, pid))
                        return True
            return False
        self.wait_until(hold)
        return thread, reports, *held[0]

    def assert_moved_from(self, node, report):
        """At least one session was tried there, and all ended well elsewhere or before."""
        self.assertEqual({session["end"] for session in report["sessions"]}, {"succeeded"})
        self.assertTrue(self.complaints(node, report), report["sessions"])

    def complaints(self, node, report):
        """Why sessions were not left to that node, as the report has it."""
        return [why for session in report["sessions"] for why in session.get("failed_nodes", ())
                if why.startswith(node.address)]

    def lose_a_holder(self, job, lost):
        """Takes a node away whose sessions are over while another one's is not; `lost` is a context."""
        thread, reports, node, session = self.start_and_hold(job)
        holders = []
        self.wait_until(lambda: holders.extend(other for other in self.nodes if other is not node and not other.sessions()
                                               and other.spooled_bytes()) or holders)
        with lost(holders[0]):
            os.kill(session, signal.SIGCONT)
            thread.join()
        self.assert_moved_from(holders[0], reports[0])
        self.assert_all_copied()

    @contextlib.contextmanager
    def cut_off(self, node):
        self.host_of(node).cut()
        yield
        self.host_of(node).heal()

    @staticmethod
    @contextlib.contextmanager
    def hanging(node):
        """It alone, and not Swift beside it."""
        os.kill(node.process.pid, signal.SIGSTOP)
        yield
        os.kill(node.process.pid, signal.SIGCONT)

    def host_of(self, node):
        return next(host for host in self.hosts if host.address == node.host)


class Placed(HostsTest):
    def test_sessions_run_on_the_hosts_of_their_objects(self):
        self.fill_in(12)
        hosts = self.replica_hosts("in")
        report = self.report(self.copy_job())
        self.assertEqual(report["local_sessions"], 12)
        for name, session in zip(sorted(self.objects), report["sessions"], strict=True):
            self.assertEqual(len(hosts[name]), 3)
            self.assertIn(self.node_of(session).host, hosts[name])
        self.assert_all_copied()


class Cables(HostsTest):
    def lose(self, sever):
        """One host, by that method of Host, while a session runs there."""
        self.fill_in(4)
        thread, reports, node, session = self.start_and_hold()
        sever(self.host_of(node))
        thread.join()
        self.assert_moved_from(node, reports[0])
        # It has noticed by itself, however it is cut off, and ended what nobody waits for.
        self.wait_until(lambda: node.sessions() == [], describe=node.sessions)
        self.host_of(node).heal()
        self.assert_all_copied()
        self.wait_until(lambda: f"node {node.address}: it answers again" in self.proxy_log())
        self.succeed(self.copy_job())
        self.assert_all_copied()

    def test_a_host_that_is_cut_off_and_comes_back(self):
        self.lose(network.Host.cut)

    @WHOLE
    def test_a_host_that_does_not_hear(self):
        self.lose(network.Host.deafen)

    @WHOLE
    def test_a_host_that_is_not_heard(self):
        self.lose(network.Host.mute)

    @WHOLE
    def test_a_host_that_is_cut_off_with_outputs_that_are_not_stored(self):
        self.fill_in(6)
        self.lose_a_holder(self.copy_job("--wait - -"), self.cut_off)

    @WHOLE
    def test_a_host_that_is_cut_off_with_what_others_shall_read(self):
        self.fill_in(4)
        readers = [f"r{i}" for i in range(1, 5)]
        to = " ".join(f"/dev/out/{reader}" for reader in readers)
        self.lose_a_holder([
            group("each", "copy", f"--wait - {to}", [device("stdin", f"in/{self.stem}-*")], connect=readers),
            *(group(reader, "copy", f"/dev/in/each-{i} -", [device("stdout", f"out/{self.stem}-{i - 1}.copy")])
              for i, reader in enumerate(readers, 1))], self.cut_off)

    @WHOLE
    def test_all_hosts_cut_off_is_an_honest_answer(self):
        self.fill_in(2)
        thread, reports = self.start_unasked(self.copy_job("--wait - -"))
        self.wait_for_sessions()
        for host in self.hosts:
            host.cut()
        thread.join()
        self.assertEqual(reports[0].status, 503, reports[0].body)
        self.assertTrue(reports[0].headers["Retry-After"].isdigit())
        for host in self.hosts:
            host.heal()
        self.assertEqual(self.assert_whole_or_absent(), 0)
        self.wait_until(lambda: self.run_job(self.copy_job()).status == 200, seconds=120)
        self.assert_all_copied()


@WHOLE
class ShortCuts(HostsTest):
    silence_seconds = 60

    def test_a_partition_shorter_than_the_silence_changes_nothing(self):
        self.fill_in(4)
        thread, reports, node, session = self.start_and_hold()
        self.host_of(node).cut()
        # Asked how it does every second, it owes an answer, and the kernel says everything again.
        self.wait_until(lambda: self.retransmissions(node) > 0)
        self.host_of(node).heal()
        os.kill(session, signal.SIGCONT)
        thread.join()
        self.assertEqual([session.get("failed_nodes") for session in reports[0]["sessions"]], [None] * 4)
        self.assert_all_copied()

    @staticmethod
    def retransmissions(node):
        """Of what this end has sent to that node, as /proc/net/tcp counts them."""
        number, port = node.address.rsplit(":", 1)
        remote = "".join(f"{int(part):02X}" for part in reversed(number.split("."))) + f":{int(port):04X}"
        rows = [line.split() for line in pathlib.Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]]
        return sum(int(row[6], 16) for row in rows if row[2] == remote)


@WHOLE
class Hosts(HostsTest):
    """All that runs on a host at once: Swift's servers, the node and its sessions."""

    def test_a_host_that_dies(self):
        self.fill_in(6)
        thread, reports, node, session = self.start_and_hold()
        number = self.host_of(node).number
        servers = [name for name in self.swift.pids if name.endswith(f"-{number}")]
        for name in servers:
            self.swift.stop_server(name, signal.SIGKILL)
        node.stop(signal.SIGKILL)
        thread.join()
        self.assert_moved_from(node, reports[0])
        self.assert_all_copied()
        for name in servers:
            self.swift.start_server(name)
            self.swift.wait_for(name)
        node.start()
        self.wait_until(lambda: f"node {node.address}: it answers again" in self.proxy_log())
        self.succeed(self.copy_job())

    def test_a_node_that_hangs_with_outputs_that_are_not_stored(self):
        self.fill_in(6)
        self.lose_a_holder(self.copy_job("--wait - -"), self.hanging)

    def test_a_host_that_stands_still(self):
        self.fill_in(6)
        # Storing would wait for Swift's own patience, which is a minute.
        thread, reports, node, session = self.start_and_hold(self.pour_job())
        with self.host_of(node).paused():
            thread.join()
            self.assert_moved_from(node, reports[0])
        self.assertTrue(reports[0]["body_bytes"] == sum(map(len, self.objects.values())))
        self.assertTrue(self.succeed(self.pour_job()) == b"".join(self.objects.values()))


@WHOLE
class FullSpools(HostsTest):
    """Nodes whose spool is a disk of 2 MiB, which one output of these jobs does not fit on."""

    silence_seconds = 60
    small = (1,)

    def make_node(self, number, settings=(), wrapper=()):
        if number in self.small:
            self.enterContext(network.small_disk(self.directory / f"node{number}" / "spool", 2))
        return super().make_node(number, settings, wrapper)

    def test_what_has_no_room_on_one_host_has_it_on_another(self):
        self.fill_in(8, 4_000_000)
        report = self.report(self.copy_job())
        self.assert_moved_from(self.nodes[0], report)
        for why in self.complaints(self.nodes[0], report):
            self.assertIn("No space left on device", why)
        self.assert_all_copied()


@WHOLE
class AllSpoolsFull(FullSpools):
    small = (1, 2, 3, 4)

    def test_what_has_no_room_on_one_host_has_it_on_another(self):
        self.fill_in(2, 4_000_000)
        answer = self.refuse(self.copy_job(), 503, "No space left on device")
        self.assertTrue(answer.headers["Retry-After"].isdigit())
        self.assertEqual(self.assert_whole_or_absent(), 0)
        self.fill_in(2, 1000)  # what fits goes on
        self.succeed(self.copy_job())
        self.assert_all_copied()


class SmallDevices(SwiftCluster):
    """One whose devices are disks of 64 MiB each."""

    def lay_out(self):
        super().lay_out()
        self.disks = contextlib.ExitStack()
        for number in range(1, 5):
            for name in self.device_names():
                self.disks.enter_context(network.small_disk(self.devices(number) / name, 64))

    def stop(self):
        self.stop_servers()
        if hasattr(self, "disks"):
            self.disks.close()
        super().stop()


@WHOLE
class FullDevices(HostsTest):
    silence_seconds = 60

    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(swift_front.use_cluster(SmallDevices(nodes=4, network=_network).start()))

    def fill_device(self, number):
        ballast = network.fill_up(self.swift.devices(number) / "d1")
        self.addCleanup(ballast.unlink, missing_ok=True)
        return ballast

    def test_one_full_host_is_done_without(self):
        self.fill_in(4, 100_000)
        self.fill_device(2)
        self.succeed(self.copy_one_by_one())
        self.assert_all_copied()

    def test_no_room_in_swift_is_an_honest_answer(self):
        self.fill_in(4, 100_000)
        ballasts = [self.fill_device(number) for number in range(1, 5)]
        answer = self.run_job(self.copy_one_by_one())
        self.assertEqual(answer.status, 503, answer.body)
        self.assertIn(b"out/", answer.body)
        for ballast in ballasts:
            ballast.unlink()
        self.assert_whole_or_absent()
        self.wait_until(lambda: self.run_job(self.copy_one_by_one()).status == 200)
        self.assert_all_copied()


@WHOLE
class Clocks(HostsTest):
    silence_seconds = 60
    hours = {}          # by which the clock of that node is off; 0 is the proxy's
    key_from_to = None  # hours from now, or without bounds

    @classmethod
    def setUpClass(cls):
        done = subprocess.run([*set_clock(+24 * 365), PROGRAM, "--version"], env={"PATH": PATH}, capture_output=True,
                              text=True, check=False)
        if "Sanitizer" in done.stderr:
            raise unittest.SkipTest("libfaketime does not work with the sanitizers")
        if done.returncode != 0 or done.stderr:
            raise RuntimeError(f"no other clock for this program: {done.stderr}")

    def setUp(self):
        self.killed = []  # processes
        self.addCleanup(self.remove_clocks)  # the last thing that is done
        super().setUp()

    def tearDown(self):
        super().tearDown()
        self.killed += [each.process.pid for each in (self.service, *self.nodes) if each.process is not None]

    def remove_clocks(self):
        """What libfaketime leaves in the shared memory of a process that is killed."""
        for pid in self.killed:
            for path in pathlib.Path("/dev/shm").glob(f"*faketime_s*_{pid}"):
                path.unlink()

    def make_service(self):
        service = super().make_service()
        if 0 in self.hours:
            service.wrapper = set_clock(self.hours[0])
        return service

    def make_node(self, number, settings=(), wrapper=()):
        if self.key_from_to is not None:
            now = datetime.datetime.now(datetime.timezone.utc)
            bounds = [(now + datetime.timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
                      for hours in self.key_from_to]
            secret = self.key_file.read_text().split()[-1]
            self.key_file.write_text(f"bounded {' '.join(bounds)} {secret}\n")
        if number in self.hours:
            wrapper = set_clock(self.hours[number])
        return super().make_node(number, settings, wrapper)


class ClocksOfNodes(Clocks):
    hours = {1: +1, 2: -1}
    key_from_to = (-0.5, +0.5)

    def test_a_key_that_is_not_valid_for_one_side_is_refused_there(self):
        late, early = self.nodes[:2]
        self.wait_until(lambda: re.search(r'key "bounded" expired at .*; this machine\'s clock says', late.log()))
        self.wait_until(lambda: re.search(r'key "bounded" is valid only from .*; this machine\'s clock says',
                                          early.log()))
        for node in (late, early):
            self.wait_until(lambda: f'node {node.address}: it does not take key "bounded"' in self.proxy_log())
        self.fill_in(8)
        report = self.report(self.copy_job())
        self.assertLessEqual({session["node"] for session in report["sessions"]},
                             {node.address for node in self.nodes[2:]})
        self.assert_all_copied()


class ClockOfTheProxy(Clocks):
    hours = {0: +1}
    key_from_to = (-0.5, +0.5)

    def warm_up(self):
        """No job runs here."""

    def test_it_finds_no_valid_key_and_says_so(self):
        self.fill_in(2)
        answer = self.refuse(self.copy_job(), 503, 'no key in this machine\'s key file is valid now; key "bounded" '
                             "expired at")
        self.assertTrue(answer.headers["Retry-After"].isdigit())
        self.assertIn("this machine's clock says", self.proxy_log())
        self.assertEqual(self.assert_whole_or_absent(), 0)
        # The clock is right again.
        self.service.stop()
        self.service.wrapper = ()
        self.service.start()
        self.succeed(self.copy_job())
        self.assert_all_copied()
        self.quiet = self.files()


class ClocksWithoutBounds(Clocks):
    hours = {0: -1, 1: +1, 2: -1, 3: +25}

    def test_nothing_else_depends_on_them(self):
        self.fill_in(12)
        report = self.report(self.copy_job())
        self.assertEqual(report["local_sessions"], 12)
        self.assertEqual([session.get("failed_nodes") for session in report["sessions"]], [None] * 12)
        self.assert_all_copied()


@WHOLE
class OldRings(HostsTest):
    """The proxy still has the rings of a time when all lay on one host."""

    silence_seconds = 60
    ring_addresses = ("10.90.0.1",)

    def proxy_rings(self):
        directory = self.directory / "old-rings"
        directory.mkdir()
        (directory / "swift.conf").write_bytes((self.swift.swift_dir / "swift.conf").read_bytes())
        self.make_ring(directory)
        return directory

    def make_ring(self, directory):
        port = self.swift.configs["object-1"][3]
        self.swift.command(do="ring", file=str(directory / "object.ring.gz"), part_power=6, replicas=1,
                           devices=[{"zone": 1, "ip": address, "port": port, "device": "d1"}
                                    for address in self.ring_addresses])

    def test_what_is_not_where_they_say_is_read_over_http(self):
        self.fill_in(24)
        report = self.report(self.copy_job())
        first = self.nodes[0].address
        there = [session for session in report["sessions"] if session["node"] == first]
        self.assertGreater(len(there), 0)
        self.assertEqual([session.get("failed_nodes") for session in report["sessions"]], [None] * 24)
        for session in report["sessions"]:
            self.assertTrue(session["local"] or session["why_not_local"], session)
        self.assert_all_copied()


class RingsOfElsewhere(OldRings):
    """They name a host that there is no node of, and there is a node on a host that is in no ring."""

    ring_addresses = ("10.90.0.77",)
    node_numbers = (1, 2, 3, 4, 5)

    def make_node(self, number, settings=(), wrapper=()):
        if number <= 4:
            return super().make_node(number, settings, wrapper)
        host = _network.hosts[number - 1]
        return Node(self.directory / f"node{number}", host.address, self.key_file, ["--upstream", self.swift.url],
                    [f"nodes.silence_seconds={self.silence_seconds}", *self.node_settings], host.wrapper)

    def test_what_is_not_where_they_say_is_read_over_http(self):
        self.fill_in(24)
        # Sessions go where least is to do, which may be anywhere.
        sessions = self.report(self.copy_job())["sessions"]
        self.assertIn(self.nodes[4].address, {session["node"] for session in sessions})
        for session in sessions:
            self.assertFalse(session["node"] == self.nodes[4].address and session.get("local"))
        self.assert_all_copied()


@WHOLE
class OldRingsOfANode(OldRings):
    """A node has them, and the proxy those of today."""

    def proxy_rings(self):
        return self.swift.swift_dir

    def make_node(self, number, settings=(), wrapper=()):
        if number == 2:
            settings = (*settings, f"local.swift_dir={OldRings.proxy_rings(self)}")
        return super().make_node(number, settings, wrapper)



if __name__ == "__main__":
    unittest.main(verbosity=2)
