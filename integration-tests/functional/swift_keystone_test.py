"""A Swift whose users are Keystone's: clients that find the service in the catalogue, jobs with a Keystone
token, and who is read for in place. Takes half a minute, so only with ZEROCLOUD_SWIFT_FULL."""

import json
import os
import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from framework.jobs import GUESTS, REPORT, device, group  # noqa: E402
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
        return Service(self.directory, arguments=["--upstream", _cluster.url, "--devices", str(_cluster.devices()),
                                                  "--swift-dir", str(_cluster.swift_dir)])

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

    def test_one_listing_vouches_for_what_it_names(self):
        """The owner, a reader by the container's access list, those whom it lets read only or list, too, and a
        stranger. All run jobs in accounts of their own, with programs of their own."""
        copy = (GUESTS / "jobs-copy").read_bytes()
        for path, body in (("/in", b""), ("/in/vouched-a", b"1"), ("/in/vouched-b", b"2")):
            self.assertEqual(self.ask("owner", "PUT", path, body).status // 100, 2)
        projects = {"owner": self.project}
        for user in ("reader", "stranger"):
            projects[user] = _keystone.add_user(user, f"{user}-password", f"{user}s-project", "swiftoperator")
            self.tokens[user] = {"X-Auth-Token": _keystone.token(user, f"{user}-password", f"{user}s-project")}
        for user, project in projects.items():
            for path, body in (("programs", b""), ("programs/copy", copy)):
                answer = self.service.request("PUT", f"/v1/AUTH_{project}/{path}", body, self.tokens[user])
                self.assertEqual(answer.status // 100, 2, answer.body)

        def run(user, path):
            source = {"name": "stdin", "path": f"swift://AUTH_{self.project}/in/{path}"}
            return self.service.job([group("g", "copy", "- -", [source, "stdout"])],
                                    target=f"/v1/AUTH_{projects[user]}", headers={**self.tokens[user], **REPORT})

        reader = f"{projects['reader']}:{_keystone.ids['user', 'reader']}"
        for rights, who_may in ((reader, {"owner", "reader"}), (".r:*,.rlistings", {"owner", "reader", "stranger"}),
                                (".r:*", {"owner"}), (reader, {"owner", "reader"})):
            self.assertEqual(self.ask("owner", "POST", "/in", **{"X-Container-Read": rights}).status, 204)
            for user in projects:
                with self.subTest(rights=rights, user=user):
                    answer = run(user, "vouched-*")
                    if user in who_may:
                        self.assertEqual(answer.status, 200, answer.body)
                        report = json.loads(answer.body)
                        self.assertEqual(report["body"], "12")
                        self.assertEqual([session["local"] for session in report["sessions"]], [True, True])
                    else:
                        self.assertEqual(answer.status, 403, answer.body)
        self.assertEqual(run("stranger", "vouched-a").status, 403)

        # No object was asked for but the one that no listing had named, and of the log that is seen to be true.
        def asked():
            return re.findall(rf" (GET|HEAD) /v1/AUTH_{self.project}/in/vouched-([ab]) ", _cluster.log("proxy"))

        self.ask("owner", "GET", "/in/vouched-b")
        self.wait_until(lambda: ("GET", "b") in asked(), describe=asked)
        self.assertEqual(set(asked()), {("HEAD", "a"), ("GET", "b")})


if __name__ == "__main__":
    unittest.main(verbosity=2)
