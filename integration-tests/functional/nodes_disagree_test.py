"""Proxies and nodes that do not agree: about limits, about the key, about the protocol. On hosts of which each has
its own network, as in nodes_network_test."""

import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import nodes_network_test as hosts  # noqa: E402
from framework.node import make_key_file  # noqa: E402
from framework.service import PATH  # noqa: E402

setUpModule = hosts.setUpModule
tearDownModule = hosts.tearDownModule


@hosts.WHOLE
class OtherLimits(hosts.HostsTest):
    silence_seconds = 60
    small = (1,)

    def make_node(self, number, settings=(), wrapper=()):
        if number in self.small:
            settings = (*settings, "jobs.memory_bytes=67108864", "jobs.default_memory_bytes=67108864")
        return super().make_node(number, settings, wrapper)

    def test_a_node_that_allows_less_is_passed_over_with_a_reason(self):
        self.fill_in(8)
        report = self.report(self.copy_job())
        self.assert_moved_from(self.nodes[0], report)
        for why in self.complaints(self.nodes[0], report):
            self.assertIn("its own limit jobs.memory_bytes is 67108864", why)
        self.wait_until(lambda: "its own limit jobs.memory_bytes is 67108864" in self.nodes[0].log(),
                        describe=self.nodes[0].log)
        self.assert_all_copied()


class OtherLimitsEverywhere(OtherLimits):
    small = (1, 2, 3, 4)

    def warm_up(self):
        """No job with the default memory runs here."""

    def test_a_node_that_allows_less_is_passed_over_with_a_reason(self):
        self.fill_in(2)
        self.refuse(self.copy_job(), 503, "its own limit jobs.memory_bytes is 67108864", "configured otherwise")
        self.assertEqual(self.assert_whole_or_absent(), 0)
        job = self.copy_job()
        job[0]["memory"] = 67108864
        self.succeed(job)
        self.assert_all_copied()


@hosts.WHOLE
class OtherKeys(hosts.HostsTest):
    silence_seconds = 60

    def test_another_key_of_the_same_name(self):
        node = self.nodes[0]
        node.stop()
        node.key_file = make_key_file(self.directory / "other", "one")
        node.start()
        self.wait_until(lambda: 'names key "one" but does not have the same one' in node.log())
        self.wait_until(lambda: f'node {node.address}: it does not take key "one"' in self.proxy_log())
        self.fill_in(8)
        report = self.report(self.copy_job())
        self.assertNotIn(node.address, {session["node"] for session in report["sessions"]})
        self.assert_all_copied()


@hosts.WHOLE
class OtherReleases(hosts.HostsTest):
    """Those who have the key and speak another version of the protocol."""

    silence_seconds = 60
    greeting = bytes((9, 1, 0, 0)) + len(b"{}").to_bytes(4, "big") + b"{}"

    def speak(self, host, *command):
        """OpenSSL's own client or server there says that, with the key, and listens until the test is over."""
        secret = self.key_file.read_text().split()[-1]
        process = subprocess.Popen(
            [*host, "openssl", *command, "-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256", "-psk_identity", "one",
             "-psk", secret, "-quiet"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={"PATH": PATH})
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdin.close)
        process.stdin.write(self.greeting)
        process.stdin.flush()
        return process

    def test_a_node_of_another_release(self):
        node = self.nodes[3]
        node.stop()
        other = self.speak(hosts._network.hosts[3].wrapper, "s_server", "-accept", node.address, "-nocert")
        self.wait_until(lambda: f"node {node.address}: it speaks version 9" in self.proxy_log(),
                        describe=self.proxy_log)
        self.fill_in(8)
        report = self.report(self.copy_job())
        self.assertNotIn(node.address, {session["node"] for session in report["sessions"]})
        self.assert_all_copied()
        other.kill()

    def test_a_proxy_of_another_release(self):
        node = self.nodes[0]
        self.speak((), "s_client", "-connect", node.address)
        self.wait_until(lambda: "it speaks version 9" in node.log(), describe=node.log)
        self.fill_in(2)
        self.succeed(self.copy_job())
        self.assert_all_copied()


if __name__ == "__main__":
    unittest.main(verbosity=2)
