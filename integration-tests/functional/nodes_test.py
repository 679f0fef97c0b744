"""Jobs on four nodes beside the four object servers of a real Swift: sessions run where their objects
are, move when their node dies, and leave nothing behind."""

import collections
import contextlib
import errno
import itertools
import json
import os
import pathlib
import pickle
import re
import signal
import socket
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import jobs_test  # noqa: E402
from framework import metrics, swift_front  # noqa: E402
from framework.access_log import access_lines  # noqa: E402
from framework.jobs import REPORT, JobTest, device, group, is_alive, poured  # noqa: E402
from framework.node import OnNodes, make_key_file  # noqa: E402
from framework.relay import Relay  # noqa: E402
from framework.service import ACCOUNT, Service  # noqa: E402


def setUpModule():
    swift_front.start_cluster(nodes=4, last_node_policy=True)


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

    def start_unasked(self, document):
        """The same for any answer."""
        answers = []
        thread = threading.Thread(target=lambda: answers.append(self.run_job(document)))
        thread.start()
        return thread, answers

    def make_container(self, name, policy):
        answer = self.service.request("PUT", f"/v1/{ACCOUNT}/{name}", headers={"X-Storage-Policy": policy})
        self.assertEqual(answer.status, 201)

    def start_another_proxy(self):
        """With the same nodes."""
        directory = self.directory / "other"
        (directory / "spool").mkdir(parents=True)
        other = Service(directory, self.service.arguments, (f"engine.spool_directory={directory / 'spool'}",))
        self.addCleanup(other.stop, signal.SIGKILL)
        other.start()
        return other

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
                name = pickle.loads(os.getxattr(path, "user.swift.metadata"), encoding="bytes")[b"name"].decode()
                if name.startswith(f"/{ACCOUNT}/{container}/"):
                    hosts[name.split("/", 3)[3]].add(self.nodes[number - 1].host)
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

    def test_attach_chooses_the_object(self):
        # So few that none is sent elsewhere because a node has much to do.
        self.fill(o0=b"1", o1=b"1", o2=b"1", far0=b"22")
        devices = [device("stdin", "in/o*"), device("input", "in/far0"), device("stdout", "out/copy-*")]
        for attach, container, names in (("default", "in", ["o0", "o1", "o2"]),
                                         ("input", "in", ["far0"] * 3),
                                         ("stdout", "out", ["copy-0", "copy-1", "copy-2"])):
            with self.subTest(attach):
                report = self.report([group("g", "copy", "- -", devices, attach=attach)])
                hosts = self.replica_hosts(container)  # the outputs' too: now they are stored
                for session, name in zip(report["sessions"], names, strict=True):
                    self.assertEqual(len(hosts[name]), 3)
                    self.assertIn(session["node"].split(":")[0], hosts[name])
        self.refuse([group("g", "copy", "- -", devices, attach="output")], 400,
                    "/0/attach: the group has no device", "default, stdin, input, stdout")

    def test_the_policy_of_the_container_counts(self):
        self.make_container("narrow", "last")
        self.make_container("coded", "ec")
        objects = {f"o{i}": f"{i} ".encode() for i in range(3)}
        for container in ("narrow", "coded", "in"):
            self.fill(container, **objects)
        last = self.nodes[-1].address
        # Known from the listing, from a HEAD for what is read, and for what will be written.
        for job in (copies("narrow/o*"), copies("narrow/o1"),
                    [group("g", "copy", "- -", [device("stdin", "in/o1"), device("stdout", "narrow/new")],
                           attach="stdout")]):
            report = self.report(job)
            self.assertEqual({session["node"] for session in report["sessions"]}, {last})
        self.assertEqual(self.get("narrow/new").body, b"1 ")
        report = self.report(copies("coded/o*"))
        self.assertEqual(report["body"], "0 1 2 ")
        self.assertEqual(report["local_sessions"], 0)
        # Not by chance: those of the other policy still run elsewhere, too.
        hosts = self.replica_hosts("in")
        for number, session in enumerate(self.report(copies("in/o*"))["sessions"]):
            self.assertIn(session["node"].split(":")[0], hosts[f"o{number}"])

    def test_a_location_keeps_sessions_together(self):
        self.fill(o0=b"1", o1=b"2")
        report = self.report([
            group("map", "copy", "- /dev/out/one", [device("stdin", "in/o*")], location="x", connect=["one"]),
            group("one", "gather", devices=["stdout"]),
            group("other", "copy", "- -", [device("stdin", "in/o*"), "stdout"], location="x")])
        of = {session["name"]: session for session in report["sessions"]}
        for i in (1, 2):
            self.assertEqual(of[f"map-{i}"]["node"], of[f"other-{i}"]["node"])
            self.assertTrue(of[f"map-{i}"]["colocated"] and of[f"other-{i}"]["colocated"])
        self.assertNotIn("colocated", of["one"])

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
        self.assertIn(session["node"].split(":")[0], self.replica_hosts("in")["o"])
        self.assertTrue(session["local"], session)
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


