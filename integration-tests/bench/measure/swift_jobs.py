"""Jobs beside a real Swift: counting the words of many objects that lie on this host, against downloading
them first, and against merely reading them over HTTP."""

import http.client
import json
import os
import pathlib
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time

from measure.common import HERE, output_of, places, say, table
from measure.job import build_job

sys.path.insert(0, str(HERE.parent))
from framework import service as service_under_test  # noqa: E402
from framework.swift_cluster import SwiftCluster  # noqa: E402

TOOLS = {"parallel": "parallel", "curl": "curl", "swift": "python3-swiftclient",
         "/usr/lib/python3/dist-packages/swift/obj/server.py": "python3-swift"}
CASES = {"1,000 objects of 4 KB": (1000, 4096), "10,000 objects of 4 KB": (10_000, 4096),
         "200 objects of 1 MB": (200, 1_000_000)}
SMOKE = {"12 objects of 4 KB": (12, 4096)}
CONNECTIONS = (4, 8, 16)  # of the client that only reads; the fastest counts
UPLOADS = 8
ACCOUNT = "AUTH_test"
JOB = [{"name": "map", "exec": {"path": "swift://~/programs/map"},
        "devices": [{"name": "input", "path": "swift://~/CONTAINER/*"}], "connect": ["reduce"]},
       {"name": "reduce", "exec": {"path": "swift://~/programs/reduce"},
        "devices": [{"name": "output"}], "timeout": 300}]
# The same two programs over files; each finds in a directory what a guest finds in /dev.
NATIVE = """cd "$1" && ls -d map-* | parallel --will-cite -j "$3" "$2"/map {} && "$2"/reduce reduce >/dev/null &&
  cat reduce/output"""


def text_of(size, number):
    """Words, of which some are in every object and some are not."""
    generator = random.Random(number)
    words = [f"{generator.choice('abcdefghij')}{generator.choice('klmnopqrst')}" * generator.randint(1, 4)
             for _ in range(200)]
    text = b""
    while len(text) < size:
        text += " ".join(generator.choice(words) for _ in range(200)).encode() + b" "
    return text[:size]


class Beside:
    """A Swift, and zerocloud on its host."""

    def __init__(self, directory):
        self.cluster = SwiftCluster(nodes=1)
        self.directory = directory
        self.service = None

    def __enter__(self):
        service_under_test.PROGRAM = str(places.bin / "zerocloud")
        self.cluster.start()
        self.service = service_under_test.Service(
            self.directory, ["--upstream", self.cluster.url, "--devices", str(self.cluster.devices()),
                             "--swift-dir", str(self.cluster.swift_dir)], ("log.access=none",))
        self.service.start()
        self.token = self.service.token()
        return self

    def __exit__(self, *exception):
        if self.service is not None:
            self.service.stop()
        self.cluster.stop()

    def put(self, path, body=b""):
        self.cluster.request("PUT", f"/v1/{ACCOUNT}/{path}", body, {"X-Auth-Token": self.token})

    def upload(self, container, texts):
        self.put(container)
        upload(self.cluster, self.token, container, texts)


