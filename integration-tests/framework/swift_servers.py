"""Runs the servers of one Swift cluster: swift_servers.py SWIFT_CONF

Swift and eventlet are imported once; each server is a fork, so that thirteen of them start in the
time of two and share their pages. Commands come as JSON lines on standard input and are answered, one
line each, on standard output:

    {"do": "bind", "name": N, "address": A, "port": P, "namespace": S}     -> {"port": the port bound}
    {"do": "ring", "file": F, "part_power": B, "replicas": R, "devices": [...]}     -> {}
    {"do": "start", "name": N, "kind": K, "config": C, "log": L, "namespace": S}     -> {"pid": P}
    {"do": "stop", "name": N, "signal": S}     -> {"status": its wait status}

At the end of standard input every server is ended; should this process be killed, they go with it.
Sockets are bound here and handed to the forks, so no port is ever guessed or lost in between.
S is null, or the file of a network namespace in which the server lives.
SWIFT_CONF takes the place of /etc/swift/swift.conf, the one path that Swift has no option for.
"""

import ctypes
import json
import os
import signal
import socket
import sys
import time
import traceback

import swift.common.utils as swift_utils

swift_utils.SWIFT_CONF_FILE = sys.argv[1]

import eventlet.greenio  # noqa: E402
import swift.account.server  # noqa: E402,F401
import swift.container.server  # noqa: E402,F401
import swift.obj.server  # noqa: E402
import swift.proxy.server  # noqa: E402,F401
from swift.common import wsgi  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402

DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
STOP_SECONDS = 5
OWN_NAMESPACE = "/proc/self/ns/net"


def enter(namespace):
    """A network namespace, by its file or a descriptor of it. Sockets stay in the one they were made in."""
    file = os.open(namespace, os.O_RDONLY) if isinstance(namespace, str) else namespace
    if ctypes.CDLL(None, use_errno=True).setns(file, 0) != 0:
        raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
    os.close(file)


class Servers:
    def __init__(self):
        self.sockets = {}
        self.pids = {}

    def bind(self, name, address, port, namespace=None):
        bound = socket.socket() if namespace is None else self.socket_in(namespace)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address, port))
        bound.listen(1024)
        self.sockets[name] = bound
        return {"port": bound.getsockname()[1]}

    @staticmethod
    def socket_in(namespace):
        here = os.open(OWN_NAMESPACE, os.O_RDONLY)
        enter(namespace)
        try:
            return socket.socket()
        finally:
            enter(here)

    def ring(self, file, part_power, replicas, devices):
        builder = RingBuilder(part_power, replicas, 1)
        for device in devices:
            builder.add_dev({"region": 1, "weight": 100.0, "meta": "",
                             "replication_ip": device["ip"], "replication_port": device["port"],
                             **device})
        builder.rebalance(seed=1)
        builder.get_ring().save(file)
        return {}

    def start(self, name, kind, config, log, namespace=None):
        listening = self.sockets.pop(name)
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            try:
                if namespace is not None:
                    enter(namespace)
                self.become(listening, kind, config, log)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(1)
        listening.close()
        self.pids[name] = pid
        return {"pid": pid}

    def become(self, listening, kind, config, log):
        """Never returns to the loop of commands: this is the server now."""
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
        os.setsid()
        for other in self.sockets.values():
            other.close()
        null = os.open(os.devnull, os.O_RDWR)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for number, source in ((0, null), (1, out), (2, out)):
            os.dup2(source, number)
        wsgi.get_socket = lambda conf: eventlet.greenio.GreenSocket(listening)
        options = {"verbose": True}
        if kind == "object":
            options["global_conf_callback"] = swift.obj.server.global_conf_callback
        wsgi.run_wsgi(config, f"{kind}-server", **options)

    def stop(self, name, signal):
        pid = self.pids.pop(name)
        os.kill(pid, signal)
        return {"status": os.waitpid(pid, 0)[1]}

    def stop_all(self):
        for pid in self.pids.values():
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for pid in self.pids.values():
            while os.waitpid(pid, os.WNOHANG) == (0, 0):
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                    break
                time.sleep(0.01)
        self.pids.clear()


def main():
    # Once for all: eventlet searches every object of the process for locks.
    swift_utils.eventlet_monkey_patch()
    servers = Servers()
    try:
        for line in sys.stdin:
            command = json.loads(line)
            print(json.dumps(getattr(servers, command.pop("do"))(**command)), flush=True)
    finally:
        servers.stop_all()


if __name__ == "__main__":
    main()
