"""The main job: counting words, as a job, natively, and with coreutils."""

import os
import pathlib
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from measure.common import FLAGS, HERE, NATIVE_FLAGS, ROOT, native_compiler, output_of, places, say, table

REDUCERS = 4
COREUTILS = """cat "$1"/text-*.txt | LC_ALL=C tr -cs 'A-Za-z' '\\n' | LC_ALL=C tr 'A-Z' 'a-z' |
  LC_ALL=C sort | LC_ALL=C uniq -c | awk 'NF == 2 {print $2 "\\t" $1}' >"$2"/counts"""
NATIVE_JOB = """cd "$1" && printf '%s\\0' map-* | xargs -0 -n 1 -P 2 "$2"/map &&
  printf '%s\\0' reduce-* | xargs -0 -n 1 -P 2 "$2"/reduce >/dev/null"""


class Server:
    """zerocloud serve over an empty directory, and its one user."""

    def __init__(self, directory):
        store = directory / "store"
        store.mkdir()
        self.log = open(directory / "server.log", "w+")
        self.process = subprocess.Popen(
            [places.bin / "zerocloud", "serve", "--store", store, "--listen", "127.0.0.1:0", "--user", "a:b:secret:admin"],
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        address = re.search(r"[\d.]+:\d+", self.process.stdout.readline())
        if not address:
            self.stop()
            sys.exit(f"bench: zerocloud serve did not start:\n{(directory / 'server.log').read_text()}")
        answer = self.send("GET", f"http://{address[0]}/auth/v1.0", {"X-Auth-User": "a:b", "X-Auth-Key": "secret"})
        self.token, self.url = answer.headers["X-Auth-Token"], answer.headers["X-Storage-Url"]

    def send(self, method, url, headers, body=None):
        return urllib.request.urlopen(urllib.request.Request(url, data=body, headers=headers, method=method))

    def request(self, method, path="", headers=None, body=None):
        with self.send(method, self.url + path, {"X-Auth-Token": self.token, **(headers or {})}, body) as answer:
            return answer.read()

    def processor_time(self):
        """Seconds, with those of the sessions it has reaped."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()


def job_texts(smoke):
    if not smoke:
        say("fetching texts")
        output_of([ROOT / "integration-tests/fetch-texts.sh", ROOT / "build/texts"])
        return ROOT / "build/texts"
    texts = places.work / "texts"
    texts.mkdir(exist_ok=True)
    for number, path in enumerate(sorted((ROOT / "docs").glob("*.md"))[:3]):
        shutil.copy(path, texts / f"text-{number}.txt")
    return texts


def build_job(smoke):
    examples = ROOT / "docs/examples/wordcount"
    for kind in ("native", "guest"):
        (places.work / kind).mkdir(exist_ok=True)
    wraps = "-Wl,--wrap=main,--wrap=fopen,--wrap=opendir"
    for name in ("map", "reduce"):
        files = [examples / f"{name}.c", examples / "combine.c"]
        output_of([native_compiler(smoke), *NATIVE_FLAGS, wraps, "-o", places.work / "native" / name, *files,
                   HERE / "native_devices.c"])
        output_of([places.bin / "zvm-cc", *FLAGS, "-o", places.work / "guest" / name, *files])


def lay_out_devices(texts, directory):
    """What the native mappers and reducers find in /dev: files where a job has pipes."""
    names = sorted(texts.glob("text-*.txt"))
    for k in range(1, REDUCERS + 1):
        (directory / f"reduce-{k}/in").mkdir(parents=True)
    for i, text in enumerate(names):
        (directory / f"map-{i:03}/out").mkdir(parents=True)
        (directory / f"map-{i:03}/input").symlink_to(text)
        for k in range(1, REDUCERS + 1):
            target = directory / f"reduce-{k}/in/map-{i:03}"
            target.touch()
            (directory / f"map-{i:03}/out/reduce-{k}").symlink_to(target)
    return names


def processor_time_of_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def time_job(texts, rounds, directory):
    """{way: [(wall-clock seconds, processor seconds)]}, in random order, each round anew."""
    devices = directory / "devices"
    names = lay_out_devices(texts, devices)
    server = Server(directory)
    try:
        for container in ("text", "programs", "counts"):
            server.request("PUT", f"/{container}")
        for path in names + [places.work / "guest/map", places.work / "guest/reduce"]:
            container = "programs" if path.parent.name == "guest" else "text"
            server.request("PUT", f"/{container}/{path.name}", body=path.read_bytes())
        document = (ROOT / "docs/examples/wordcount/count.json").read_bytes()
        headers = {"X-Zerovm-Execute": "1.0", "Content-Type": "application/json"}

        def native():
            output_of(["sh", "-c", NATIVE_JOB, "sh", devices, places.work / "native"])
            return [(devices / f"reduce-{k}/output").read_bytes() for k in range(1, REDUCERS + 1)]

        def coreutils():
            output_of(["sh", "-c", COREUTILS, "sh", texts, directory])
            return [(directory / "counts").read_bytes()]

        def job():
            server.request("POST", headers=headers, body=document)
            return [server.request("GET", f"/counts/reduce-{k}.tsv") for k in range(1, REDUCERS + 1)]

        ways = {"native": native, "again": native, "job": job, "coreutils": coreutils}
        times = {way: [] for way in ways}
        expected = None
        job()  # verifies the programs; later jobs find their verdict
        for number in range(rounds):
            say(f"the main job, round {number + 1} of {rounds}")
            for way in random.sample(list(ways), len(ways)):
                start, before = time.monotonic(), server.processor_time() + processor_time_of_children()
                parts = ways[way]()
                times[way].append((time.monotonic() - start,
                                   server.processor_time() + processor_time_of_children() - before))
                counted = sorted(b"".join(parts).splitlines())
                if counted != (expected := expected or counted):
                    sys.exit(f"bench: {way} counted other words than the first way did")
        return times, len(names), sum(path.stat().st_size for path in names)
    finally:
        server.stop()


def section(rounds, smoke):
    build_job(smoke)
    with tempfile.TemporaryDirectory(dir=places.work) as directory:
        times, objects, size = time_job(job_texts(smoke), rounds, pathlib.Path(directory))
    medians = {way: [statistics.median(column) for column in zip(*runs)] for way, runs in times.items()}
    titles = {"job": "one job: a mapper for each object, 4 reducers", "native": "the same programs natively, xargs -P 2",
              "again": "the same again (control)", "coreutils": "cat, tr, tr, sort, uniq, awk"}
    rows = [(title, *(f"{figure(wall for wall, _ in times[way]):.2f}" for figure in (statistics.median, min, max)),
             f"{medians[way][0] / medians['native'][0]:.2f}", f"{medians[way][1]:.2f}",
             f"{medians[way][1] / medians['native'][1]:.2f}") for way, title in titles.items()]
    return f"""## The main job: counting words

The job of `quickstart.sh` over {objects} objects of together {size / 1e6:.0f} MB in `zerocloud serve --store`, from the POST until
its results are downloaded; against the same programs built natively with musl and run over the same files, with
files where the job has pipes; and against coreutils. {rounds} rounds in random order; all counted the same words. The
programs were verified before, and the native ones have stream buffers as large as those of guests. Processor time is
user and system, of the server and its sessions together. Where other work runs beside it, wall-clock time also
depends on how many processes each way has to compete with.

{table(("", "wall, median s", "fastest", "slowest", "median / native", "processor, median s", "processor / native"), rows)}"""
