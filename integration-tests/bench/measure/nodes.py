"""Jobs on several hosts, made of network namespaces: what it costs that sessions run elsewhere, what crosses
the network, and what is lost when a node dies."""

import contextlib
import http.client
import itertools
import json
import pathlib
import random
import re
import signal
import statistics
import sys
import tempfile
import threading
import time
import urllib.request

from measure.common import FLAGS, HERE, output_of, places, say, table
from measure.job import build_job
from measure.swift_jobs import ACCOUNT, JOB, counted, text_of, upload

sys.path.insert(0, str(HERE.parent))
from framework import network, node as nodes_under_test, service as service_under_test  # noqa: E402
from framework.swift_cluster import SwiftCluster  # noqa: E402

SLOTS = 4  # of all nodes together, and of the machine that has none
COUNTS = (1, 2, 4)
REPORT = "application/vnd.zerocloud.report+json"
# Objects of the job that counts words, requests for one session, sessions of the job whose node dies.
SIZES = {"objects": (400, 250_000), "requests": 200, "sessions": 1000}
SMOKE = {"objects": (12, 4096), "requests": 3, "sessions": 24}
# Replicas of all objects, and what is measured with so many. With 4 of them, all that is read is local wherever a session runs.
PARTS = {4: ("slots", "frames"), 3: ("bytes", "killed"), 1: ("bytes",)}
SMOKE_PARTS = {3: ("slots", "frames", "bytes", "killed")}


class Hosts:
    """Four hosts with a Swift, and what is started there until the end of a `with`."""

    def __init__(self, directory, joined, replicas):
        self.directory = pathlib.Path(directory)
        self.network = joined
        self.cluster = SwiftCluster(nodes=4, network=joined, replicas=replicas)
        self.running = contextlib.ExitStack()

    def __enter__(self):
        self.cluster.start()
        try:
            self.keys = nodes_under_test.make_key_file(self.directory / "keys", "one")
            self.token = self.cluster.token()
            for container in ("programs", "out"):
                self.put(container)
            for name in ("map", "reduce", "noop", "copy"):
                self.put(f"programs/{name}", (places.work / "guest" / name).read_bytes())
        except BaseException:
            self.cluster.stop()
            raise
        return self

    def __exit__(self, *exception):
        self.stop_all()
        self.cluster.stop()

    def stop_all(self):
        """All services and nodes, and not Swift."""
        self.running.close()

    def put(self, path, body=b""):
        self.cluster.request("PUT", f"/v1/{ACCOUNT}/{path}", body, {"X-Auth-Token": self.token})

    def place(self, name):
        return pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.directory))

    def beside(self, number):
        """What a process on that host is told of its Swift."""
        return ["--upstream", self.cluster.url, "--devices", str(self.cluster.devices(number)),
                "--swift-dir", str(self.cluster.swift_dir)]

    def nodes(self, count):
        """So many, on as many hosts, which share the slots."""
        started = []
        for number in range(1, count + 1):
            host = self.network.hosts[number - 1]
            node = nodes_under_test.Node(self.place(f"node-{count}-{number}"), host.address, self.keys, self.beside(number),
                                         [f"engine.sessions_at_once={SLOTS // count}", "node.waiting=1000"], host.wrapper)
            self.running.callback(lambda node=node: node.stop(signal.SIGKILL))
            started.append(node.start())
        return started

    def serve(self, name, arguments, *settings):
        """On the outer machine, or without nodes; all with the same slots."""
        service = service_under_test.Service(self.place(name), arguments, (
            "log.access=none", f"engine.sessions_at_once={SLOTS}", "metrics.listen=127.0.0.1:0", *settings))
        self.running.callback(lambda: service.stop(signal.SIGKILL))
        return service

    def alone(self, name="alone"):
        """Without nodes, on the first host."""
        service = self.serve(name, self.beside(1))
        service.wrapper = self.network.hosts[0].wrapper
        service.listen = f"{self.network.hosts[0].address}:0"
        return service.start()

    def proxy(self, name, nodes, knows_rings=True):
        rings = ["--swift-dir", str(self.cluster.swift_dir)] if knows_rings else []
        return self.serve(name, ["--upstream", self.cluster.url, *rings], f"nodes.key_file={self.keys}",
                          f"nodes.list={','.join(node.address for node in nodes)}").start()

    def run(self, service, document):
        """The report of a job, and how long it took."""
        start = time.monotonic()
        answer = service.job(document, headers={"X-Auth-Token": self.token, "Accept": REPORT})
        taken = time.monotonic() - start
        if answer.status != 200:
            sys.exit(f"bench: the job failed: {answer.body[:1000]}")
        return json.loads(answer.body), taken


