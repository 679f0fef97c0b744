"""Reading a file that the host has in its cache: pread through a channel, and natively."""

import random
import statistics
import sys

from measure.common import FLAGS, HERE, NATIVE_FLAGS, native_compiler, output_of, places, say, table
from measure.programs import run_guest, spawn

PIECES = {4 << 10: 2048, 64 << 10: 8192, 1 << 20: 8192}  # bytes of a pread: MiB to read


def build(smoke):
    for folder, compiler in (("native", [native_compiler(smoke), *NATIVE_FLAGS]),
                             ("guest", [places.bin / "zvm-cc", *FLAGS])):
        (places.work / folder).mkdir(parents=True, exist_ok=True)
        output_of([*compiler, "-o", places.work / folder / "reads", HERE / "programs/reads.c"])


def section(rounds, smoke):
    build(smoke)
    data = places.work / "reads.data"
    size = (1 if smoke else 64) << 20
    with open(data, "wb") as file:
        for _ in range(size >> 20):
            file.write(random.randbytes(1 << 20))
    channel = f"Channel = {data}, /dev/data, 3, 0, 0x7fffffff, 0x7fffffffff, 0, 0"

    def native(piece, total):
        return spawn([places.work / "native/reads", data, piece, total])

    def guest(piece, total):
        return run_guest("reads", ["/dev/data", piece, total], channel)

    ways = {"native": native, "again": native, "guest": guest}
    times = {(piece, way): [] for piece in PIECES for way in ways}
    expected = {}
    for number in range(rounds):
        say(f"reading, round {number + 1} of {rounds}")
        for piece, way in random.sample(list(times), len(times)):
            total = 4 if smoke else PIECES[piece]
            run = ways[way](piece, total)
            if expected.setdefault(piece, run.printed) != run.printed:
                sys.exit(f"bench: {way} read something else")
            times[piece, way].append((run.processor, run.wall))
    data.unlink()
    rows = []
    for piece, mib in PIECES.items():
        medians = {way: [statistics.median(column) for column in zip(*times[piece, way])] for way in ways}
        mib = 4 if smoke else mib
        rows.append((f"{piece >> 10} KiB", *(f"{mib / 1024 / medians[way][1]:.2f}" for way in ("native", "guest")),
                     *(f"{medians['native'][i] / medians[way][i]:.3f}" for way in ("guest", "again") for i in (1, 0))))
    return f"""## Reading a cached file

`pread` of a file of {size >> 20} MiB, all of it in the host's page cache, front to back and again, in pieces of one
size: by a guest through a channel (random access, no digest), and by the same source natively with musl. {rounds}
rounds in random order. Throughput by wall-clock time, of the whole process, medians; ratios of throughput, by
wall-clock and by processor time. **Control** is the native program measured again.

{table(("piece", "native, GiB/s", "guest, GiB/s", "guest / native, wall", "processor", "control, wall", "processor"),
       rows)}"""
