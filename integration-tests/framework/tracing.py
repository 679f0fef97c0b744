"""What a process opens, seen from outside: strace on all its threads, from attaching to detaching."""

import pathlib
import re
import shutil
import signal
import subprocess


class Tracer:
    """with Tracer(pid, log) as tracer: ...; then tracer.opened() has the paths. New threads and
    children are not followed."""

    def __init__(self, pid, log):
        self.pid = pid
        self.log = pathlib.Path(log)

    @staticmethod
    def why_not():
        """Why tracing does not work here, or None."""
        if shutil.which("strace") is None:
            return "strace is not installed"
        tried = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False)
        return None if tried.returncode == 0 else f"strace may not trace: {tried.stderr.decode()}"

    def __enter__(self):
        threads = [task.name for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir()]
        targets = [word for thread in threads for word in ("-p", thread)]
        self.process = subprocess.Popen(
            ["strace", "-q", "-y", "-s", "4096", "-e", "trace=open,openat,openat2", "-o", str(self.log),
             *targets], stderr=subprocess.PIPE, text=True)
        # It is attached when every thread has a tracer.
        for thread in threads:
            while f"TracerPid:\t{self.process.pid}" not in self.status(thread):
                if self.process.poll() is not None:
                    raise RuntimeError("strace: " + self.process.stderr.read())
        return self

    def __exit__(self, *exception):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=60)
        self.process.stderr.close()

    def status(self, thread):
        return pathlib.Path(f"/proc/{self.pid}/task/{thread}/status").read_text()

    def opened(self):
        """Paths of what was opened, as the kernel resolved them."""
        found = re.findall(r"(?m)= \d+<([^>]*)>$", self.log.read_text(errors="surrogateescape"))
        return [pathlib.Path(path) for path in found]
