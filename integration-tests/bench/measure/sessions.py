"""Sessions that do nothing, other ways to start a program, and the verifier."""

import json
import pathlib
import subprocess
import sys

from measure import wasm
from measure.common import HERE, NATIVE_FLAGS, google_benchmark, native_compiler, output_of, places, table


def session_section(smoke):
    source = HERE / "programs/noop.c"
    for folder in ("native", "guest"):
        (places.work / folder).mkdir(parents=True, exist_ok=True)
    output_of([places.bin / "zvm-cc", "-O2", "-o", places.work / "guest/noop", source])
    output_of([native_compiler(smoke), *NATIVE_FLAGS, "-o", places.work / "native/noop", source])
    for guest in ("fork", "wait"):
        output_of([places.bin / "zvm-cc", "-O2", "-o", places.work / f"guest/{guest}", HERE / f"programs/{guest}.c"])
    figures = google_benchmark("session_bench", [places.work / "guest/noop", places.work / "native/noop",
                                                 places.work / "guest/fork"], *((1, 0.05) if smoke else (9, 0.5)))
    names = {"session": "session", "own_namespaces": "session, namespaces of its own",
             "alone": "session, without a zygote", "snapshot": "session from a snapshot", "native": "vfork + exec, native", "again": "the same again (control)"}
    rows = []
    for name, title in names.items():
        one, two = figures[f"{name}/real_time"], figures[f"{name}/real_time/threads:2"]
        rows.append((title, *(f"{row[key]:.0f}" for row in (one, two) for key in ("p50_us", "p99_us", "items_per_second")),
                     f"{one['p50_us'] / figures['native/real_time']['p50_us']:.2f}"))
    return f"""## A session that does nothing

From `Session::Start` until the process is reaped and its report made, wall-clock time; `int main(void) {{ return 0; }}`,
verified before. With both walls: cloned from the zygote of this process, with its namespaces; with namespaces made
for each session; started without a zygote, with fewer layers (threat-model.md); and going on where a guest forked
that does the same, with namespaces of the zygote. Against the same program built
natively with musl, static. One thread, one session after the other; and two threads. Percentiles within a repetition, medians over the repetitions.

{table(("", "p50, µs", "p99, µs", "per second", "p50, µs (2 threads)", "p99, µs (2)", "per second (2)",
        "p50 / native"), rows)}
{idle_section(smoke)}

{start_section(smoke)}"""


def idle_section(smoke):
    """Memory. Needs the guest that session_section has made."""
    report = json.loads(output_of([places.bin / "idle_bench", places.work / "guest/wait", *(["20", "1"] if smoke else [])]))
    kinds = {"AnonPages": "pages of its own: guest, launcher", "Shmem": "its block, shared with the host",
             "PageTables": "page tables", "KernelStack": "the kernel's stack", "Slab": "the kernel's objects (slab)",
             "Percpu": "the kernel's, for each processor"}
    rows = [("all", f"{report['all'] / 1024:.1f}"), ("control: none started", f"{report['control'] / 1024:.1f}")]
    rows += [(f"of it {title}", f"{report[kind] / 1024:.1f}") for kind, title in kinds.items()]
    return f"""### Memory of an idle session

{report["sessions"]} sessions alive at once, from the zygote, that wait for input from a pipe each. KiB for each: by how much
less memory of the whole machine is free, counting what processors keep free for themselves and page cache of files as free,
before they are started, while all wait, and when all are reaped; medians of rounds. So the kernel's memory is in
it, and so is the noise of everything else that runs: the control is as long a round that starts none. The
kinds are the kernel's own accounts (/proc/meminfo), some of which lag; what is in none of them are pipes and filters.

{table(("", "KiB"), rows)}"""


MANIFEST = """Version = 20130611
Program = {}
Memory = 67108864, 0
Timeout = 60
Channel = {}, /dev/stdin, 0, 0, 9, 9, 0, 0
Channel = {}, /dev/stdout, 0, 0, 0, 0, 9, 9
Channel = /dev/null, /dev/stderr, 0, 0, 0, 0, 9, 9
"""


def status_kib(pid, field):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    return 0


def descendants(pid):
    children = [child for tasks in pathlib.Path(f"/proc/{pid}/task").glob("*/children")
                for child in tasks.read_text().split()]
    return children + [other for child in children for other in descendants(child)]


