"""zerocloud doctor: each thing that it checks is broken here once, and it says so, says what to do, and
its exit status tells it."""

import contextlib
import email.utils
import http.server
import json
import os
import pathlib
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from framework.node import Node, make_key_file  # noqa: E402
from framework.service import PATH, PROGRAM, Service  # noqa: E402

CHECKS = ["configuration", "user", "open files", "spool", "control groups", "sandbox", "listen", "tls",
          "metrics", "statsd", "store", "upstream", "clock", "devices", "keys", "nodes"]
NOBODY = pwd.getpwnam("nobody")
IS_ROOT = os.geteuid() == 0
SWIFT_INFO = {"swift": {"version": "2.30.1"}}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@contextlib.contextmanager
def upstream(info=SWIFT_INFO, seconds_ahead=0, status=200):
    """The URL of a server whose /info is that and whose clock is wrong by so much."""
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = info if isinstance(info, bytes) else json.dumps(info).encode()
            self.send_response_only(status)
            self.send_header("Date", email.utils.formatdate(time.time() + seconds_ahead, usegmt=True))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class DoctorTest(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="zerocloud-doctor-"))
        self.directory.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.directory)

    def examine(self, *arguments, program=PROGRAM, before=(), store=True, **more):
        """The exit status, and the findings by check: a list of (state, found, advice) for each."""
        command = [*before, str(program), "doctor", "--json", "--listen", f"127.0.0.1:{free_port()}"]
        if store:
            command += ["--store", str(self.directory / "store")]
        done = subprocess.run([*command, *arguments], capture_output=True, timeout=300, check=False,
                              env={"PATH": PATH, "LC_ALL": "C.UTF-8"}, **more)
        self.assertTrue(done.stdout, done.stderr)
        told = json.loads(done.stdout)
        findings = {}
        for each in told["findings"]:
            self.assertIn(each["check"], CHECKS)
            self.assertTrue(each["found"])
            if each["state"] == "wrong":
                self.assertTrue(each["advice"], each)
            findings.setdefault(each["check"], []).append((each["state"], each["found"], each["advice"]))
        is_well = all(state != "wrong" for rows in findings.values() for state, _, _ in rows)
        self.assertEqual(told["well"], is_well)
        self.assertEqual(done.returncode, 0 if is_well else 1, done.stderr)
        return findings

    def expect(self, findings, check, state, sentence=""):
        rows = findings.get(check, [])
        self.assertTrue(any(row[0] == state and sentence in row[1] for row in rows), (check, state, rows))


class Well(DoctorTest):
    def test_everything_is_looked_at(self):
        self.assertEqual(list(self.examine()), CHECKS)

    def test_a_good_installation_is_well(self):
        findings = self.examine()
        for check in ("configuration", "open files", "spool", "listen", "store"):
            self.assertIn(findings[check][0][0], ("ok", "warning"), findings[check])
        self.assertIn(findings["sandbox"][0][0], ("ok", "warning"), findings["sandbox"])

    def test_the_text_says_the_same_as_the_json(self):
        arguments = [PROGRAM, "doctor", "--store", "/dev/null/x"]
        text = subprocess.run(arguments, capture_output=True, timeout=60, check=False)
        self.assertEqual(text.returncode, 1)
        told = json.loads(subprocess.run([*arguments, "--json"], capture_output=True, timeout=60,
                                         check=False).stdout)
        for finding in told["findings"]:
            self.assertIn(f"{finding['state']:<8} {finding['check']}".encode(), text.stdout)
        self.assertIn(b"-> make it, owned by the service's user", text.stdout)

    @unittest.skipUnless(IS_ROOT, "only root can become somebody else")
    def test_an_ordinary_user_is_told_of_his_own_rights(self):
        findings = self.examine(user=NOBODY.pw_uid, group=NOBODY.pw_gid, extra_groups=[])
        self.expect(findings, "user", "ok", str(NOBODY.pw_uid))
        self.expect(findings, "store", "wrong")
        self.expect(self.examine(), "user", "warning", "root")


