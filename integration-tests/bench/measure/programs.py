"""Programs natively and as guests: processor time, instructions; and against WebAssembly."""

import json
import os
import random
import re
import statistics
import subprocess
import sys
import time

from measure import wasm
from measure.common import (FLAGS, HERE, NATIVE_FLAGS, ROOT, fetch, geometric_mean, native_compiler, output_of, places,
                            say, table)

# name: (work when timed, work when instructions are counted, what it stresses)
KERNELS = {
    "sha256": (1500000, 150000, "rotations, additions"),
    "matmul": (800, 40, "floating point over arrays"),
    "nbody": (7000000, 300000, "scalar floating point"),
    "sort": (500000, 50000, "qsort: indirect calls"),
    "hash": (3000000, 300000, "strings, malloc"),
    "chase": (10000000, 4000000, "dependent loads"),
    "recursion": (40, 33, "calls, returns"),
    "crc32": (2400, 100, "table look-ups"),
    "mandelbrot": (2500, 300, "floating point, branches"),
    "life": (2000, 100, "bytes, branches"),
    "machine": (300000, 30000, "a switch: jumps through a table"),
    "text": (300000, 20000, "printf, strtok, strtoul"),
}
PROGRAMS = {
    "zlib": (4, 1, "compress, restore"),
    "bzip2": (3, 1, "compress, restore"),
    "lua": (60, 3, "an interpreter: closures, tables, strings, coroutines"),
}
# name: (Debian source package, folder in it, files)
LIBRARIES = {
    "zlib": ("zlib", ".", "adler32 compress crc32 deflate inffast inflate inftrees trees uncompr zutil".split()),
    "bzip2": ("bzip2", ".", "blocksort bzlib compress crctable decompress huffman randtable".split()),
    "lua": ("lua5.4", "src", "lapi lauxlib lbaselib lcode lcorolib lctype ldblib ldebug ldo ldump lfunc lgc linit "
            "liolib llex lmathlib lmem loadlib lobject lopcodes loslib lparser lstate lstring lstrlib ltable "
            "ltablib ltm lundump lutf8lib lvm lzio".split()),
}
GUEST_MEMORY = 512 << 20


def sources_of(name):
    """The files of a program and the options to compile them with."""
    if name not in LIBRARIES:
        return [HERE / f"kernels/{name}.c"], []
    package, folder, files = LIBRARIES[name]
    tree = fetch(package) / folder
    extra = places.work / "include"
    extra.mkdir(exist_ok=True)
    # Debian's build of Lua makes this header.
    (extra / "lua5.4-deb-multiarch.h").write_text('#define DEB_HOST_MULTIARCH "x86_64-linux-gnu"\n')
    return ([HERE / f"programs/{name}.c"] + [tree / f"{file}.c" for file in files],
            [f"-I{HERE / 'kernels'}", f"-I{tree}", f"-I{extra}"])


def build(names, smoke):
    """Compiles each program twice, and guest_process; as WebAssembly too, where it can be: returns which."""
    native = native_compiler(smoke)
    say(f"compiling {len(names)} programs, natively and as guests")
    for folder in ("native", "guest"):
        (places.work / folder).mkdir(parents=True, exist_ok=True)
    with_wasm = set()
    for name in names:
        files, options = sources_of(name)
        output_of([native, *NATIVE_FLAGS, *options, "-o", places.work / "native" / name, *files, "-lm"])
        output_of([places.bin / "zvm-cc", *FLAGS, *options, "-o", places.work / "guest" / name, *files, "-lm"])
        if wasm.build(name, files, options):
            with_wasm.add(name)
    output_of(["gcc", "-O2", "-fPIE", "-pie", "-Wl,-Ttext-segment=0x200000000", f"-I{ROOT}",
               "-o", places.work / "guest_process", HERE / "guest_process.c"])
    return with_wasm


class Run:
    """What one run of a program took, in seconds, and printed."""

    def __init__(self, processor, wall, printed):
        self.processor, self.wall, self.printed = processor, wall, printed


def write_arguments(name, *arguments):
    path = places.work / f"{name}.nvram"
    path.write_text(f"[args]\nargs = {' '.join(map(str, [name, *arguments]))}\n")
    return path


