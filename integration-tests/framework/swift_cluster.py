"""A real OpenStack Swift for tests, from Debian's python3-swift and memcached alone: plain processes on
loopback addresses and free ports, with everything they read and write in a directory of their own.
Nothing in /etc/swift is read, no service of the machine is used or disturbed.

    with SwiftCluster(nodes=1) as cluster: ...

nodes=1: one proxy, one server of each kind, one replica, and a policy `ec` over four devices.
nodes=4: one proxy, four servers of each kind on 127.0.0.1 to 127.0.0.4, three replicas (or as many as `replicas`).
network: one of framework.network that is open; the four are on its hosts, and the proxy is outside of them.
keystone: one that runs, in the place of Swift's own tempauth (and of s3api, which wants that).
"""

import argparse
import getpass
import http.client
import json
import os
import pathlib
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from framework.keystone_service import SERVICE_PASSWORD
from framework.service import Endpoint, PATH

PYTHON = "/usr/bin/python3"  # the one that sees Debian's packages
PART_POWER = 6
KINDS = ("object", "container", "account")
DEVICES = ("d1", "d2", "d3", "d4")
# "" is what tests use by default; the others are for runs of Swift's own tests side by side.
ACCOUNT_SETS = ("", "a", "b", "c")

SWIFT_CONF = """\
[swift-hash]
swift_hash_path_prefix = zerocloud
swift_hash_path_suffix = tests

[storage-policy:0]
name = gold
policy_type = replication
default = yes

[storage-policy:1]
name = ec
policy_type = erasure_coding
ec_type = liberasurecode_rs_vand
ec_num_data_fragments = 2
ec_num_parity_fragments = 2
ec_object_segment_size = 1048576
"""

# With last_node_policy: objects of which the last node has the only replica.
LAST_NODE_POLICY = """
[storage-policy:2]
name = last
policy_type = replication
"""

PIPELINE = ("catch_errors", "gatekeeper", "healthcheck", "proxy-logging", "cache", "domain_remap",
            "etag-quoter", "listing_formats", "list-endpoints", "bulk", "tempurl", "crossdomain",
            "s3api", "tempauth", "formpost", "staticweb", "copy", "container-quotas",
            "account-quotas", "slo", "dlo", "versioned_writes", "symlink")
ENCRYPTION = ("keymaster", "encryption")
# Where a filter's name in the pipeline is not that of its entry point.
ENTRY_POINTS = {"cache": "memcache"}


def users():
    """The users that Swift's own tests want, once per set of accounts."""
    lines = {"user_admin_admin": "admin .admin .reseller_admin"}
    for each in ACCOUNT_SETS:
        lines |= {f"user_test{each}_tester": "testing .admin",
                  f"user_test{each}2_tester2": "testing2 .admin",
                  f"user_test{each}_tester3": "testing3",
                  f"user_test{each}5_tester5": "testing5 service",
                  f"user_test{each}_tester6": "testing6 .reseller_admin"}
    return lines


def holds_metadata(directory):
    """Whether files there can carry what Swift writes in their extended attributes. Plain ext4 stops at
    4 KiB, and Swift then declares the device full."""
    try:
        with tempfile.NamedTemporaryFile(dir=directory) as file:
            os.setxattr(file.fileno(), "user.swift.metadata", b"x" * 16384)
    except OSError:
        return False
    return True


def stored_metadata(file):
    """What Swift itself keeps about an object, in the attributes of its file; only for files that our Swift wrote."""
    pickled = pickle.loads(os.getxattr(file, "user.swift.metadata"), encoding="bytes")
    return {key.decode(): value.decode() for key, value in pickled.items()}


def choose_data_directory(own):
    """A new directory for the devices, in memory if the file system of `own` will not do."""
    for parent in (own, "/dev/shm"):
        if holds_metadata(parent):
            return pathlib.Path(tempfile.mkdtemp(prefix="zerocloud-swift-", dir=parent))
    raise RuntimeError(f"neither {own} nor /dev/shm takes extended attributes of 16 KiB: Swift's "
                       "objects need them (XFS, tmpfs, ext4 with the feature ea_inode)")


