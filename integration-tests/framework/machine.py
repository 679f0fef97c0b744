"""A machine that boots: systemd as process 1 in namespaces of its own, over this machine's files.

    status, output = boot(["/usr/bin/python3", "..."], binds=[...], environment={...})

runs that command there as root, in a unit of its own, and then the machine is gone. What is written there is
written to memory: over the root file system lies another one, /tmp and /run are empty, and there is
no network but loopback. Only `binds`, directories, are this machine's own.
"""

import pathlib
import shlex
import subprocess
import tempfile

SYSTEMD = "/lib/systemd/systemd"
NAMESPACES = ("unshare", "--pid", "--fork", "--mount", "--uts", "--ipc", "--net", "--cgroup", "--kill-child")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ROOT = """
mount --make-rprivate /
mount -t tmpfs -o size=1g tmpfs /mnt
mkdir /mnt/changed /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/changed,workdir=/mnt/work /mnt/root
cd /mnt/root
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t tmpfs tmpfs sys/fs/cgroup
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
"""
# What Debian does to a machine that boots is not wanted here; what it does to a kernel (sysctl, udev, modules) it leaves when
# /proc/sys and /sys are read-only.
MASKED = ("systemd-tmpfiles-setup.service", "systemd-tmpfiles-clean.timer", "dbus.service", "dbus.socket",
          "getty.target", "systemd-modules-load.service", "systemd-random-seed.service", "systemd-journal-flush.service")
UNIT = """[Unit]
After=basic.target
[Service]
Type=oneshot
ExecStart=/bin/sh /command
"""


def boot(command, binds=(), environment=None, seconds=300):
    """The exit status of the command, and all that it has written."""
    with tempfile.TemporaryDirectory(prefix="zerocloud-machine-") as name:
        told = pathlib.Path(name)
        words = " ".join(map(shlex.quote, ("env", "-i", f"PATH={PATH}", "LC_ALL=C.UTF-8",
                                           *(f"{key}={value}" for key, value in (environment or {}).items()), *command)))
        (told / "command").write_text(f"{words} >{name}/output 2>&1 </dev/null\necho $? >{name}/status\nsystemctl exit\n")
        (told / "unit").write_text(UNIT)
        script = ROOT + "".join(f"mkdir -p .{path}\nmount --bind {path} .{path}\n"
                                for path in map(shlex.quote, map(str, (*binds, told))))
        script += (f"cp {name}/command command\ncp {name}/unit etc/systemd/system/command.service\n"
                   "mkdir old\npivot_root . old\numount -l /old\n"
                   f"exec env -i container=other PATH={PATH} SYSTEMD_PROC_CMDLINE="
                   + shlex.quote(" ".join(f"systemd.mask={unit}" for unit in MASKED)) +
                   f" {SYSTEMD} --system --unit=command.service --log-target=console --show-status=0\n")
        with open(told / "console", "wb") as console:
            subprocess.run([*NAMESPACES, "sh", "-ec", script], stdin=subprocess.DEVNULL, stdout=console,
                           stderr=console, check=False, timeout=seconds, env={"PATH": PATH})
        console = (told / "console").read_text(errors="replace")
        if not (told / "status").exists():
            raise RuntimeError(f"the machine did not run the command: {console[-4000:]}")
        output = (told / "output").read_text(errors="replace")
        return int((told / "status").read_text()), f"{output}\n{console}"


def why_not():
    """Why no machine can be booted here, or None."""
    if not pathlib.Path(SYSTEMD).exists():
        return "systemd is not installed"
    try:
        boot(["true"], seconds=60)
    except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
        return f"no machine can be booted here: {error}"
    return None
