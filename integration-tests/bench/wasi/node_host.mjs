// node_host.mjs PROGRAM.wasm ARGUMENTS...: runs a WASI program in node, as its documentation says.
import {readFile} from 'node:fs/promises';
import {WASI} from 'node:wasi';

const [path, ...rest] = process.argv.slice(2);
const wasi = new WASI({version: 'preview1', args: [path, ...rest], returnOnExit: true});
const module = await WebAssembly.compile(await readFile(path));
const instance = await WebAssembly.instantiate(module, {wasi_snapshot_preview1: wasi.wasiImport});
process.exitCode = wasi.start(instance);