def memory_of_a_run():
    """MiB while a guest waits for input: (peak of zerovm, its memory that is not of files, all that it started)."""
    manifest = places.work / "wait.manifest"
    manifest.write_text(MANIFEST.format(places.work / "guest/wait", "/dev/stdin", "/dev/stderr"))
    zerovm = subprocess.Popen([places.bin / "zerovm", manifest], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE)
    try:
        if zerovm.stderr.read(1) != b".":
            sys.exit("bench: the guest that waits for input did not start")
        return [kib / 1024 for kib in (status_kib(zerovm.pid, "VmHWM"), status_kib(zerovm.pid, "RssAnon"),
                                       sum(status_kib(pid, "VmRSS") for pid in descendants(zerovm.pid)))]
    finally:
        zerovm.communicate()


def start_section(smoke):
    """Other ways to run a program that does nothing. Needs what session_section has made."""
    manifest = places.work / "noop.manifest"
    manifest.write_text(MANIFEST.format(places.work / "guest/noop", "/dev/null", "/dev/null"))
    native = places.work / "native/noop"
    commands = {"native": [native], "again": [native], "zerovm": [places.bin / "zerovm", manifest]}
    titles = {"native": "vfork + exec, native and static", "again": "the same again (control)",
              "zerovm": "`zerovm MANIFEST`: verify, run, report",
              "bubblewrap": "bubblewrap: `bwrap --unshare-all`, the native program",
              "wasm2c": "wasm2c + gcc", "node": "node with WASI"}
    left_out = ""
    if wasm.is_there():
        wasm.build("noop", [HERE / "programs/noop.c"], [])
        commands["bubblewrap"] = ["bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", native, "/noop", "/noop"]
        commands["wasm2c"] = wasm.translated("noop")
        commands["node"] = wasm.in_node("noop")
    else:
        left_out = " Others were not compared: their tools are not installed (`cmake/install-packages.sh bench`)."
    words = []
    for name, command in commands.items():
        words += [name, *map(str, command), "--"]
    figures = google_benchmark("start_bench", words, *((1, 0.02) if smoke else (9, 0.3)))
    rows = [(titles[name], *(f"{figures[f'{name}/real_time'][key]:.0f}" for key in ("p50_us", "p99_us", "items_per_second")),
             f"{figures[f'{name}/real_time']['p50_us'] / figures['native/real_time']['p50_us']:.2f}") for name in commands]
    peak, own, session = memory_of_a_run()
    return f"""### Other ways to start it

Each a process of its own, from `posix_spawn` until it is reaped, one after the other, interleaved in random
order.{left_out} The original ZeroVM of 2015, built on Debian 12, takes 3.6 to 4.0 ms for what `zerovm MANIFEST`
does, and has at most 6.7 MB resident. Here, while the guest waits for input, `zerovm` has had at most {peak:.1f} MiB
resident, of which {own:.1f} MiB are no pages of files, and what it has started {session:.2f} MiB.

{table(("", "p50, µs", "p99, µs", "per second", "p50 / native"), rows)}"""


def verifier_section(smoke):
    names = ["sha256"] if smoke else ["sha256", "bzip2", "lua"]
    figures = google_benchmark("verifier_bench", [places.work / "guest" / name for name in names],
                               *((1, 0.05) if smoke else (9, 0.3)))
    rows = []
    for name in names:
        first, again = figures[f"verify/{name}"], figures[f"again/{name}"]
        rows.append((name, f"{first['text_bytes'] / 1024:.0f}", f"{first['bytes_per_second'] / 2**20:.1f}",
                     f"{again['bytes_per_second'] / first['bytes_per_second']:.3f}"))
    threads = {int(name.split("/")[1]): figure for name, figure in figures.items() if name.startswith("threads/")}
    shared = [(count, f"{figure['bytes_per_second'] / 2**20:.1f}",
               f"{figure['bytes_per_second'] / threads[1]['bytes_per_second']:.2f}") for count, figure in sorted(threads.items())]
    return f"""## Verification

One thread, processor time, the text of a guest in memory. **Control** is the same measured again, over the first.

{table(("program", "text, KiB", "MiB/s", "control"), rows)}

The text of all of them, over and over up to {threads[1]['text_bytes'] / 2**20:.0f} MiB, wall time: bundles are divided among threads.

{table(("threads", "MiB/s", "over one"), shared)}"""