def ini(sections):
    return "".join(f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()) + "\n"
                   for name, keys in sections.items())


class SwiftCluster(Endpoint):
    """One running cluster; as an Endpoint it is what clients of its proxy see."""

    def __init__(self, nodes=1, encryption=False, directory=None, proxy_settings=None, keystone=None,
                 last_node_policy=False, network=None, replicas=3):
        self.nodes = nodes
        self.last_node_policy = last_node_policy
        self.network = network
        self.replicas = 1 if nodes == 1 else replicas
        self.keystone = keystone
        self.encryption = encryption
        self.proxy_settings = dict(proxy_settings or {})
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="zerocloud-swift-"))
        self.is_own_directory = directory is None
        self.data = None
        self.servers = None  # the process that runs them
        self.memcached = None
        self.configs = {}    # name of a server: kind, configuration, address and port
        self.pids = {}

    def __enter__(self):
        return self.start()

    def __exit__(self, *exception):
        self.stop()

    @property
    def swift_dir(self):
        """Where swift.conf and the rings are."""
        return self.directory / "conf"

    def devices(self, node=1):
        """What an object server on that node has as `devices`."""
        return self.data / f"node{node}"

    def log(self, name):
        return (self.directory / "log" / f"{name}.log").read_text(errors="replace")

    def start(self):
        try:
            self.lay_out()
            self.start_memcached()
            with self.own_log("servers") as log:
                self.servers = subprocess.Popen(
                    [PYTHON, "-B", str(pathlib.Path(__file__).with_name("swift_servers.py")),
                     str(self.swift_dir / "swift.conf")],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                    env={"PATH": PATH, "LC_ALL": "C.UTF-8"}, text=True)
            self.bind_all()
            self.write_configs()
            self.make_rings()
            for name in self.configs:
                self.start_server(name)
            for name in self.configs:
                self.wait_for(name)
        except BaseException:
            self.stop()
            raise
        return self

    def stop_servers(self):
        """All of Swift's, and nothing else."""
        if self.servers is not None:
            self.servers.stdin.close()
            self.servers.wait(timeout=60)
            self.servers.stdout.close()
            self.servers = None

    def stop(self):
        self.stop_servers()
        if self.memcached is not None:
            self.memcached.terminate()
            self.memcached.wait(timeout=60)
            self.memcached = None
        if self.data is not None:
            shutil.rmtree(self.data)
            self.data = None
        if self.is_own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def stop_server(self, name, sign=signal.SIGTERM):
        """Ends one server; its port refuses connections from then on."""
        self.command(do="stop", name=name, signal=int(sign))
        del self.pids[name]

    def start_server(self, name):
        """Starts one server, on the port that it had before if it ran already."""
        kind, config, address, port = self.configs[name]
        if name not in self.bound:
            self.command(do="bind", name=name, address=address, port=port, namespace=self.namespace(name))
        self.bound.discard(name)
        answer = self.command(do="start", name=name, kind=kind, config=str(config),
                              namespace=self.namespace(name),
                              log=str(self.directory / "log" / f"{name}.log"))
        self.pids[name] = answer["pid"]

    def wait_for(self, name):
        """The socket listens since before the server's start, so this asks and waits for the answer."""
        _, _, address, port = self.configs[name]
        connection = http.client.HTTPConnection(address, port, timeout=60)
        try:
            connection.request("GET", "/healthcheck")
            status = connection.getresponse().status
        except OSError as error:
            raise RuntimeError(f"Swift's {name} does not answer: {error}\n{self.log(name)}") from error
        finally:
            connection.close()
        if status != 200:
            raise RuntimeError(f"Swift's {name} is not healthy: {status}\n{self.log(name)}")

    # How it is set up.

    def lay_out(self):
        for name in ("conf", "log", "recon"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        self.data = choose_data_directory(self.directory)
        for node in range(1, self.nodes + 1):
            for device in self.device_names():
                (self.devices(node) / device).mkdir(parents=True)
        (self.swift_dir / "swift.conf").write_text(
            SWIFT_CONF + (LAST_NODE_POLICY if self.last_node_policy else ""))

    def device_names(self):
        return DEVICES if self.nodes == 1 else DEVICES[:1]

    def own_log(self, name):
        return open(self.directory / "log" / f"{name}.log", "ab")

    def start_memcached(self):
        """On a port of its own choosing, which it tells in a file."""
        told = self.directory / "memcached.port"
        told.unlink(missing_ok=True)
        with self.own_log("memcached") as log:
            self.memcached = subprocess.Popen(
                ["/usr/bin/memcached", "-l", "127.0.0.1", "-p", "-1", "-U", "0", "-m", "64", "-t",
                 "1", "-u", getpass.getuser()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={"PATH": PATH, "MEMCACHED_PORT_FILENAME": str(told)})
        deadline = time.monotonic() + 30
        while not told.exists():
            if self.memcached.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("memcached did not start: " + self.log("memcached"))
            time.sleep(0.005)
        self.memcached_port = int(told.read_text().split(":")[1])

    def command(self, **command):
        self.servers.stdin.write(json.dumps(command) + "\n")
        self.servers.stdin.flush()
        line = self.servers.stdout.readline()
        if not line:
            raise RuntimeError(f"Swift's servers: {command['do']} failed\n{self.log('servers')}")
        return json.loads(line)

    def bind_all(self):
        self.bound = set()
        for node in range(1, self.nodes + 1):
            for kind in KINDS:
                self.bind(f"{kind}-{node}", kind,
                          self.network.hosts[node - 1].address if self.network else f"127.0.0.{node}")
        self.bind("proxy", "proxy", self.network.address if self.network else "127.0.0.1")
        self.address = ":".join(map(str, self.configs["proxy"][2:]))

    def namespace(self, name):
        """Where the server of that name lives, if not here."""
        number = name.partition("-")[2]
        return self.network.hosts[int(number) - 1].namespace if self.network and number else None

    def bind(self, name, kind, address):
        port = self.command(do="bind", name=name, address=address, port=0, namespace=self.namespace(name))["port"]
        self.bound.add(name)
        self.configs[name] = (kind, self.swift_dir / f"{name}.conf", address, port)

    def common(self, name):
        _, _, address, port = self.configs[name]
        return {"bind_ip": address, "bind_port": port, "swift_dir": self.swift_dir, "workers": 0,
                "log_name": name, "log_level": "INFO", "max_clients": 1024,
                "user": getpass.getuser()}

    def write_configs(self):
        for name, (kind, file, _, _) in self.configs.items():
            sections = self.proxy_config() if kind == "proxy" else self.storage_config(name, kind)
            file.write_text(ini(sections))

    def storage_config(self, name, kind):
        node = int(name.rsplit("-", 1)[1])
        return {
            "DEFAULT": {**self.common(name), "devices": self.devices(node), "mount_check": "false",
                        "disable_fallocate": "true", "fallocate_reserve": 0,
                        "recon_cache_path": self.directory / "recon"},
            "pipeline:main": {"pipeline": f"healthcheck {kind}-server"},
            f"app:{kind}-server": {"use": f"egg:swift#{kind}"},
            "filter:healthcheck": {"use": "egg:swift#healthcheck"},
            # For the daemons that a test runs once; ssync needs no rsync.
            "object-replicator": {"sync_method": "ssync"},
            **{section: {} for section in ("object-reconstructor", "object-updater",
                                           "container-replicator", "container-updater",
                                           "account-replicator")}}

    def proxy_config(self):
        filters = PIPELINE + (ENCRYPTION if self.encryption else ())
        if self.keystone is not None:
            filters = tuple({"tempauth": "authtoken"}.get(name, name) for name in filters if name != "s3api")
            filters = filters[:filters.index("authtoken") + 1] + ("keystoneauth",) + \
                filters[filters.index("authtoken") + 1:]
        settings = {
            "cache": {"memcache_servers": f"127.0.0.1:{self.memcached_port}"},
            "domain_remap": {"storage_domain": "example.net"},
            "s3api": {"s3_acl": "no"},
            "tempauth": {"token_life": 86400, "reseller_prefix": "AUTH, SERVICE",
                         "SERVICE_require_group": "service", **users()},
            "versioned_writes": {"allow_versioned_writes": "true", "allow_object_versioning": "true"},
            "keymaster": {"encryption_root_secret": "emVyb2Nsb3VkLXRlc3RzLXplcm9jbG91ZC10ZXN0cy16ZXJv"}}
        sections = {
            "DEFAULT": {**self.common("proxy"), "expose_info": "true", **self.proxy_settings},
            "pipeline:main": {
                "pipeline": " ".join((*filters, "proxy-logging", "proxy-server"))},
            "app:proxy-server": {
                "use": "egg:swift#proxy", "allow_account_management": "true",
                "account_autocreate": "true",
                # Swift's own are too tight for a loaded machine: a storage server that was slow
                # would be left out for a minute. Where hosts are cut off on purpose, that is waited for often.
                "conn_timeout": 3 if self.network else 5, "node_timeout": 60, "error_suppression_interval": 2}}
        for name in filters:
            entry = ENTRY_POINTS.get(name, name.replace("-", "_"))
            sections[f"filter:{name}"] = {"use": f"egg:swift#{entry}", **settings.get(name, {})}
        if self.keystone is not None:
            sections["filter:authtoken"] = self.keystone_settings()
            sections["filter:keystoneauth"] |= {"operator_roles": "admin, swiftoperator"}
        return sections

    def keystone_settings(self):
        return {"paste.filter_factory": "keystonemiddleware.auth_token:filter_factory",
                "www_authenticate_uri": self.keystone.url, "auth_url": self.keystone.url,
                "auth_type": "password", "project_domain_id": "default", "user_domain_id": "default",
                "project_name": "service", "username": "swift", "password": SERVICE_PASSWORD,
                # What has no token is left to the filters behind: temporary URLs, public containers.
                "delay_auth_decision": "true", "cache": "swift.cache", "include_service_catalog": "false"}

    def make_rings(self):
        rings = {"object": ("object", self.replicas, self.device_names()),
                 "object-1": ("object", 4, self.device_names()),
                 "container": ("container", min(self.replicas, 3), DEVICES[:1]),
                 "account": ("account", min(self.replicas, 3), DEVICES[:1])}
        if self.nodes == 1:
            rings["object"] = ("object", 1, DEVICES[:1])
        if self.last_node_policy:
            rings["object-2"] = ("object", 1, DEVICES[:1])
        for ring, (kind, count, devices) in rings.items():
            members = []
            for node in range(self.nodes if ring == "object-2" else 1, self.nodes + 1):
                _, _, address, port = self.configs[f"{kind}-{node}"]
                members += [{"zone": node, "ip": address, "port": port, "device": device}
                            for device in devices]
            self.command(do="ring", file=str(self.swift_dir / f"{ring}.ring.gz"),
                         part_power=PART_POWER, replicas=count, devices=members)


def main():
    """Runs a cluster until standard input ends; for quickstart.sh, and for trying things by hand. Prints
    its URL, where its configuration is, and the devices of its first node, a line each."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("nodes", type=int, nargs="?", default=1, choices=(1, 4))
    parser.add_argument("--directory", type=pathlib.Path, help="for its files; default: a new one, removed")
    options = parser.parse_args()
    with SwiftCluster(nodes=options.nodes, directory=options.directory) as cluster:
        print(cluster.url, cluster.swift_dir, cluster.devices(), sep="\n", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
