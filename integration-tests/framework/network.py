"""Several hosts on one machine: network namespaces, each with an address of its own, joined by a bridge.

    with Network(hosts=4) as network: ...

While it is open, the calling thread and everything that is started from it lives in a namespace of its own,
the outer one, which has the bridge; nothing of the machine's network is seen or touched there. The hosts and their links have no
names outside, so whatever becomes of a test, the kernel takes all of it away with the last process in it.
Mounts are this process's own, too. It takes root, or CAP_NET_ADMIN and CAP_SYS_ADMIN: see why_not().
"""

import contextlib
import ctypes
import os
import pathlib
import signal
import subprocess

from framework.service import PATH, read_or_nothing

NEW_MOUNTS, NEW_NETWORK = 0x00020000, 0x40000000  # CLONE_NEWNS, CLONE_NEWNET
OUTER = "10.90.0.254"
NOBODY = "02:00:00:00:00:99"  # an Ethernet address that no host has
TRIED = ("ip link set lo up && ip link add bridge0 type bridge && ip link add zc1 type veth peer name zc2 && "
         "mount -t tmpfs none /mnt")
SYSTEM = ctypes.CDLL(None, use_errno=True)


def call(function, *arguments):
    if getattr(SYSTEM, function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": PATH})
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


def why_not():
    """Why there can be no network of its own here, or None."""
    try:
        done = subprocess.run(["unshare", "--mount", "--net", "sh", "-ec", TRIED], capture_output=True,
                              text=True, check=False, env={"PATH": PATH})
    except OSError as error:
        return str(error)
    return None if done.returncode == 0 else f"no network namespaces here: {done.stderr.strip()}"


@contextlib.contextmanager
def small_disk(directory, megabytes):
    """That directory, until then empty, on a disk of its own of that size."""
    pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(directory))
    try:
        yield
    finally:
        run("umount", "--lazy", str(directory))


def fill_up(directory):
    """Takes all that is left of a small disk; returns the file that has it."""
    ballast = pathlib.Path(directory) / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        for piece in (b"x" * 65536, b"x" * 4096):
            with contextlib.suppress(OSError):
                while True:
                    file.write(piece)
    return ballast


class Host:
    """One of them. `wrapper` is a command that runs another on it."""

    def __init__(self, number):
        self.number = number
        self.address = f"10.90.0.{number}"
        self.link = f"host{number}"  # as the outer namespace has it
        self.misdirected = set()
        # It does nothing, and ends when this process has.
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo && exec cat"], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, env={"PATH": PATH})
        self.holder.stdout.readline()
        self.namespace = f"/proc/{self.holder.pid}/ns/net"
        # What is started so does not outlive the thread that starts it.
        self.wrapper = ("nsenter", f"--net={self.namespace}", "setpriv", "--pdeathsig", "KILL")
        run("ip", "link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", str(self.holder.pid))
        run("ip", "link", "set", self.link, "master", "bridge0", "up")
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "addr", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")

    def close(self):
        self.holder.stdin.close()
        self.holder.wait(timeout=60)
        self.holder.stdout.close()

    def run(self, *command):
        return run(*self.wrapper, *command)

    # What can go wrong between it and the others; heal() ends all of it.

    def cut(self):
        """Its cable is pulled."""
        run("ip", "link", "set", self.link, "down")

    def deafen(self):
        """What the outer one sends does not arrive; what it says itself does. Nobody is told."""
        self.misdirect(run, self.address, "bridge0")

    def mute(self):
        """What it says to the outer one does not arrive."""
        self.misdirect(self.run, OUTER, "eth0")

    def sever(self, other):
        """It and that host do not hear each other; everybody else hears both."""
        self.misdirect(self.run, other.address, "eth0")
        self.misdirect(other.run, self.address, "eth0")

    def misdirect(self, there, address, device):
        """What is sent from there to that address goes to nobody."""
        there("ip", "neigh", "replace", address, "lladdr", NOBODY, "dev", device, "nud", "permanent")
        self.misdirected.add((there, address, device))

    def heal(self):
        run("ip", "link", "set", self.link, "up")
        while self.misdirected:
            there, address, device = self.misdirected.pop()
            there("ip", "neigh", "del", address, "dev", device)

    def processes(self):
        """The process ids of all that runs there, and of their children, wherever those are."""
        mine = os.stat(self.namespace).st_ino
        parents, found = {}, set()
        for path in pathlib.Path("/proc").iterdir():
            if not path.name.isdigit() or int(path.name) == self.holder.pid:
                continue
            with contextlib.suppress(OSError):
                state, parent = (path / "stat").read_text().rsplit(")", 1)[1].split()[:2]
                if state == "Z":
                    continue
                parents[int(path.name)] = int(parent)
                if (path / "ns/net").stat().st_ino == mine:
                    found.add(int(path.name))
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return sorted(found)

    def programs(self):
        """What runs there, by name."""
        words = (read_or_nothing(f"/proc/{pid}/cmdline").split(b"\0")[0] for pid in self.processes())
        return sorted(word.decode(errors="replace") for word in words if word)

    @contextlib.contextmanager
    def paused(self):
        """Nothing there goes on, while the kernel still answers for it."""
        stopped = self.processes()
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def sent_bytes(self):
        """What has left it by its link."""
        return transmitted(f"/proc/{self.holder.pid}/net/dev", "eth0")


def transmitted(table, device):
    for line in pathlib.Path(table).read_text().splitlines():
        name, _, figures = line.partition(":")
        if name.strip() == device:
            return int(figures.split()[8])
    raise RuntimeError(f"no {device} in {table}")


class Network:
    address = OUTER

    def __init__(self, hosts=4):
        self.count = hosts
        self.hosts = []

    def __enter__(self):
        self.before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        call("unshare", NEW_MOUNTS | NEW_NETWORK)
        try:
            run("mount", "--make-rprivate", "/")
            run("ip", "link", "set", "lo", "up")
            run("ip", "link", "add", "bridge0", "type", "bridge")
            run("ip", "addr", "add", f"{OUTER}/24", "dev", "bridge0")
            run("ip", "link", "set", "bridge0", "up")
            for number in range(1, self.count + 1):
                self.hosts.append(Host(number))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception):
        for host in self.hosts:
            host.close()
        self.hosts.clear()
        call("setns", self.before, NEW_NETWORK)
        os.close(self.before)

    def crossed_bytes(self):
        """What has left the hosts and the outer one for each other, by now; every frame once."""
        return transmitted("/proc/thread-self/net/dev", "bridge0") + sum(host.sent_bytes() for host in self.hosts)
