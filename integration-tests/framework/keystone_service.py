"""A real OpenStack Keystone for tests, from Debian's python3-keystone: one process on a free port of
loopback, with sqlite and everything else in a directory of its own."""

import base64
import http.client
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile

from framework.service import PATH

PYTHON = "/usr/bin/python3"  # the one that sees Debian's packages
ADMIN_PASSWORD = "admin-password"
SERVICE_PASSWORD = "service-password"  # of Swift itself
REGION = "RegionOne"


class Keystone:
    """With Swift's own user, and whomever tests make."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="zerocloud-keystone-"))
        self.process = None
        self.port = None
        self.admin_token = None
        self.ids = {}  # of (kind, name)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v3"

    def start(self):
        try:
            self.set_up()
            self.make("services", "service", "swift", type="object-store")
            self.add_user("swift", SERVICE_PASSWORD, "service", "admin", "service")
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait(timeout=60)
            self.process.stdout.close()
            self.process = None
        shutil.rmtree(self.directory, ignore_errors=True)

    def set_up(self):
        database, config = self.directory / "keystone.db", self.directory / "keystone.conf"
        # As keystone-manage fernet_setup and its kin do, each of which takes seconds to start.
        for keys in ("tokens", "receipts", "credentials"):
            (self.directory / keys).mkdir(mode=0o700)
            for name in ("0", "1"):
                (self.directory / keys / name).write_bytes(base64.urlsafe_b64encode(os.urandom(32)))
                (self.directory / keys / name).chmod(0o600)
        config.write_text(f"""\
[DEFAULT]
log_file = {self.directory}/log
[database]
connection = sqlite:///{database}
[fernet_tokens]
key_repository = {self.directory}/tokens
[fernet_receipts]
key_repository = {self.directory}/receipts
[credential]
key_repository = {self.directory}/credentials
[identity]
password_hash_rounds = 4
""")
        self.manage("db_sync")
        # Else a transaction that reads makes Keystone's own writes fail.
        with sqlite3.connect(database) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.close()
        with open(self.directory / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                [PYTHON, "-B", pathlib.Path(__file__).with_name("keystone_server.py"), config],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env={"PATH": PATH, "LC_ALL": "C.UTF-8"})
        self.port = int(self.process.stdout.readline() or self.fail("Keystone did not start"))
        self.manage("bootstrap", "--bootstrap-password", ADMIN_PASSWORD, "--bootstrap-region-id", REGION,
                    "--bootstrap-public-url", self.url, "--bootstrap-internal-url", self.url)
        self.admin_token = self.token("admin", ADMIN_PASSWORD, "admin")

    def fail(self, what):
        log = self.directory / "server.log"
        raise RuntimeError(f"{what}\n{log.read_text() if log.exists() else ''}")

    def manage(self, *arguments):
        done = subprocess.run(["/usr/bin/keystone-manage", "--config-file", self.directory / "keystone.conf",
                               *arguments], env={"PATH": PATH, "LC_ALL": "C.UTF-8"}, check=False,
                              stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode != 0:
            self.fail(f"keystone-manage {arguments[0]}: {done.stderr.decode()}")

    def call(self, method, path, body=None, token=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            headers = {"Content-Type": "application/json"}
            if token or self.admin_token:
                headers["X-Auth-Token"] = token or self.admin_token
            connection.request(method, f"/v3{path}", json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            text = response.read()
            if response.status // 100 != 2:
                self.fail(f"Keystone: {method} {path}: {response.status} {text.decode()}")
            return response, json.loads(text) if text else None
        finally:
            connection.close()

    def make(self, plural, kind, name, **more):
        """The id of what has that name; made if there is none."""
        if (kind, name) not in self.ids:
            found = self.call("GET", f"/{plural}?name={name}")[1][plural]
            made = found[0] if found else self.call("POST", f"/{plural}", {kind: {"name": name, **more}})[1][kind]
            self.ids[kind, name] = made["id"]
        return self.ids[kind, name]

    def add_user(self, name, password, project, *roles):
        """Returns the id of the project, which is in the name of its account."""
        project_id = self.make("projects", "project", project, domain_id="default")
        user = self.make("users", "user", name, password=password, domain_id="default")
        for role in roles:
            self.call("PUT", f"/projects/{project_id}/users/{user}/roles/{self.make('roles', 'role', role)}")
        return project_id

    def set_endpoint(self, url):
        """Where the catalogue says that Swift is."""
        service = self.make("services", "service", "swift")
        for endpoint in self.call("GET", f"/endpoints?service_id={service}")[1]["endpoints"]:
            self.call("DELETE", f"/endpoints/{endpoint['id']}")
        self.call("POST", "/endpoints", {"endpoint": {
            "service_id": service, "interface": "public", "region_id": REGION,
            "url": f"{url}/v1/AUTH_$(project_id)s"}})

    def token(self, user, password, project):
        domain = {"id": "default"}
        response, _ = self.call("POST", "/auth/tokens", {"auth": {
            "identity": {"methods": ["password"],
                         "password": {"user": {"name": user, "domain": domain, "password": password}}},
            "scope": {"project": {"name": project, "domain": domain}}}})
        return response.headers["X-Subject-Token"]
