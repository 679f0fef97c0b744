"""A Swift whose users are Keystone's: clients that find the service in the catalogue, and jobs with a
Keystone token. Takes half a minute, so only with ZEROCLOUD_SWIFT_FULL."""

import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from framework.jobs import GUESTS, device, group  # noqa: E402
from framework.keystone_service import Keystone  # noqa: E402
from framework.service import PATH, Service, ServiceTest  # noqa: E402
from framework.swift_cluster import SwiftCluster  # noqa: E402

_keystone = None
_cluster = None


def setUpModule():
    global _keystone, _cluster
    if not os.environ.get("ZEROCLOUD_SWIFT_FULL"):
        raise unittest.SkipTest("ZEROCLOUD_SWIFT_FULL is not set")
    _keystone = Keystone().start()
    unittest.addModuleCleanup(_keystone.stop)
    _cluster = SwiftCluster(nodes=1, keystone=_keystone).start()
    unittest.addModuleCleanup(_cluster.stop)


class WithKeystone(ServiceTest):
    def make_service(self):
        return Service(self.directory, arguments=["--upstream", _cluster.url])

    def setUp(self):
        super().setUp()
        self.project = _keystone.add_user("owner", "owner-password", "project", "swiftoperator")
        _keystone.add_user("member", "member-password", "project", "member")
        _keystone.set_endpoint(self.service.url)
        self.tokens = {user: {"X-Auth-Token": _keystone.token(user, f"{user}-password", "project")}
                       for user in ("owner", "member")}
        self.account = f"/v1/AUTH_{self.project}"

    def swift_as(self, user, *arguments):
        done = subprocess.run(
            ["swift", "--os-auth-url", _keystone.url, "--auth-version", "3", "--os-username", user,
             "--os-password", f"{user}-password", "--os-user-domain-id", "default", "--os-project-name",
             "project", "--os-project-domain-id", "default", *arguments],
            env={"PATH": PATH, "HOME": str(self.directory), "LC_ALL": "C.UTF-8"}, cwd=self.directory,
            capture_output=True, timeout=120, check=False)
        return done.returncode, done.stdout, done.stderr.decode()

    def ask(self, user, method, path, body=None, **headers):
        return self.service.request(method, self.account + path, body, {**self.tokens[user], **headers})

    def test_clients_come_through_the_catalogue(self):
        (self.directory / "file").write_bytes(b"from a file")
        self.assertEqual(self.swift_as("owner", "upload", "c", "file")[0], 0)
        code, out, error = self.swift_as("owner", "download", "c", "file", "-o", "-")
        self.assertEqual((code, out), (0, b"from a file"), error)
        self.assertIn('"target": "' + self.account, (self.directory / "log").read_text())
        self.assertNotEqual(self.swift_as("member", "download", "c", "file", "-o", "-")[0], 0)
        self.assertEqual(self.service.request("GET", f"{self.account}/c/file", authenticated=False,
                                              headers={"X-Auth-Token": "none"}).status, 401)

    def test_jobs_run_with_the_rights_of_the_token(self):
        for path, body in (("/programs", b""), ("/in", b""), ("/out", b""), ("/in/o", b"the input"),
                           ("/programs/copy", (GUESTS / "jobs-copy").read_bytes())):
            self.assertEqual(self.ask("owner", "PUT", path, body).status // 100, 2)
        job = [group("g", "copy", "- -", [device("stdin", "in/o"), device("stdout", "out/o")])]
        done = self.service.job(job, target=self.account, headers=self.tokens["owner"])
        self.assertEqual(done.status, 200, done.body)
        self.assertEqual(self.ask("owner", "GET", "/out/o").body, b"the input")
        refused = self.service.job(job, target=self.account, headers=self.tokens["member"])
        self.assertEqual(refused.status, 403, refused.body)


if __name__ == "__main__":
    unittest.main(verbosity=2)
