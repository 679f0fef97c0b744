"""A zerocloud service under test: started on a free port over a fresh directory, and watched for
what it leaves behind. Python's standard library only."""

import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

PROGRAM = os.path.abspath(os.environ.get("ZEROCLOUD_PROGRAM", "build/release/bin/zerocloud"))
USER, KEY, ACCOUNT = "test:tester", "testing", "AUTH_test"
# Debian's programs, not whatever else is first on somebody's PATH.
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class Endpoint:
    """What clients see of a server with the Swift API. `address` is "host:port", `directory` a place
    for the files of programs."""

    address = None
    directory = None

    @property
    def host(self):
        return self.address.rsplit(":", 1)[0]

    @property
    def port(self):
        return int(self.address.rsplit(":", 1)[1])

    @property
    def url(self):
        return f"http://{self.address}"

    def connect(self):
        """A raw socket to it."""
        return socket.create_connection((self.host, self.port), timeout=60)

    def token(self, user=USER, key=KEY):
        response = self.request("GET", "/auth/v1.0", headers={"X-Auth-User": user, "X-Auth-Key": key},
                                authenticated=False)
        if response.status != 200:
            raise RuntimeError(f"no token: {response.status}")
        return response.headers["X-Auth-Token"]

    def request(self, method, target, body=None, headers=None, authenticated=True, chunked=False):
        """One request on its own connection; the response has .status, .headers and .body."""
        headers = dict(headers or {})
        if authenticated and "X-Auth-Token" not in headers:
            headers["X-Auth-Token"] = self.token()
        connection = http.client.HTTPConnection(self.host, self.port, timeout=300)
        try:
            connection.request(method, target, body=body, headers=headers, encode_chunked=chunked)
            response = connection.getresponse()
            response.body = response.read()
            return response
        finally:
            connection.close()

    def job(self, document, target=f"/v1/{ACCOUNT}", headers=None):
        """Posts a job; `document` is a list of groups, or bytes to send as they are."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.request("POST", target, body=body,
                            headers={"X-Zerovm-Execute": "1.0", "Content-Type": "application/json",
                                     **(headers or {})})

    def swift(self, *arguments, check=True, cwd=None):
        """Runs the swift command; returns its standard output."""
        environment = {"PATH": PATH, "ST_AUTH": f"{self.url}/auth/v1.0", "ST_USER": USER,
                       "ST_KEY": KEY, "HOME": str(self.directory), "LC_ALL": "C.UTF-8"}
        done = subprocess.run(["swift", *arguments], env=environment, cwd=cwd or self.directory,
                              capture_output=True, timeout=300, check=False)
        if check and done.returncode != 0:
            raise RuntimeError(f"swift {arguments}: {done.stderr.decode()}")
        return done.stdout.decode() if check else done

    def curl(self, *arguments, check=True):
        done = subprocess.run(["curl", "--silent", "--show-error", *arguments], capture_output=True,
                              env={"PATH": PATH}, timeout=300, check=False)
        if check and done.returncode != 0:
            raise RuntimeError(f"curl {arguments}: {done.stderr.decode()}")
        return done.stdout


class Service(Endpoint):
    """One running server. `arguments` replace `--store DIRECTORY`."""

    def __init__(self, directory, arguments=None, settings=()):
        self.directory = pathlib.Path(directory)
        self.arguments = arguments or ["--store", str(self.directory / "store"),
                                       "--user", f"{USER}:{KEY}:admin",
                                       "--user", "test:guest:guest"]
        self.settings = settings
        self.wrapper = ()  # a command that runs another
        self.listen = "127.0.0.1:0"
        self.process = None
        self.address = None

    def start(self):
        command = [*self.wrapper, PROGRAM, "serve", "--listen", self.listen, *self.arguments]
        for setting in self.settings:
            command += ["--set", setting]
        self.log = open(self.directory / "log", "ab")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log)
        self.address = self.process.stdout.readline().decode().strip()
        if not self.address:
            raise RuntimeError("the server did not start: " +
                               (self.directory / "log").read_text()[-2000:])
        return self

    def stop(self, sign=signal.SIGTERM):
        """Ends it; returns the exit status."""
        if self.process is None:
            return None
        self.process.send_signal(sign)
        status = self.process.wait(timeout=60)
        self.process.stdout.close()
        self.log.close()
        self.process = None
        return status

    def open_files(self):
        """What the process's descriptors point to; sockets and pipes by kind only."""
        links = []
        for link in pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir():
            try:
                links.append(os.readlink(link).split(":")[0])
            except FileNotFoundError:
                pass  # closed meanwhile
        return sorted(links)

    def zygotes(self):
        """The process ids of what sessions are cloned from: the service has a socket to each."""
        found = []
        for thread in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            found += (thread / "children").read_text().split()
        return [pid for pid in found
                if read_or_nothing(f"/proc/{pid}/cmdline").startswith(b"zvm-starter\0")]

    def children(self):
        """The process ids of all descendants but the zygote that sessions are cloned from, and the first
        process of its namespace: those live as long as the service."""
        found, todo = [], [self.process.pid]
        while todo:
            tasks = pathlib.Path(f"/proc/{todo.pop()}/task")
            try:
                threads = list(tasks.iterdir())
            except (FileNotFoundError, ProcessLookupError):
                continue  # ended meanwhile
            for thread in threads:
                try:
                    mine = [int(pid) for pid in (thread / "children").read_text().split()]
                except (FileNotFoundError, ProcessLookupError):
                    continue
                found += mine
                todo += mine
        return [pid for pid in found
                if not read_or_nothing(f"/proc/{pid}/cmdline").startswith(b"zvm-starter\0")]

    def sessions(self):
        """The process ids of the sessions that run. A child that has not yet become a launcher is
        none: while it is, the thread that starts it stands still, and whoever stops such a child
        stops the server."""
        return [pid for pid in self.children()
                if read_or_nothing(f"/proc/{pid}/cmdline").startswith(b"zvm-session\0")]

    def temporary_files(self):
        return sorted((self.directory / "store" / ".zerocloud" / "tmp").iterdir())


def read_or_nothing(path):
    """The bytes of a file in /proc, none when its process is gone."""
    try:
        return pathlib.Path(path).read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


class ServiceTest(unittest.TestCase):
    """A test with a directory and a service of its own."""

    settings = ()

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="zerocloud-test-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.service = self.make_service()
        self.addCleanup(lambda: self.service.stop(signal.SIGKILL))
        self.service.start()

    def make_service(self):
        return Service(self.directory, settings=self.settings)

    def wait_until(self, condition, seconds=30, describe=None):
        """What the other process does next cannot be waited for in any other way."""
        describe = describe or self.service.open_files
        deadline = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), deadline, f"this never came true; open: {describe()}")
            time.sleep(0.01)

    def quiet_files(self):
        """What is open when no connection is: of sockets, the one that listens and the zygotes'."""
        self.wait_until(lambda: self.service.open_files().count("socket")
                        == 1 + len(self.service.zygotes()))
        return self.service.open_files()

    def put(self, path, body, headers=None, **more):
        response = self.service.request("PUT", f"/v1/{ACCOUNT}/{path}", body, headers, **more)
        self.assertEqual(response.status // 100, 2, response.body)
        return response

    def get(self, path, headers=None):
        return self.service.request("GET", f"/v1/{ACCOUNT}/{path}", headers=headers)