class FullCluster(NodesTest):
    node_settings = ("engine.sessions_at_once=1", "node.waiting=0")
    front_settings = ("engine.gang_wait_seconds=1",)

    @contextlib.contextmanager
    def every_slot_taken(self):
        with self.under_way([group("g", "fail", "loop", count=4, timeout=3000)]):
            self.wait_until(lambda: all(len(node.sessions()) == 1 for node in self.nodes))
            yield
            self.assertEqual([len(node.sessions()) for node in self.nodes], [1, 1, 1, 1])

    def test_a_gang_waits_for_slots_and_then_is_503(self):
        gang = [group("m", "mesh", devices=["stdout"], count=3, connect=["m"])]
        with self.every_slot_taken():
            answer = self.refuse(gang, 503, "a gang of 3 sessions, m-1 among them, has waited 1000 ms", "4 of 4 are taken")
            self.assertTrue(answer.headers["Retry-After"].isdigit())
        self.wait_until(lambda: self.run_job(gang).status == 200)

    def test_nodes_whose_queues_are_full_are_503(self):
        other = self.start_another_proxy()
        with self.every_slot_taken():
            answer = other.job([group("p", "pour", "8", ["stdout"])])
            self.assertEqual(answer.status, 503, answer.body)
            self.assertIn(b"session p could not run on any node", answer.body)
            self.assertEqual(answer.body.count(b"all 1 slots are taken and enough sessions wait"), 3, answer.body)
            self.assertTrue(answer.headers["Retry-After"].isdigit())
        self.wait_until(lambda: other.job([group("p", "pour", "8", ["stdout"])]).status == 200)


class Mesh:
    """Put before NodesTest: sessions that run all at once and talk to each other, on nodes of two slots each."""

    def mesh(self, *arguments, count=5):
        return [group("m", "mesh", " ".join(arguments), devices=["stdout"], count=count, connect=["m"])]

    def assert_all_heard(self, body, count=5):
        self.assertEqual(sorted(body.splitlines()),
                         sorted(f"m-{i} heard m-{j}" for i, j in itertools.permutations(range(1, count + 1), 2)))


