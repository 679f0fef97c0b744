"""As a proxy: requests through zerocloud, through nginx, and without either, to a back end that costs next to
nothing and to a real Swift."""

import json
import os
import pathlib
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from measure.common import HERE, ROOT, output_of, places, say, table

sys.path.insert(0, str(ROOT / "integration-tests"))
from framework.swift_cluster import SwiftCluster  # noqa: E402

NGINX = "/usr/sbin/nginx"
TOOLS = {NGINX: "nginx"}
# Method, bytes of the body, connections.
CASES = [*((method, 1_000, connections) for method in ("GET", "PUT") for connections in (1, 64)), ("GET", 1_000_000, 1),
         *((method, 100_000_000, connections) for method in ("GET", "PUT") for connections in (1, 64))]
TITLES = {"direct": "without a proxy", "again": "the same again (control)", "nginx": "nginx", "zerocloud": "zerocloud"}


class Running:
    """A process, and what it and its children use."""

    def __init__(self, command, log, **options):
        self.log = open(log, "w+")
        self.process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=self.log,
                                        text=True, **options)

    def first_line(self):
        line = self.process.stdout.readline().strip()
        if not line:
            sys.exit(f"bench: {self.process.args} did not start: {pathlib.Path(self.log.name).read_text()}")
        return line

    def processes(self):
        todo = [self.process.pid]
        for pid in todo:
            for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
                todo += map(int, (thread / "children").read_text().split())
        return [pathlib.Path(f"/proc/{pid}") for pid in todo]

    def processor_time(self):
        return sum(int((thread / "schedstat").read_text().split()[0]) / 1e9
                   for process in self.processes() for thread in (process / "task").iterdir())

    def memory(self):
        """MiB, what is shared counted in part."""
        return sum(int(line.split()[1]) / 1024 for process in self.processes()
                   for line in (process / "smaps_rollup").read_text().splitlines() if line.startswith("Pss:"))

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()


