"""The same sources as WebAssembly with WASI: translated to C by wasm2c and compiled by gcc, and run by node."""

from measure.common import HERE, missing_tools, output_of, places

TARGET = ["clang-19", "--target=wasm32-wasi", "--sysroot=/usr", "-O2", "-w"]
RUNTIME = "/usr/share/wabt/wasm2c"
# {command or file: Debian package} that comparisons need.
TOOLS = {
    "wasm2c": "wabt",
    "/usr/lib/wasm32-wasi/libc.a": "wasi-libc",
    "/usr/lib/llvm-19/lib/clang/19/lib/wasi/libclang_rt.builtins-wasm32.a": "libclang-rt-19-dev-wasm32",
    "node": "nodejs",
    "bwrap": "bubblewrap",
}
# What cannot be built, and why.
LEFT_OUT = {"lua": "needs `setjmp`, which WASI's C library does not have"}


def is_there():
    return not missing_tools(TOOLS)


def build(name, files, options):
    """Makes work/wasm/NAME.wasm and, from it, the native program work/wasm/NAME. False if it cannot be."""
    if name in LEFT_OUT or not is_there():
        return False
    folder = places.work / "wasm"
    folder.mkdir(parents=True, exist_ok=True)
    module = folder / f"{name}.wasm"
    output_of([*TARGET, *options, "-o", module, *files, "-lm"])
    output_of(["wasm2c", "-n", "program", module, "-o", folder / f"{name}.c"])
    output_of(["gcc", "-O2", "-w", f"-I{RUNTIME}", f"-I{folder}", f'-DPROGRAM_HEADER="{name}.h"', "-o", folder / name,
               HERE / "wasi/wasi_host.c", folder / f"{name}.c", f"{RUNTIME}/wasm-rt-impl.c", "-lm"])
    return True


def translated(name, *arguments):
    return [places.work / "wasm" / name, *arguments]


def in_node(name, *arguments):
    return ["node", "--no-warnings", HERE / "wasi/node_host.mjs", places.work / "wasm" / f"{name}.wasm", *arguments]