class Gangs(Mesh, NodesTest):
    def test_a_node_that_is_killed_within_a_gang(self):
        thread, reports = self.start(self.mesh("--wait"))
        self.wait_until(lambda: sum(len(node.sessions()) for node in self.nodes) == 5)
        node = self.wait_for_sessions()[0]
        for pid in node.sessions():  # they have written, perhaps, and have not read
            os.kill(pid, signal.SIGSTOP)
        node.stop(signal.SIGKILL)
        thread.join()
        self.assert_all_heard(reports[0]["body"])
        self.assertNotIn(node.address, {session["node"] for session in reports[0]["sessions"]})
        self.assertTrue(any(why.startswith(node.address) for session in reports[0]["sessions"]
                            for why in session.get("failed_nodes", ())), reports[0]["sessions"])

    def test_gangs_of_two_proxies_do_not_block_each_other(self):
        proxies = [self.service, self.start_another_proxy()]  # which do not know of each other's
        answers = []
        threads = [threading.Thread(target=lambda i=i: answers.append(proxies[i % 2].job(self.mesh()))) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([answer.status for answer in answers], [200] * 6, [answer.body for answer in answers])
        for answer in answers:
            self.assert_all_heard(answer.body.decode())


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
        relay = Relay(self.swift.address, source=f"127.0.1.{number}")
        self.addCleanup(relay.close)
        return relay.url

    def gauge(self, name):
        return metrics.scrape((self.directory / "log").read_text())[name]

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

    def test_swifts_own_log_names_job_and_session_of_what_nodes_ask_for(self):
        self.make_container("coded", "ec")  # of which no node has a whole file
        self.fill("coded", a=b"1", b=b"2")
        response = self.run_job([group("copier", "copy", "- -", [device("stdin", "coded/*"),
                                                                 device("stdout", "out/copy-*")])], headers=REPORT)
        self.assertEqual(response.status, 200, response.body)
        job = re.fullmatch(r"tx([0-9a-f]{12})[0-9a-f]{9}-[0-9a-f]{10}", response.headers["X-Trans-Id"])[1]

        def of(trace):
            return {(line["remote_addr"], line["method"], line["path"].split("?")[0])
                    for line in access_lines(self.swift.log("proxy")) if line["transaction_id"].endswith(trace)}

        for session, name in zip(json.loads(response.body)["sessions"], "ab", strict=True):
            trace, node = f"-zc-{job}-{session['name']}", self.address_of(session)
            wanted = {(node, "GET", f"/v1/{ACCOUNT}/coded/{name}"), (node, "PUT", f"/v1/{ACCOUNT}/out/copy-{name}")}
            # Swift writes its line after the answer.
            self.wait_until(lambda: wanted <= of(trace), describe=lambda: of(trace))
            self.assertEqual(of(trace), wanted)
            # And in the logs of the servers behind the proxy.
            self.wait_until(lambda: any(trace in self.swift.log(f"object-{number}") for number in range(1, 5)))
        # What the job asks for as a whole, the nodes do not.
        self.assertEqual({address for address, _, _ in of(f"-zc-{job}")}, {"127.0.0.1"})


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


    def test_an_expired_key_is_named_by_the_side_that_refuses(self):
        self.put("in/o", b"x")
        *_, secret = self.key_file.read_text().split()
        node = self.nodes[0]
        node.stop()
        node.key_file = self.directory / "expired"
        node.key_file.touch(mode=0o600)
        node.key_file.write_text(f"one - 2020-01-01T00:00:00Z {secret}\n")
        node.start()
        self.wait_until(lambda: 'key "one" expired' in node.log(), describe=node.log)
        self.assertEqual(self.succeed(copies("in/o")), b"x")
        # Now the proxy has none either, and says so itself.
        self.key_file.write_text(node.key_file.read_text())
        for each in self.nodes:
            each.stop()
            each.start()
        self.wait_until(lambda: "no key in this machine's key file is valid now" in (self.directory / "log").read_text(),
                        describe=(self.directory / "log").read_text)
        self.refuse(copies("in/o"), 503, "could not run on any node", "no key in this machine's key file is valid now")


class Disagreeing(NodesTest):
    node_settings = (*OnNodes.node_settings, "jobs.memory_bytes=300000000")

    def test_limits_below_the_proxys_are_named_in_the_log_and_in_the_answer(self):
        reason = "its own limit jobs.memory_bytes is 300000000, and 400000000 were asked for"
        self.put("in/o", b"x")
        job = [group("g", "copy", "- -", [device("stdin", "in/o"), "stdout"], memory=400000000)]
        self.refuse(job, 503, "session g could not run on any node", reason)
        told = [node.log().count(f"refused session g: {reason}") for node in self.nodes]
        self.assertEqual(sorted(told), [0, 1, 1, 1])  # nodes.attempts
        self.assertEqual(self.succeed(copies("in/o")), b"x")


class Operated(NodesTest):
    """What an operator changes while it runs, and sees."""

    def make_service(self):
        self.statsd = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.statsd.close)
        self.statsd.bind(("127.0.0.1", 0))
        self.statsd.settimeout(60)
        statsd = ("statsd.host=127.0.0.1", f"statsd.port={self.statsd.getsockname()[1]}", "statsd.gauge_seconds=1")
        self.node_settings = (*self.node_settings, *statsd, "metrics.listen=127.0.0.1:0")
        self.front_settings = (*self.front_settings, *statsd)
        service = super().make_service()
        # What is to change cannot stand on the command line.
        at = next(i for i, each in enumerate(service.arguments) if each.startswith("nodes.list="))
        del service.arguments[at - 1:at + 1]
        self.config = self.directory / "zerocloud.conf"
        service.arguments += ["--config", str(self.config)]
        self.configure(self.nodes[:3])
        return service

    def configure(self, nodes, more=""):
        self.config.write_text(f"[nodes]\nlist = {', '.join(node.address for node in nodes)}\n{more}")

    def reload(self, nodes, groups):
        """With another option that cannot be reloaded: it is told of when the rest is in force."""
        self.configure(nodes, f"[jobs]\ngroups = {groups}\n")
        lines = self.log().count("jobs.groups has changed, which takes effect with a restart")
        self.service.process.send_signal(signal.SIGHUP)
        self.wait_until(lambda: self.log().count("jobs.groups has changed, which takes effect with a restart") > lines,
                        describe=self.log)

    def log(self):
        return (self.directory / "log").read_text()

    def test_nodes_come_and_go_with_the_list(self):
        self.put("in/o", b"text")
        thread, reports = self.start(copies("in/o", "--wait - -"))
        removed = self.wait_for_sessions()[0]
        self.reload([self.nodes[3]], 50)
        for _ in range(3):
            self.assertIs(self.node_of(self.report(copies("in/o"))["sessions"][0]), self.nodes[3])
        thread.join()
        session = reports[0]["sessions"][0]
        self.assertEqual(reports[0]["body"], "text")
        self.assertIs(self.node_of(session), removed)
        self.assertNotIn("failed_nodes", session)
        self.reload([removed], 51)
        self.assertIs(self.node_of(self.report(copies("in/o"))["sessions"][0]), removed)
        self.assertNotIn("nodes.list has changed", self.log())

    def test_a_node_tells_what_it_would_take_a_restart_for(self):
        node = self.nodes[0]
        config = self.directory / "node.conf"
        config.write_text("[node]\nwaiting = 5\n[log]\naccess = none\n[nodes]\nattempts = 3\n")
        node.stop()
        node.arguments += ["--config", str(config)]
        node.start()
        self.assertEqual(node.log().count("warning: a node does not use log.access, nodes.attempts\n"), 1)
        config.write_text("[node]\nwaiting = 6\n[log]\naccess = none\n")
        node.process.send_signal(signal.SIGHUP)
        self.wait_until(lambda: "node.waiting has changed, which takes effect with a restart" in node.log())
        config.write_text("[node]\nwaiting = many\n")
        node.process.send_signal(signal.SIGHUP)
        self.wait_until(lambda: "node.conf:2: [node] waiting" in node.log(), describe=node.log)
        self.assertEqual(node.log().count("a node does not use"), 1)

    def test_a_node_counts_what_it_ran(self):
        def scrape():
            return {node.address: metrics.scrape(node.log()) for node in self.nodes}

        self.put("in/o", b"text")
        before = scrape()
        job = [group("g", "copy", "- -", [device("stdin", "in/o"), device("stdout", "out/o")])]
        ran = self.report(job)["sessions"][0]["node"]
        for address, now in scrape().items():
            def grown(name, now=now, address=address):
                return now.get(name, 0) - before[address].get(name, 0)
            self.assertEqual(grown('zerocloud_node_sessions_total{cause="exited"}'), int(address == ran))
            self.assertEqual(grown("zerocloud_node_written_bytes_total"), 4 * (address == ran))
            # With its arguments and environment.
            self.assertEqual(grown("zerocloud_node_read_bytes_total") > 4, address == ran)
            self.assertEqual((now["zerocloud_node_sessions"], now["zerocloud_node_session_slots"]), (0, 2))
        self.wait_until(lambda: scrape()[ran]["zerocloud_node_spool_bytes"] == 0, describe=scrape)

    def test_gauges_are_sent(self):
        wanted = {"zerocloud.jobs:0|g", "zerocloud.sessions:0|g", "zerocloud.sessions_waiting:0|g",
                  "zerocloud.slots:6|g", "zerocloud.spool_bytes:0|g", "zerocloud.nodes:3|g",
                  "zerocloud.nodes_up:3|g", "zerocloud.node.slots:2|g", "zerocloud.node.sessions:0|g",
                  "zerocloud.node.spool_bytes:0|g"}
        while wanted:
            wanted.discard(self.statsd.recv(1500).decode())
        self.nodes[0].stop(signal.SIGKILL)
        wanted = {"zerocloud.slots:4|g", "zerocloud.nodes:3|g", "zerocloud.nodes_up:2|g"}
        while wanted:
            wanted.discard(self.statsd.recv(1500).decode())


if __name__ == "__main__":
    unittest.main(verbosity=2)
