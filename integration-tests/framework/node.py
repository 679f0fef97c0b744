"""`zerocloud node` under test: a cluster of them beside the object servers of a Swift with four, and a
service in front that has all sessions run there."""

import os
import pathlib
import secrets
import signal
import subprocess

from framework.jobs import group
from framework.service import PROGRAM, Service, read_or_nothing
from framework.swift_front import BeforeSwift


def make_key_file(path, *names):
    """A key file with those keys, without bounds in time."""
    path.touch(mode=0o600)
    path.write_text("# id from until key\n" +
                    "".join(f"{name} - - {secrets.token_hex(32)}\n" for name in names))
    return path


class Node:
    """One running node; `arguments` come after those that every node has, `wrapper` is a command that runs another."""

    def __init__(self, directory, host, key_file, arguments=(), settings=(), wrapper=()):
        self.directory = pathlib.Path(directory)
        self.host = host
        self.key_file = key_file
        self.wrapper = wrapper
        self.arguments = [*arguments]
        for setting in settings:
            self.arguments += ["--set", setting]
        self.address = None
        self.process = None

    def start(self):
        """On a free port, or on the one that it had before."""
        self.directory.mkdir(exist_ok=True)
        (self.directory / "spool").mkdir(exist_ok=True)
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                [*self.wrapper, PROGRAM, "node", "--listen", self.address or f"{self.host}:0",
                 "--set", f"nodes.key_file={self.key_file}",
                 "--set", f"engine.spool_directory={self.directory / 'spool'}", *self.arguments],
                stdout=subprocess.PIPE, stderr=log)
        self.address = self.process.stdout.readline().decode().strip()
        if not self.address:
            raise RuntimeError("the node did not start: " + self.log())
        return self

    def log(self):
        return (self.directory / "log").read_text()

    def stop(self, sign=signal.SIGTERM):
        if self.process is None:
            return None
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(sign)
        status = self.process.wait(timeout=60)
        self.process.stdout.close()
        self.process = None
        return status

    children = Service.children

    def spooled_bytes(self):
        """Of all files of its spool, which have no names."""
        sizes = {}
        for link in pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir():
            try:
                if os.readlink(link).startswith(str(self.directory / "spool")):
                    facts = link.stat()
                    sizes[facts.st_ino] = facts.st_size
            except FileNotFoundError:
                pass  # closed meanwhile
        return sum(sizes.values())

    def sessions(self):
        return [pid for pid in self.children()
                if read_or_nothing(f"/proc/{pid}/cmdline").startswith(b"zvm-session\0")]


class OnNodes(BeforeSwift):
    """Put before ServiceTest or one of its kin: sessions run on four nodes beside Swift's object servers."""

    node_numbers = (1, 2, 3, 4)
    node_settings = ("engine.sessions_at_once=2",)
    front_settings = ()
    silence_seconds = 60  # a test on a busy machine must not take its slowness for a death

    def upstream_of(self, number):
        return self.swift.url

    def make_service(self):
        service = super().make_service()
        self.key_file = make_key_file(self.directory / "keys", "one")
        self.nodes = []
        for number in self.node_numbers:
            node = self.make_node(number)
            self.addCleanup(node.stop, signal.SIGKILL)
            self.nodes.append(node.start())
        service.arguments += ["--swift-dir", str(self.proxy_rings())]
        for setting in (f"nodes.list={','.join(node.address for node in self.nodes)}",
                        f"nodes.key_file={self.key_file}",
                        f"nodes.silence_seconds={self.silence_seconds}", *self.front_settings):
            service.arguments += ["--set", setting]
        return service

    def make_node(self, number, host=None, settings=(), wrapper=()):
        """The node beside that object server. With no `host`, it shares this one and has to be told its address."""
        own = [] if host else [f"local.addresses=127.0.0.{number}"]
        return Node(self.directory / f"node{number}", host or f"127.0.0.{number}", self.key_file,
                    ["--upstream", self.upstream_of(number), "--devices", str(self.swift.devices(number)),
                     "--swift-dir", str(self.swift.swift_dir)],
                    [*own, f"nodes.silence_seconds={self.silence_seconds}", *self.node_settings, *settings], wrapper)

    def proxy_rings(self):
        """Where the service in front finds its rings."""
        return self.swift.swift_dir

    def tearDown(self):
        super().tearDown()
        for node in self.nodes:
            if node.process is not None:
                self.wait_until(lambda: node.children() == [], describe=node.children)
            self.assertEqual(list((node.directory / "spool").iterdir()), [])

    def node_of(self, session):
        """The node that a session of a report names."""
        return next(node for node in self.nodes if node.address == session["node"])