def upload(endpoint, token, container, texts):
    """Objects o00000 and so on, all at once over a few connections, to Swift itself."""
    todo = list(enumerate(texts))
    failures = []

    def work():
        connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=300)
        while todo:
            try:
                number, text = todo.pop()
            except IndexError:
                break
            connection.request("PUT", f"/v1/{ACCOUNT}/{container}/o{number:05}", text, {"X-Auth-Token": token})
            response = connection.getresponse()
            response.read()
            if response.status != 201:
                failures.append(response.status)
        connection.close()
    threads = [threading.Thread(target=work) for _ in range(UPLOADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        sys.exit(f"bench: Swift refused uploads: {failures[:5]}")


def counted(text):
    return sorted(text.splitlines())


def run_job(beside, container, count):
    """The answer, and how many sessions were local."""
    document = json.dumps(JOB).replace("CONTAINER", container).encode()
    response = beside.service.job(document, headers={"X-Auth-Token": beside.token,
                                                     "Accept": "application/vnd.zerocloud.report+json"})
    if response.status != 200:
        sys.exit(f"bench: the job failed: {response.body[:1000]}")
    report = json.loads(response.body)
    if report["local_sessions"] != count:
        sys.exit(f"bench: {report['local_sessions']} of {count} sessions were local")
    if report.get("body_shown"):
        sys.exit("bench: the answer is longer than a report shows")
    return report["body"].encode()


def run_download(beside, container, count, directory):
    """`swift download`, then the same programs over the files with GNU parallel."""
    files, devices = directory / "files", directory / "devices"
    files.mkdir()
    (devices / "reduce/in").mkdir(parents=True)
    beside.cluster.swift("download", "--quiet", "--output-dir", str(files), container)
    for name in (path.name for path in os.scandir(files)):
        device = devices / f"map-{name}"
        (device / "out").mkdir(parents=True)
        (device / "input").symlink_to(files / name)
        (device / "out/reduce").symlink_to(devices / f"reduce/in/map-{name}")
        (devices / f"reduce/in/map-{name}").touch()
    return output_of(["sh", "-c", NATIVE, "sh", devices, places.work / "native",
                      str(os.cpu_count())]).encode()


def run_client(beside, container, count, connections, directory):
    """Every object once, over so many connections that are kept; the bytes are thrown away."""
    config = directory / "curl"
    config.write_text("".join(f'url = "{beside.cluster.url}/v1/{ACCOUNT}/{container}/o{number:05}"\n'
                              'output = "/dev/null"\n' for number in range(count)))
    done = output_of(["curl", "--silent", "--show-error", "--fail", "--parallel", "--parallel-immediate",
                      "--parallel-max", str(connections), "--header", f"X-Auth-Token: {beside.token}",
                      "--config", config, "--write-out", "%{http_code}\\n"])
    if done.count("200\n") != count:
        sys.exit("bench: the client did not read every object")


def time_case(beside, name, count, size, rounds, directory):
    say(f"{name}: uploading")
    container = f"c{count}-{size}"
    beside.upload(container, (text_of(size, number) for number in range(count)))
    ways = {"job": lambda place: run_job(beside, container, count),
            "download": lambda place: run_download(beside, container, count, place)}
    for connections in CONNECTIONS:
        ways[f"client {connections}"] = (
            lambda place, connections=connections: run_client(beside, container, count, connections, place))
    if shutil.which("parallel") is None:  # of a smoke test only
        del ways["download"]
    times = {way: [] for way in ways}
    expected = None
    run_job(beside, container, count)  # verifies the programs
    for number in range(rounds):
        say(f"{name}: round {number + 1} of {rounds}")
        for way in random.sample(list(ways), len(ways)):
            with tempfile.TemporaryDirectory(dir=directory) as place:
                start = time.monotonic()
                answer = ways[way](pathlib.Path(place))
                times[way].append(time.monotonic() - start)
            if answer is None:
                continue
            if expected is None:
                expected = counted(answer)
            if not expected or counted(answer) != expected:
                sys.exit(f"bench: {way} counted other words than the first way did")
    return {way: statistics.median(taken) for way, taken in times.items()}


def section(rounds, smoke):
    build_job(smoke)
    rounds = min(rounds, 3)
    rows = []
    with tempfile.TemporaryDirectory(dir=places.work) as name:
        directory = pathlib.Path(name)
        with Beside(directory) as beside:
            beside.put("programs")
            for program in ("map", "reduce"):
                beside.put(f"programs/{program}", (places.work / "guest" / program).read_bytes())
            for case, (count, size) in (SMOKE if smoke else CASES).items():
                taken = time_case(beside, case, count, size, rounds, directory)
                client = min(seconds for way, seconds in taken.items() if way.startswith("client"))
                download = taken.get("download", float("nan"))
                rows.append((case, f"{taken['job']:.2f}", f"{download:.2f}", f"{client:.2f}",
                             f"{download / taken['job']:.1f}", f"{taken['job'] / client:.2f}"))
    return f"""## Jobs beside Swift

The words of objects in a real Swift 2.30 (one node, one replica, plain processes on this machine), counted by a mapper for each object
and a reducer: by one job, whose sessions read the `.data` files in place (all of them did), from the POST to
the answer; by `swift download` (ten connections) and GNU parallel with the same programs built natively; and the time that a client
with kept connections (curl, the best of {', '.join(map(str, CONNECTIONS))} at once) needs just to read the objects from Swift. Medians of {rounds} rounds in
random order; both counts were the same.

{table(("", "job s", "download + parallel s", "reading only s", "download / job", "job / reading"), rows)}"""