def spawn(command):
    """A plain process: processor time, user and system, of the whole of it."""
    words = [str(word) for word in command]
    read_end, write_end = os.pipe()
    start = time.monotonic()
    pid = os.posix_spawnp(words[0], words, {}, file_actions=[(os.POSIX_SPAWN_DUP2, write_end, 1)])
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        printed = pipe.read()
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - start
    if status != 0:
        sys.exit(f"bench: {' '.join(words)} failed ({status})")
    return Run(usage.ru_utime + usage.ru_stime, wall, printed)


def run_guest(name, arguments, channel=""):
    """The same of the session's process, which zerovm reports."""
    out = places.work / f"{name}.out"
    manifest = places.work / f"{name}.manifest"
    manifest.write_text("\n".join([
        "Version = 20130611", f"Program = {places.work / 'guest' / name}", f"Memory = {GUEST_MEMORY}, 0", "Timeout = 600",
        "Channel = /dev/null, /dev/stdin, 0, 0, 9, 9, 0, 0",
        f"Channel = {out}, /dev/stdout, 0, 0, 0, 0, 999999, 999999",
        "Channel = /dev/stderr, /dev/stderr, 0, 0, 0, 0, 999999, 999999",
        f"Channel = {write_arguments(name, *arguments)}, /dev/nvram, 0, 0, 99, 99999, 0, 0", channel, ""]))
    session = json.loads(output_of([places.bin / "zerovm", "--report", "json", manifest]))["session"]
    if session["cause"] != "exited" or session["exit_code"] != 0:
        sys.exit(f"bench: guest {name} {arguments}: {session}")
    return Run((session["user_time_us"] + session["system_time_us"]) / 1e6, session["wall_time_us"] / 1e6, out.read_bytes())


def run_native(name, work):
    return spawn([places.work / "native" / name, work])


VARIANTS = {"native": run_native, "again": run_native, "guest": lambda name, work: run_guest(name, [work])}
WASM_VARIANTS = {"wasm2c": lambda name, work: spawn(wasm.translated(name, work)),
                 "node": lambda name, work: spawn(wasm.in_node(name, work))}


def time_programs(work_of, with_wasm, rounds):
    """{name: {variant: [seconds]}}: all in random order, each round anew, on one processor."""
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(processors)})
    variants = {name: VARIANTS | (WASM_VARIANTS if name in with_wasm else {}) for name in work_of}
    times = {name: {variant: [] for variant in variants[name]} for name in work_of}
    expected = {}
    for number in range(rounds):
        say(f"timing round {number + 1} of {rounds}")
        runs = [(name, variant) for name in work_of for variant in variants[name]]
        random.shuffle(runs)
        for name, variant in runs:
            run = variants[name][variant](name, work_of[name])
            if expected.setdefault(name, run.printed) != run.printed:
                sys.exit(f"bench: {name} printed {run.printed!r} ({variant}) and {expected[name]!r}")
            times[name][variant].append(run.processor)
    os.sched_setaffinity(0, processors)
    return times


def count_instructions(command):
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *map(str, command)],
                          capture_output=True, text=True)
    collected = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not collected:
        sys.exit(f"bench: valgrind {command} failed:\n{done.stderr}")
    return int(collected[1]), done.stdout


def count_programs(work_of):
    counts = {}
    for name, work in work_of.items():
        say(f"counting instructions of {name}")
        native, printed = count_instructions([places.work / "native" / name, work])
        guest, guest_printed = count_instructions([places.work / "guest_process", places.work / "guest" / name,
                                                   write_arguments(name, work)])
        if printed != guest_printed:
            sys.exit(f"bench: {name} {work} printed {guest_printed!r} as a guest, not {printed!r}")
        counts[name] = native, guest
    return counts