def count_words(container):
    return json.loads(json.dumps(JOB).replace("CONTAINER", container))


def in_rounds(ways, rounds):
    """{way: what it returned in each round}, in random order, after one that does not count."""
    for way in ways.values():
        way()
    taken = {name: [] for name in ways}
    for _ in range(rounds):
        for name in random.sample(list(ways), len(ways)):
            taken[name].append(ways[name]())
    return taken


def compare_slots(hosts, rounds):
    """The same job with the same slots, on one machine without nodes and on 1, 2 and 4 nodes."""
    say(f"nodes: {SLOTS} slots on {', '.join(map(str, COUNTS))} nodes")
    services = {"one machine, no nodes": (alone := hosts.alone()), "the same again (control)": alone}
    for count in COUNTS:
        name = f"{count} node{'s' if count > 1 else ''} of {SLOTS // count} slot{'s' if SLOTS > count else ''}"
        services[name] = hosts.proxy(f"proxy-{count}", hosts.nodes(count))
    expected = []

    def run(service):
        report, taken = hosts.run(service, count_words("text"))
        expected.append(counted(report["body"]))
        if expected[-1] != expected[0] or not expected[0]:
            sys.exit("bench: other words were counted than at first")
        return taken, report.get("local_sessions", 0)
    taken = in_rounds({name: lambda service=service: run(service) for name, service in services.items()}, rounds)
    medians = {name: statistics.median(seconds for seconds, _ in runs) for name, runs in taken.items()}
    first = medians["one machine, no nodes"]
    rows = [(name, f"{medians[name]:.2f}", f"{min(seconds for seconds, _ in runs):.2f}",
             f"{max(seconds for seconds, _ in runs):.2f}", f"{medians[name] / first:.2f}", runs[-1][1])
            for name, runs in taken.items()]
    return table(("", "median s", "fastest", "slowest", "median / no nodes", "local sessions"), rows)


def compare_one_session(hosts, requests):
    """How long a client waits for a job of one session that does nothing."""
    say("nodes: jobs of one session")
    job = [{"name": "nothing", "exec": {"path": "swift://~/programs/noop"}, "devices": [{"name": "stdout"}]}]
    alone = hosts.alone("alone-frames")
    services = {"one machine, no nodes": alone, "the same again (control)": alone,
                "on a node": hosts.proxy("proxy-frames", hosts.nodes(1))}
    taken = in_rounds({name: lambda service=service: hosts.run(service, job)[1]
                       for name, service in services.items()}, requests)
    rows = []
    for name, seconds in taken.items():
        p50 = statistics.median(seconds)
        rows.append((name, f"{p50 * 1000:.2f}", f"{sorted(seconds)[int(len(seconds) * 0.99)] * 1000:.2f}",
                     f"{p50 / statistics.median(taken['one machine, no nodes']):.2f}"))
    return table(("", "p50, ms", "p99, ms", "p50 / no nodes"), rows)


