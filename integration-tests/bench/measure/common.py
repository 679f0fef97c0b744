"""What all sections of the benchmarks share: places, commands, tables, Google Benchmark."""

import json
import math
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent


class Places:
    """Where the programs of a build are, and where everything else is made."""
    bin = ROOT / "build/release/bin"
    work = ROOT / "build/bench"

    @property
    def sources(self):
        return ROOT / "build/bench/debian-sources"


places = Places()

# Both compilers are the same gcc; what differs is what zvm-cc adds.
FLAGS = ["-O2", "-fno-stack-protector", "-w"]
NATIVE_FLAGS = FLAGS + ["-static", "-no-pie", "-fno-pie", "-fcf-protection=none", "-fno-asynchronous-unwind-tables"]


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def output_of(command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(map(str, command))} failed ({done.returncode}):\n{done.stdout}{done.stderr}")
    return done.stdout


def fetch(package):
    output_of([ROOT / "sandbox/toolchain/fetch-debian-source", package, places.sources])
    return places.sources / package


def native_compiler(smoke):
    """musl-gcc over a musl built with plain gcc; of a smoke test, which has no time for that, gcc."""
    if smoke:
        return "gcc"
    prefix = places.work / "musl"
    if not (prefix / "bin/musl-gcc").exists():
        say("building musl natively")
        tree = places.work / "musl-work"
        shutil.rmtree(tree, ignore_errors=True)
        shutil.copytree(fetch("musl"), tree, symlinks=True)
        output_of(["./configure", f"--prefix={prefix}", "--disable-shared", "CC=gcc",
                   "CFLAGS=-O2 -fno-pie -fomit-frame-pointer"], cwd=tree)
        output_of(["make", f"-j{os.cpu_count()}", "install"], cwd=tree)
    return prefix / "bin/musl-gcc"


def google_benchmark(program, arguments, repetitions, seconds):
    """{benchmark: {figure: median over the repetitions}}, repetitions interleaved in random order."""
    say(f"running {program}")
    report = json.loads(output_of([
        places.bin / program, "--benchmark_format=json", f"--benchmark_repetitions={repetitions}",
        "--benchmark_enable_random_interleaving=true", f"--benchmark_min_time={seconds}", *arguments]))
    samples = {}
    for row in report["benchmarks"]:
        if row.get("error_occurred"):
            sys.exit(f"bench: {program}: {row['name']}: {row['error_message']}")
        if row["run_type"] != "iteration":
            continue
        for key, value in row.items():
            if isinstance(value, float):
                samples.setdefault(row["run_name"], {}).setdefault(key, []).append(value)
    return {name: {key: statistics.median(values) for key, values in figures.items()}
            for name, figures in samples.items()}


def table(header, rows, text_columns=1):
    alignment = ["---"] * text_columns + ["---:"] * (len(header) - text_columns)
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [header, alignment, *rows]) + "\n"


def geometric_mean(values):
    return math.exp(statistics.fmean(map(math.log, values)))


def missing_tools(tools):
    """Those of {command or file: Debian package} that are not on this machine, as packages."""
    return sorted({package for tool, package in tools.items()
                   if not (os.path.exists(tool) if "/" in tool else shutil.which(tool))})