class Host(DoctorTest):
    def test_a_configuration_that_is_wrong(self):
        (self.directory / "z.conf").write_text("[server]\nthreads = many\n")
        findings = self.examine("--config", str(self.directory / "z.conf"))
        self.expect(findings, "configuration", "wrong", "z.conf:2: [server] threads")
        self.expect(self.examine(store=False), "configuration", "wrong", "Exactly one of")

    def test_options_that_do_not_exist_and_files_that_disagree(self):
        (self.directory / "z.conf").write_text("[server]\nthread = 2\nthreads = 3\n")
        (self.directory / "z.conf.d").mkdir()
        (self.directory / "z.conf.d" / "a.conf").write_text("[server]\nthreads = 4\n")
        findings = self.examine("--config", str(self.directory / "z.conf"))
        self.expect(findings, "configuration", "warning", "[server] threads meant?")
        self.expect(findings, "configuration", "warning", "z.conf:3 says 3; this one counts")

    def test_too_few_open_files(self):
        few = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))  # noqa: E731
        self.expect(self.examine(preexec_fn=few), "open files", "wrong", "at most 200 open files")
        self.expect(self.examine("--set", "server.connections=10", "--set", "engine.sessions_at_once=2",
                                 preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (400, 400))),
                    "open files", "ok")

    def test_a_spool_that_is_none(self):
        for directory, sentence in (("/none", "No such file"), ("/proc", "no file can be made")):
            findings = self.examine("--set", f"engine.spool_directory={directory}")
            self.expect(findings, "spool", "wrong", sentence)

    def test_a_spool_with_less_room_than_jobs_may_take(self):
        findings = self.examine("--set", f"engine.spool_bytes={1000 << 40}",
                                "--set", f"engine.spool_directory={self.directory}")
        self.expect(findings, "spool", "warning", "free in")

    @unittest.skipUnless(IS_ROOT, "only root can mount")
    def test_a_spool_that_is_full_already(self):
        place = self.directory / "small"
        place.mkdir()
        before = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=1m none "$0" && exec "$@"',
                  str(place)]
        if subprocess.run([*before, "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("this host allows no mount")
        findings = self.examine("--set", f"engine.spool_directory={place}", before=before)
        self.expect(findings, "spool", "wrong", "free in")

    def test_control_groups_that_are_none(self):
        findings = self.examine("--set", f"engine.control_groups={self.directory}")
        self.expect(findings, "control groups", "wrong", "no group of the cgroup file system")

    def test_no_launcher_or_another_program_in_its_place(self):
        alone = self.directory / "alone"
        alone.mkdir()
        shutil.copy(PROGRAM, alone / "zerocloud")
        if not pathlib.Path("/usr/local/libexec/zerocloud/zvm-session").exists():
            self.expect(self.examine(program=alone / "zerocloud"), "sandbox", "wrong", "was not found")
        shutil.copy("/bin/true", alone / "zvm-session")
        self.expect(self.examine(program=alone / "zerocloud"), "sandbox", "wrong")

    def test_a_host_where_no_session_can_be_set_up(self):
        # Root without anybody to become.
        before = ["unshare", "--user", "--map-root-user", "sh", "-c",
                  'echo 0 >/proc/sys/user/max_user_namespaces && exec "$0" "$@"']
        if subprocess.run([*before, "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("this host allows no user namespace at all")
        self.expect(self.examine(before=before), "sandbox", "wrong", "could not be set up")

    @unittest.skipUnless(IS_ROOT, "only root can change its root directory")
    def test_a_host_without_user_namespaces(self):
        # The kernel gives none to who is in a root directory of his own.
        place = self.directory / "root"
        place.mkdir()
        before = ["unshare", "--mount", "sh", "-c",
                  f'mount --rbind / "$0" && exec chroot --userspec={NOBODY.pw_uid}:{NOBODY.pw_gid} "$0" "$@"',
                  str(place)]
        if subprocess.run([*before, "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("this host allows no mount")
        findings = self.examine(before=before)
        self.expect(findings, "sandbox", "warning", "without the layer user_namespace")
        self.assertIn("user namespaces", findings["sandbox"][0][2])


class Groups(DoctorTest):
    """control groups: a directory that looks like one of the cgroup file system."""

    def look(self, controllers, **more):
        group = self.directory / "group"
        group.mkdir(exist_ok=True)
        (group / "cgroup.controllers").write_text(controllers)
        return self.examine("--set", f"engine.control_groups={group}", **more)

    def test_that_lack_controllers(self):
        for controllers in ("", "cpu io pids\n", "memory cpu\n"):
            findings = self.look(controllers)
            self.expect(findings, "control groups", "wrong", "lacks the controllers memory and pids")
            self.assertIn("Delegate=", findings["control groups"][0][2])
        self.expect(self.look("cpu memory pids\n"), "control groups", "ok", "is delegated")

    def test_that_are_none(self):
        findings = self.examine("--set", f"engine.control_groups={self.directory}")
        self.expect(findings, "control groups", "wrong", "is no group of the cgroup file system")

    @unittest.skipUnless(IS_ROOT, "only root can become somebody else")
    def test_that_are_somebody_elses(self):
        findings = self.look("memory pids\n", user=NOBODY.pw_uid, group=NOBODY.pw_gid, extra_groups=[])
        self.expect(findings, "control groups", "wrong", "is not writable")


class Cluster(DoctorTest):
    """Other nodes, as a proxy of the cluster sees them."""

    def setUp(self):
        super().setUp()
        self.keys = make_key_file(self.directory / "keys", "one")

    def start_node(self, *settings, keys=None):
        directory = self.directory / f"node{len(list(self.directory.glob('node*')))}"
        node = Node(directory, "127.0.0.1", keys or self.keys, ["--upstream", "http://127.0.0.1:1"], settings)
        self.addCleanup(node.stop, signal.SIGKILL)
        return node.start()

    def look(self, *nodes, keys=None, settings=()):
        options = [f"nodes.key_file={keys or self.keys}", *settings]
        if nodes:
            options.append("nodes.list=" + ",".join(nodes))
        with upstream() as url:
            return self.examine("--upstream", url, *(each for option in options for each in ("--set", option)),
                                store=False)

    def test_that_is_well(self):
        node = self.start_node("engine.sessions_at_once=3")
        findings = self.look(node.address)
        self.expect(findings, "keys", "ok", 'key "one" is used')
        self.expect(findings, "nodes", "ok", f"{node.address} answers and has 3 slots")
        self.assertEqual(len(findings["nodes"]), 1)

    def test_nodes_that_do_not_answer_or_have_other_keys(self):
        other = self.start_node(keys=make_key_file(self.directory / "others", "two"))
        gone = f"127.0.0.1:{free_port()}"
        findings = self.look(other.address, gone)
        self.expect(findings, "nodes", "wrong", f"{other.address}: ")
        self.expect(findings, "nodes", "wrong", f"{gone}: ")
        self.assertIn('key "one" is not in this machine\'s key file', other.log())

    def test_limits_that_disagree(self):
        node = self.start_node("jobs.memory_bytes=1000000", "jobs.timeout_seconds=5")
        findings = self.look(node.address)
        self.expect(findings, "nodes", "warning", f"jobs.memory_bytes of {node.address} is 1000000, here it is")
        self.expect(findings, "nodes", "warning", f"jobs.timeout_seconds of {node.address} is 5")
        self.assertIn("the same [jobs] on all machines", findings["nodes"][0][2])
        settings = ("jobs.memory_bytes=1000000", "jobs.timeout_seconds=5")
        self.expect(self.look(node.address, settings=settings), "nodes", "ok")

    def test_a_key_file_that_is_open_broken_or_missing(self):
        self.keys.chmod(0o644)
        self.expect(self.look(), "keys", "wrong", "keys")
        self.keys.chmod(0o600)
        self.keys.write_text("nonsense\n")
        self.expect(self.look(), "keys", "wrong", "line 1")
        self.expect(self.look("127.0.0.1:1"), "nodes", "skipped", "keys")
        self.expect(self.look(keys=self.directory / "none"), "keys", "wrong", "none")

    def test_a_key_that_has_ended(self):
        self.keys.write_text(f"old - 2020-01-01T00:00:00Z {'7' * 64}\n")
        self.expect(self.look(), "keys", "wrong", "none of the 1 keys")

    def test_a_node_itself(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            findings = self.look(settings=(f"node.listen={address}", f"metrics.listen={address}", f"zerocloud.listen={address}"))
            for check in ("nodes", "metrics"):
                self.expect(findings, check, "warning", "already")
        # Of what only a service does it is not told but that it is set.
        self.assertEqual([findings[check][0][0] for check in ("listen", "tls")], ["skipped"] * 2)
        self.expect(findings, "configuration", "warning", "a node does not use zerocloud.listen")
        self.expect(self.look(settings=(f"node.listen=127.0.0.1:{free_port()}",)), "nodes", "ok", "can be")


class Neighbours(DoctorTest):
    @unittest.skipUnless(IS_ROOT, "only root can make a network in which nobody else may listen")
    def test_a_port_that_this_user_may_not_have(self):
        before = ["unshare", "--net", "sh", "-c", "echo 1024 >/proc/sys/net/ipv4/ip_unprivileged_port_start && "
                  f'exec setpriv --reuid={NOBODY.pw_uid} --regid={NOBODY.pw_gid} --clear-groups "$0" "$@"']
        if subprocess.run([*before, "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("this host allows no network namespace")
        findings = self.examine("--set", "zerocloud.listen=0.0.0.0:80", before=before)
        self.expect(findings, "listen", "wrong", "listened on by this user")
        self.assertIn("CAP_NET_BIND_SERVICE", findings["listen"][0][2])

    def test_an_address_that_is_taken_or_of_another_host(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            self.expect(self.examine("--set", f"zerocloud.listen={address}"), "listen", "warning", "already")
            self.expect(self.examine("--set", f"metrics.listen={address}"), "metrics", "warning", "already")
        self.expect(self.examine("--set", "zerocloud.listen=192.0.2.1:8080"), "listen", "wrong", "192.0.2.1")
        self.expect(self.examine("--set", "metrics.listen=192.0.2.1:8080"), "metrics", "wrong", "192.0.2.1")

    def test_a_certificate_that_is_none_and_a_key_that_everybody_reads(self):
        key, certificate = self.directory / "key.pem", self.directory / "certificate.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=x"],
                       check=True, capture_output=True, env={"PATH": PATH})
        options = ["--set", f"server.tls_certificate={certificate}", "--set", f"server.tls_key={key}"]
        key.chmod(0o600)
        self.expect(self.examine(*options), "tls", "ok")
        key.chmod(0o644)
        self.expect(self.examine(*options), "tls", "warning", "everybody")
        certificate.write_text("nonsense")
        self.expect(self.examine(*options), "tls", "wrong", "server.tls_certificate")

    def test_a_statsd_host_that_is_no_name(self):
        self.expect(self.examine("--set", "statsd.host=no name at all"), "statsd", "wrong", "no name at all")

    def test_a_store_that_cannot_be_written(self):
        findings = self.examine("--store", "/dev/null/x", store=False)
        self.expect(findings, "store", "wrong", "/dev/null/x")


class Upstream(DoctorTest):
    def of(self, url, *arguments):
        return self.examine("--upstream", url, *arguments, store=False)

    def test_a_swift_that_is_right(self):
        with upstream() as url:
            findings = self.of(url)
        self.expect(findings, "upstream", "ok", "is Swift 2.30.1")
        self.expect(findings, "clock", "ok")
        self.expect(findings, "devices", "skipped")

    def test_one_of_two_that_does_not_answer(self):
        with upstream() as url:
            findings = self.of(f"{url}, http://127.0.0.1:1")
        self.expect(findings, "upstream", "ok")
        self.expect(findings, "upstream", "wrong", "failed")

    def test_what_is_no_swift(self):
        deep = b'{"swift":' * 5000 + b"1" + b"}" * 5000
        for info, state, sentence in (({}, "warning", "does not call itself Swift"), (b"nonsense", "warning", "no JSON"),
                                      ([], "warning", "no JSON"), (b"", "warning", "no JSON"),
                                      (deep, "ok", "is Swift"), (b"x" * (2 << 20), "wrong", "1 MiB")):
            with self.subTest(sentence), upstream(info) as url:
                self.expect(self.of(url), "upstream", state, sentence)
        with upstream(status=404) as url:
            self.expect(self.of(url), "upstream", "warning", "404")

    def test_itself(self):
        service = Service(self.directory).start()
        try:
            self.expect(self.of(service.url), "upstream", "warning", "itself a zerocloud")
        finally:
            service.stop()

    def test_clocks_that_differ(self):
        for ahead, state, sentence in ((3600, "wrong", "behind"), (-3600, "wrong", "ahead of"),
                                       (20, "warning", "behind")):
            with self.subTest(ahead), upstream(seconds_ahead=ahead) as url:
                self.expect(self.of(url), "clock", state, sentence)


class Devices(DoctorTest):
    """A host of the object server: devices, rings made by Swift itself, swift.conf."""

    def setUp(self):
        super().setUp()
        self.devices, self.swift_dir = self.directory / "node", self.directory / "etc"
        (self.devices / "d1" / "objects" / "7").mkdir(parents=True)
        self.swift_dir.mkdir()
        (self.swift_dir / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = x\n")
        self.make_ring("127.0.0.1", "d1")

    def make_ring(self, address, *devices):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of what Swift imports
            from swift.common.ring import RingBuilder
        builder = RingBuilder(4, 1, 0)
        for name in devices:
            builder.add_dev({"region": 1, "zone": 1, "ip": address, "port": 6200, "device": name, "weight": 1})
        builder.rebalance()
        builder.get_ring().save(str(self.swift_dir / "object.ring.gz"))

    def look(self, *arguments, **more):
        with upstream() as url:
            return self.examine("--upstream", url, "--devices", str(self.devices), "--swift-dir",
                                str(self.swift_dir), *arguments, store=False, **more)

    def test_devices_that_can_be_read(self):
        self.expect(self.look(), "devices", "ok", "device d1 of policy 0 can be read")

    def test_rings_that_are_missing_or_broken(self):
        (self.swift_dir / "object.ring.gz").write_bytes(b"nonsense")
        self.expect(self.look(), "devices", "wrong", "object.ring.gz")
        (self.swift_dir / "swift.conf").unlink()
        self.expect(self.look(), "devices", "wrong", "swift.conf")

    def test_rings_that_do_not_know_this_host_or_know_more_devices(self):
        self.make_ring("192.0.2.1", "d1")
        self.expect(self.look(), "devices", "wrong", "no device on this host")
        self.make_ring("127.0.0.1", "d1", "d2")
        findings = self.look()
        self.expect(findings, "devices", "ok", "d1")
        self.expect(findings, "devices", "wrong", "device d2 of policy 0: it cannot be opened")

    def test_a_device_behind_a_symbolic_link(self):
        (self.devices / "d1").rename(self.directory / "elsewhere")
        (self.devices / "d1").symlink_to(self.directory / "elsewhere")
        self.expect(self.look(), "devices", "wrong", "device d1")

    def test_places_that_the_upstream_tells(self):
        (self.swift_dir / "object.ring.gz").unlink()
        self.expect(self.look(), "devices", "wrong", "object.ring.gz")
        self.expect(self.look("--set", "local.endpoints=yes"), "devices", "ok", "asked of the upstream")
        (self.swift_dir / "swift.conf").unlink()
        self.expect(self.look("--set", "local.endpoints=yes"), "devices", "wrong", "swift.conf")

    @unittest.skipUnless(IS_ROOT, "only root can become somebody else")
    def test_devices_of_a_group_that_the_user_is_not_in(self):
        group = 12345
        os.chown(self.devices / "d1" / "objects", 0, group)
        (self.devices / "d1" / "objects").chmod(0o750)
        who = {"user": NOBODY.pw_uid, "group": NOBODY.pw_gid}
        findings = self.look(**who, extra_groups=[])
        self.expect(findings, "devices", "wrong", "its objects cannot be read: Permission denied")
        self.assertIn("usermod -aG swift", findings["devices"][0][2])
        self.expect(self.look(**who, extra_groups=[group]), "devices", "ok")


if __name__ == "__main__":
    unittest.main(verbosity=2)