def compare_bytes(hosts, replicas, count, size):
    """Rows: what crosses the network for each byte of input, with and without knowing where objects are."""
    say(f"nodes: bytes that cross, {replicas} replicas")
    nodes = hosts.nodes(4)
    services = {"placed by the rings": hosts.proxy("proxy-rings", nodes),
                "placed without rings": hosts.proxy("proxy-blind", nodes, knows_rings=False),
                "no nodes, all read by the proxy": hosts.serve("proxy-only", ["--upstream", hosts.cluster.url]).start()}
    rows = []
    for name, service in services.items():
        hosts.run(service, count_words("text"))  # after it, programs are where they run
        before = hosts.network.crossed_bytes()
        report, _ = hosts.run(service, count_words("text"))
        crossed = hosts.network.crossed_bytes() - before
        rows.append((replicas, name, f"{report.get('local_sessions', 0)} of {count}", f"{crossed / 1e6:.2f}",
                     f"{crossed / (count * size):.3f}"))
    return rows


class HalfWay:
    """Kills a node when half of a job's sessions have begun, as the proxy's metrics tell."""

    def __init__(self, service, node, sessions):
        log = (service.directory / "log").read_text()
        self.url = re.search(r"metrics are at (\S+)", log)[1]
        self.node = node
        self.half = sessions // 2
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.wait)

    def waiting(self):
        with urllib.request.urlopen(self.url, timeout=60) as answer:
            return int(float(re.search(r"(?m)^zerocloud_sessions_waiting (\S+)", answer.read().decode())[1]))

    def wait(self):
        has_begun = False
        while not self.is_over.is_set():
            waiting = self.waiting()
            has_begun = has_begun or waiting > self.half
            if has_begun and waiting <= self.half:
                self.node.stop(signal.SIGKILL)
                return

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.is_over.set()
        self.thread.join()


def check_outputs(hosts, names, texts):
    connection = http.client.HTTPConnection(hosts.cluster.host, hosts.cluster.port, timeout=300)
    for number, text in enumerate(texts):
        path = f"/v1/{ACCOUNT}/out/{names.replace('*', f'o{number:05}')}"
        connection.request("GET", path, headers={"X-Auth-Token": hosts.token})
        answer = connection.getresponse()
        if answer.read() != text or answer.status != 200:
            sys.exit(f"bench: {path} is not what it should be ({answer.status})")
    connection.close()


def kill_half_way(hosts, rounds, sessions):
    """A job of many sessions on 4 nodes, undisturbed and with one of them killed."""
    say(f"nodes: {sessions} sessions, one of 4 nodes killed")
    texts = [text_of(4096, number) for number in range(sessions)]
    hosts.put("small")
    upload(hosts.cluster, hosts.token, "small", texts)
    nodes = hosts.nodes(4)
    service = hosts.proxy("proxy-killed", nodes)
    rounds_begun = itertools.count()

    def copy_all():
        """Each time to other names; the seconds it took, and how many sessions moved."""
        names = f"{next(rounds_begun)}-*.copy"
        report, taken = hosts.run(service, [
            {"name": "copy", "exec": {"path": "swift://~/programs/copy", "args": "- -"},
             "devices": [{"name": "stdin", "path": "swift://~/small/*"}, {"name": "stdout", "path": f"swift://~/out/{names}"}]}])
        check_outputs(hosts, names, texts)
        return taken, sum(bool(session.get("failed_nodes")) for session in report["sessions"])

    def killed():
        victim = random.choice(nodes)
        with HalfWay(service, victim, sessions):
            result = copy_all()
        if victim.process is not None:
            sys.exit("bench: the job was over before half of its sessions were seen to have begun")
        known = (service.directory / "log").stat().st_size
        victim.start()
        while f"{victim.address}: it answers again" not in (service.directory / "log").read_text()[known:]:
            time.sleep(0.01)
        return result
    taken = in_rounds({"undisturbed": copy_all, "the same again (control)": copy_all, "a node killed half way": killed}, rounds)
    first = statistics.median(seconds for seconds, _ in taken["undisturbed"])
    rows = []
    for name, runs in taken.items():
        median = statistics.median(seconds for seconds, _ in runs)
        rows.append((name, f"{median:.2f}", f"{min(runs)[0]:.2f}", f"{max(runs)[0]:.2f}", f"{median - first:+.2f}",
                     " ".join(str(count) for _, count in runs)))
    return table(("", "median s", "fastest", "slowest", "time lost, s", "sessions that moved, each round"), rows)