def start_nginx(upstream, directory):
    """On a port that was free a moment ago, for nginx has none of its own choosing."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    text = (HERE / "proxy/nginx.conf").read_text()
    for word, value in (("DIRECTORY", directory), ("UPSTREAM", upstream), ("LISTEN", port)):
        text = text.replace(word, str(value))
    (directory / "nginx.conf").write_text(text)
    nginx = Running([NGINX, "-c", directory / "nginx.conf", "-e", directory / "error.log"], directory / "nginx.out")
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return nginx, port
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                sys.exit(f"bench: nginx did not start: {(directory / 'error.log').read_text()}")


def load(port, method, target, connections, seconds, size, fields):
    return json.loads(output_of([places.bin / "http_load", port, method, target, connections, seconds,
                                 size if method == "PUT" else 0, *fields]))


def measure(port, target_of, fields, rounds, seconds, cases, directory):
    """{(case, way): [figures of each round]}, ways in random order."""
    directory.mkdir()
    zerocloud = Running([places.bin / "zerocloud", "serve", "--listen", "127.0.0.1:0", "--set", "log.access=none",
                         "--upstream", f"http://127.0.0.1:{port}"], directory / "zerocloud.log")
    proxies = {"zerocloud": (zerocloud, int(zerocloud.first_line().rsplit(":", 1)[1]))}
    try:
        if os.path.exists(NGINX):
            proxies["nginx"] = start_nginx(port, directory)
        ways = {"direct": (None, port), "again": (None, port), **proxies}
        results = {}
        for number in range(rounds):
            for case in cases:
                method, size, connections = case
                say(f"proxy, round {number + 1} of {rounds}: {method} {size} over {connections}")
                for way in random.sample(list(ways), len(ways)):
                    running, at = ways[way]
                    before = running.processor_time() if running else 0
                    figures = load(at, method, target_of(method, size), connections, seconds, size, fields)
                    if figures["failures"]:
                        sys.exit(f"bench: {figures['failures']} requests failed: {case} {way}")
                    figures["rate"] = figures["requests"] / figures["seconds"]
                    figures["cost"] = (running.processor_time() - before) / figures["requests"] if running else 0
                    figures["memory"] = running.memory() if running else 0
                    results.setdefault((case, way), []).append(figures)
        return results
    finally:
        for running, _ in proxies.values():
            running.stop()


def report(results):
    rows, ratios = [], []
    median = statistics.median
    for case, way in results:
        method, size, connections = case
        runs = results[case, way]
        title = f"{method} {'1 KB' if size == 1000 else f'{size / 1e6:.0f} MB'}, {connections}"
        figure = {key: median(run[key] for run in runs) for key in runs[0]}
        is_proxy = figure["memory"] > 0
        rows.append((case, (title, TITLES[way], f"{figure['rate']:.0f}" if figure["rate"] > 100 else f"{figure['rate']:.1f}",
                            f"{figure['bytes'] / figure['seconds'] / 1e6:.0f}", f"{figure['p50'] / 1e3:.3f}",
                            f"{figure['p99'] / 1e3:.3f}", f"{figure['cost'] * 1e6:.1f}" if is_proxy else "",
                            f"{figure['memory']:.0f}" if is_proxy else "",
                            f"{figure['processor'] / figure['seconds']:.2f}")))
    for case in dict.fromkeys(case for case, _ in results):
        def paired(key, way, other):
            if (case, other) not in results:
                return ""
            return f"{median(a[key] / b[key] for a, b in zip(results[case, way], results[case, other])):.2f}"
        added = median(a["p50"] - b["p50"] for a, b in zip(results[case, "zerocloud"], results[case, "direct"]))
        title = next(row[0] for each, row in rows if each == case)
        ratios.append((title, paired("rate", "zerocloud", "nginx"), paired("cost", "zerocloud", "nginx"),
                       paired("p50", "zerocloud", "nginx"), paired("p99", "zerocloud", "nginx"),
                       paired("rate", "zerocloud", "direct"), f"{added / 1e3:.3f}", paired("rate", "again", "direct")))
    order = list(TITLES)
    rows.sort(key=lambda row: CASES.index(row[0]) * 10 + order.index(next(k for k, v in TITLES.items() if v == row[1][1])))
    return (table(("", "requests/s", "processor", "p50", "p99", "requests/s / direct", "p50 − direct, ms",
                   "control, requests/s"), ratios) + "\n" +
            table(("", "", "requests/s", "MB/s", "p50, ms", "p99, ms", "processor, µs each", "memory, MiB",
                   "client's processors"), [row for _, row in rows], 2))


def trivial(rounds, seconds, cases, directory):
    origin = Running([places.bin / "http_origin"], directory / "origin.log")
    try:
        return measure(int(origin.first_line()), lambda method, size: f"/{size}", (), rounds, seconds, cases,
                       directory / "trivial")
    finally:
        origin.stop()


def before_swift(rounds, seconds, cases, directory):
    with SwiftCluster(nodes=1) as swift:
        token = f"X-Auth-Token: {swift.token()}"
        swift.request("PUT", "/v1/AUTH_test/c", headers={"X-Auth-Token": swift.token()})
        for size in {case[1] for case in cases}:
            load(swift.port, "PUT", f"/v1/AUTH_test/c/get-{size}", 1, 0, size, [token])
        return measure(swift.port, lambda method, size: f"/v1/AUTH_test/c/{'get' if method == 'GET' else 'put-*'}-{size}",
                       [token], rounds, seconds, cases, directory / "swift")


def section(rounds, smoke):
    rounds = max(1, rounds // 3)
    seconds = 0.05 if smoke else 3
    cases = [case for case in CASES if not smoke or case[1] == 1000]
    directory = pathlib.Path(tempfile.mkdtemp(prefix="proxy-", dir=places.work))
    try:
        to_nothing = trivial(rounds, seconds, cases, directory)
        to_swift = before_swift(rounds, seconds, [case for case in cases if case != ("PUT", 100_000_000, 64)], directory)
    finally:
        shutil.rmtree(directory)
    return f"""## As a proxy, beside nginx

Requests over 1 and 64 kept connections from one client on the same machine: directly, through `zerocloud serve
--upstream`, and through nginx with `integration-tests/bench/proxy/nginx.conf` (kept connections to the upstream, 64 KiB
buffers, no buffering of bodies, no log), both with as many threads or processes as there are processors; {rounds} rounds
of {seconds} s, ways in random order. Client, proxy and back end share the processors. The first table has zerocloud's
figure over nginx's, medians of paired ratios (processor: time of the proxy for each request), then over direct requests;
**control** is the direct measurement repeated. The last column of the second table is how much of one processor the
client took.

A back end that answers from memory and throws uploads away (`integration-tests/bench/proxy/http_origin.cc`):

{report(to_nothing)}
OpenStack Swift, one node, one replica (64 uploads of 100 MB at once are left out: its devices lie in memory, which they fill):

{report(to_swift)}"""