def wasm_section(times, with_wasm):
    """The table of WebAssembly, out of the same rounds."""
    if not with_wasm:
        return "WebAssembly was not compared: its tools are not installed (`cmake/install-packages.sh bench`).\n"
    wasm.build("noop", [HERE / "programs/noop.c"], [])
    node_start = statistics.median(spawn(wasm.in_node("noop")).processor for _ in range(9))
    rows, ratios = [], {"guest": [], "wasm2c": [], "node": [], "less": []}
    for name in sorted(with_wasm, key=list(times).index):
        medians = {variant: statistics.median(seconds) for variant, seconds in times[name].items()}
        native = medians["native"]
        for variant in ("guest", "wasm2c", "node"):
            ratios[variant].append(medians[variant] / native)
        ratios["less"].append((medians["node"] - node_start) / native)
        rows.append((name, f"{native * 1000:.0f}", f"{medians['again'] / native:.3f}",
                     *(f"{column[-1]:.3f}" for column in ratios.values())))
    means = [f"**{geometric_mean([max(ratio, 0.001) for ratio in column]):.3f}**" for column in ratios.values()]
    rows.append(("**geometric mean**", "", "", *means))
    left_out = "".join(f" {name} is left out: it {reason}." for name, reason in wasm.LEFT_OUT.items())
    version = output_of(["node", "--version"]).strip()
    return f"""### The same sources as WebAssembly

Out of the same rounds: `clang-19 --target=wasm32-wasi -O2` with Debian's wasi-libc, then `wasm2c` and `gcc -O2`, with
the few WASI calls of `wasi/wasi_host.c`; and the same module in node {version} with its WASI. Processor time of the
whole process over the native one's; node's own start takes {node_start * 1000:.0f} ms of it, which the last column leaves
out. wasm2c leaves bounds to guard pages; node compiles while the program runs. Both also differ from the native
program in compiler (clang, not gcc) and in the size of pointers and `long` (32 bits), so a ratio below 1 is no gain of
a sandbox.{left_out}

{table(("program", "native, ms", "control", "guest", "wasm2c + gcc", "node", "node, less its start"), rows)}"""


def section(rounds, smoke):
    programs = {name: KERNELS[name] for name in ("sha256", "sort")} if smoke else KERNELS | PROGRAMS
    with_wasm = build(programs, smoke)
    divisor = 100 if smoke else 1
    times = time_programs({name: row[0] // divisor for name, row in programs.items()}, with_wasm, rounds)
    counts = count_programs({name: row[1] // divisor for name, row in programs.items()})
    rows, ratios, controls, instruction_ratios = [], [], [], []
    for name, (_, _, stresses) in programs.items():
        native, again, guest = (statistics.median(times[name][variant]) for variant in VARIANTS)
        spread = (max(times[name]["native"]) - min(times[name]["native"])) / native
        ratios.append(guest / native)
        controls.append(again / native)
        instruction_ratios.append(counts[name][1] / counts[name][0])
        rows.append((name, stresses, f"{native * 1000:.0f}", f"{ratios[-1]:.3f}", f"{controls[-1]:.3f}",
                     f"{spread:.0%}", f"{counts[name][0] / 1e6:.1f}", f"{instruction_ratios[-1]:.3f}"))
    rows.append(("**geometric mean**", "", "", f"**{geometric_mean(ratios):.3f}**",
                 f"**{geometric_mean(controls):.3f}**", "", "", f"**{geometric_mean(instruction_ratios):.3f}**"))
    return f"""## Guests against native programs

Processor time, user and system, of the whole process; one processor; {rounds} rounds, each of them all programs
natively, natively again and as a guest in random order. Ratios are of medians. **Control** is the second native
series against the first: the noise of the column beside it. Spread is the distance from the fastest to the
slowest run of the first native series, over its median. Every run printed the same, native or guest.

Native is `gcc {' '.join(flag for flag in NATIVE_FLAGS if flag != '-w')}` with musl
from Debian's source package, built with `gcc -O2`; a guest is `zvm-cc -O2` with the same musl, changed as
`sandbox/guest/musl` says. zlib, bzip2 and Lua 5.4 are Debian's sources. A guest's time is that of its session
process, with its start and its end, without verification.

Instructions are counted by callgrind, the guest as a plain process (`guest_process.c`, which adds about 0.1 million
of the dynamic linker's). They repeat exactly, but for Lua's, which seeds its hash with addresses and the time: to
within 1 %. What a guest executes in addition is NOPs that keep instructions within 32-byte bundles, and masks before
returns and indirect jumps. Guests can still be faster: Lua natively takes and returns its memory with system calls and
faults it in again, as a guest it does neither. Why `recursion` is faster is not known; it is not the alignment of
functions.

{table(("program", "stresses", "native, ms", "guest / native", "control", "spread", "native, M instr.",
        "instr. guest / native"), rows, 2)}
{wasm_section(times, with_wasm)}"""