def build_programs(smoke):
    build_job(smoke)
    for name, source in (("noop", HERE / "programs/noop.c"), ("copy", HERE.parent / "guests/copy.c")):
        output_of([places.bin / "zvm-cc", *FLAGS, "-o", places.work / "guest" / name, source])


def measure(rounds, smoke):
    """{part: its table}"""
    sizes = SMOKE if smoke else SIZES
    count, size = sizes["objects"]
    tables, crossed = {}, []
    for replicas, parts in (SMOKE_PARTS if smoke else PARTS).items():
        with tempfile.TemporaryDirectory(dir=places.work) as name, network.Network(hosts=4) as joined, \
                Hosts(name, joined, replicas) as hosts:
            say(f"nodes: uploading {count} objects, {replicas} replicas")
            hosts.put("text")
            upload(hosts.cluster, hosts.token, "text", (text_of(size, number) for number in range(count)))
            for part in parts:
                if part == "slots":
                    tables[part] = compare_slots(hosts, rounds)
                elif part == "frames":
                    tables[part] = compare_one_session(hosts, sizes["requests"])
                elif part == "bytes":
                    crossed += compare_bytes(hosts, replicas, count, size)
                else:
                    tables[part] = kill_half_way(hosts, min(rounds, 3), sizes["sessions"])
                hosts.stop_all()
    tables["bytes"] = table(("replicas", "", "local sessions", "MB that crossed", "bytes / byte of input"), crossed, 2)
    return tables


def section(rounds, smoke):
    if reason := network.why_not():
        say(f"jobs on several hosts are left out; {reason}")
        return f"## Jobs on several hosts\n\nNot measured: {reason}.\n"
    service_under_test.PROGRAM = nodes_under_test.PROGRAM = str(places.bin / "zerocloud")
    rounds = min(rounds, 5)
    build_programs(smoke)
    tables = measure(rounds, smoke)
    sizes = SMOKE if smoke else SIZES
    count, size = sizes["objects"]
    return f"""## Jobs on several hosts

Four hosts made of network namespaces on this one machine, each with Swift's servers of every kind and `zerocloud node`, joined by a
bridge; outside of them Swift's proxy and `zerocloud serve`. All share this machine's processors, so more nodes make nothing faster
here: what is seen is what coordination costs. Times are from the POST to the answer, {rounds} rounds in random order.

### The same job with the same slots

The words of {count} objects of {size / 1e6:.2g} MB counted by a mapper for each and a reducer, with {SLOTS} session slots in all: `zerocloud serve` alone on one of the
hosts, and on 1, 2 and 4 nodes. Every object has a replica on every host, so that all read the stored files wherever they
run; all counted the same words.

{tables["slots"]}
### A job of one session

A program that does nothing, {sizes["requests"]} jobs in each way.

{tables["frames"]}
### Bytes that cross the network

Of that job on 4 nodes: all frames that leave a host or the outer machine, counted by the kernel, once each; so a byte that a node
reads from another host by HTTP counts twice, since it goes through Swift's proxy. Sessions are placed beside their objects, or, by a proxy that was given
no rings, where least is to do.

{tables["bytes"]}
### A node that dies

{sizes["sessions"]:,} sessions over 4 nodes, each of which copies an object of 4 KB to another one; one of the nodes is killed (-9) when half of them are seen to
have begun. {min(rounds, 3)} rounds in random order; time lost is against the undisturbed median. After each round all {sizes["sessions"]:,} outputs were compared byte for
byte with what they should be.

{tables["killed"]}"""
