"""Tests of a service in front of a real Swift. One cluster serves all tests of a module, which start
with empty accounts."""

import json
import os
import urllib.parse

from framework.swift_cluster import SwiftCluster

_cluster = None


def start_cluster(**options):
    """For setUpModule(). One node, or with ZEROCLOUD_SWIFT_FULL in the environment four, which also
    encrypt what they store; or what the options say."""
    global _cluster
    is_full = bool(os.environ.get("ZEROCLOUD_SWIFT_FULL"))
    _cluster = SwiftCluster(**(options or {"nodes": 4 if is_full else 1, "encryption": is_full})).start()


def use_cluster(cluster):
    """Lets tests use another one; returns a function that stops it and goes back to the first."""
    global _cluster
    before, _cluster = _cluster, cluster

    def go_back():
        global _cluster
        _cluster.stop()
        _cluster = before
    return go_back


def stop_cluster():
    """For tearDownModule()."""
    _cluster.stop()


def empty_account(endpoint, account="AUTH_test"):
    """Deletes every object and container of an account."""
    token = {"X-Auth-Token": endpoint.token()}

    def names(target):
        response = endpoint.request("GET", target, headers=token)
        return response.body.decode().splitlines() if response.status == 200 else []

    for container in names(f"/v1/{account}"):
        path = f"/v1/{account}/{urllib.parse.quote(container)}"
        endpoint.request("POST", path, headers={**token, "X-Versions-Enabled": "false"})
        # As JSON, for a name may hold a line feed.
        response = endpoint.request("GET", f"{path}?format=json", headers=token)
        for entry in json.loads(response.body):
            endpoint.request("DELETE", f"{path}/{urllib.parse.quote(entry['name'])}", headers=token)
        endpoint.request("DELETE", path, headers=token)


class BeforeSwift:
    """Put before ServiceTest or one of its kin: the service under test stands in front of Swift."""

    def make_service(self):
        service = super().make_service()
        self.swift = _cluster
        empty_account(self.swift)
        service.arguments = ["--upstream", self.swift.url]
        service.temporary_files = list  # it stores nothing itself
        return service

    def quiet_files(self):
        """Some connections to Swift are kept, so sockets prove nothing here but their number."""
        kept = 1 + 64 + 16  # the listening one, and the defaults of /proxy
        self.wait_until(lambda: self.service.open_files().count("socket") <= kept)


class BesideSwift(BeforeSwift):
    """The same on the host of the object server, with its devices to read."""

    node = 1

    def make_service(self):
        service = super().make_service()
        service.arguments += ["--devices", str(self.swift.devices(self.node)),
                              "--swift-dir", str(self.swift.swift_dir)]
        return service


class OwnCluster:
    """Put before those two: for tests that need another cluster, or leave one in disorder."""

    cluster_options = {"nodes": 1}

    def make_service(self):
        self.addCleanup(use_cluster(SwiftCluster(**self.cluster_options).start()))
        return super().make_service()
