"""What an operator does with a service in front: TLS on both sides, several upstreams, a balancer
before it, and new settings while it runs."""

import http.client
import json
import pathlib
import queue
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
import unittest
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from framework.service import ACCOUNT, KEY, PATH, PROGRAM, USER, Service, ServiceTest  # noqa: E402


def as_ini(config):
    """{"upstream": ..., "server": {...}} as a configuration file; what is in no section is in [zerocloud]."""
    top = {key: value for key, value in config.items() if not isinstance(value, dict)}
    sections = {"zerocloud": top} | {key: value for key, value in config.items() if isinstance(value, dict)}
    return "".join(f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in section.items())
                   for name, section in sections.items())


def make_certificate(directory, name):
    """A self-signed certificate for 127.0.0.1; returns the paths of it and of its key."""
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj",
                    f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"],
                   check=True, capture_output=True, env={"PATH": PATH})
    return certificate, key


class FrontTest(ServiceTest):
    """A store, and a service before it whose configuration is self.config."""

    def setUp(self):
        self.config = {}
        super().setUp()

    def make_service(self):
        (self.directory / "behind").mkdir()
        self.store = self.start_store(self.directory / "behind")
        self.config["upstream"] = self.store.url
        return Service(self.directory, arguments=self.front_arguments())

    def start_store(self, directory, settings=()):
        store = Service(directory, arguments=["--store", str(directory / "store"),
                                              "--user", f"{USER}:{KEY}:admin"], settings=settings)
        self.addCleanup(lambda: store.stop(signal.SIGKILL))
        return store.start()

    def front_arguments(self):
        self.write_config()
        return ["--config", str(self.directory / "zerocloud.conf")]

    def write_config(self):
        (self.directory / "zerocloud.conf").write_text(as_ini(self.config))

    def reload(self, **changes):
        """Writes the configuration with changes and has it read."""
        for section, values in changes.items():
            if isinstance(values, dict):
                self.config.setdefault(section, {}).update(values)
            else:
                self.config[section] = values
        self.write_config()
        self.service.process.send_signal(signal.SIGHUP)


class Tls(FrontTest):
    def make_service(self):
        self.certificate, self.key = make_certificate(self.directory, "front")
        behind = self.directory / "behind"
        behind.mkdir()
        authority, key = make_certificate(self.directory, "behind")
        self.store = self.start_store(behind, settings=(f"server.tls_certificate={authority}",
                                                        f"server.tls_key={key}"))
        self.config = {"upstream": f"https://{self.store.address}",
                       "proxy": {"tls_authorities": str(authority)},
                       "server": {"tls_certificate": str(self.certificate), "tls_key": str(self.key)}}
        return Service(self.directory, arguments=self.front_arguments())

    def context(self, certificate=None):
        return ssl.create_default_context(cafile=str(certificate or self.certificate))

    def ask(self, method, target, body=None, headers=None, context=None):
        connection = http.client.HTTPSConnection("127.0.0.1", self.service.port, timeout=60,
                                                 context=context or self.context())
        try:
            connection.request(method, target, body, headers or {})
            response = connection.getresponse()
            response.body = response.read()
            return response
        finally:
            connection.close()

    def test_both_sides_at_once(self):
        token = self.ask("GET", "/auth/v1.0",
                         headers={"X-Auth-User": USER, "X-Auth-Key": KEY}).headers["X-Auth-Token"]
        headers = {"X-Auth-Token": token}
        body = bytes(range(256)) * 20_000
        self.assertEqual(self.ask("PUT", f"/v1/{ACCOUNT}/c", b"", headers).status, 201)
        for _ in range(3):
            self.assertEqual(self.ask("PUT", f"/v1/{ACCOUNT}/c/o", body, headers).status, 201)
            self.assertTrue(self.ask("GET", f"/v1/{ACCOUNT}/c/o", None, headers).body == body)
        self.assertIn("zerocloud", json.loads(self.ask("GET", "/info").body))  # by libcurl

    def test_speaks_no_plain_http_and_no_old_tls(self):
        with self.service.connect() as peer:
            peer.sendall(b"GET /healthcheck HTTP/1.1\r\n\r\n")
            self.assertNotIn(b"HTTP/1.1", peer.recv(1000))
        context = self.context()
        with warnings.catch_warnings(action="ignore"):
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaises(OSError):
            self.ask("GET", "/healthcheck", context=context)

    def test_an_upstream_that_nobody_vouches_for_is_not_used(self):
        self.reload(proxy={"tls_authorities": str(self.certificate)})
        self.wait_until(lambda: self.ask("GET", "/healthcheck").status == 502)

    def test_a_new_certificate_is_shown_after_a_reload(self):
        certificate, key = make_certificate(self.directory, "renewed")
        self.key.write_bytes(key.read_bytes())
        self.certificate.write_bytes(certificate.read_bytes())
        old_context = self.context(certificate)
        self.service.process.send_signal(signal.SIGHUP)

        def is_new():
            try:
                return self.ask("GET", "/healthcheck", context=old_context).status == 200
            except ssl.SSLError:
                return False
        self.wait_until(is_new)


class Reload(FrontTest):
    def test_new_limits_hold_and_old_connections_live(self):
        kept = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=60)
        kept.request("GET", "/healthcheck")
        self.assertEqual(kept.getresponse().read(), b"OK")
        self.reload(server={"request_line_bytes": 256})
        long = "/healthcheck?" + "x" * 300
        self.wait_until(lambda: self.service.request("GET", long, authenticated=False).status == 414)
        kept.request("GET", "/healthcheck")
        self.assertEqual(kept.getresponse().read(), b"OK")
        kept.close()

    def test_a_wrong_configuration_changes_nothing(self):
        for wrong in ("[server]\nthreads = many\n", "nonsense", "[zerocloud]\nupstream = ftp://x\n",
                      "[zerocloud]\nupstream = http://127.0.0.1:1\n[server]\ntls_certificate = /none\n",
                      "[zerocloud]\nstore = /somewhere\n"):
            log = (self.directory / "log").stat().st_size
            (self.directory / "zerocloud.conf").write_text(wrong)
            self.service.process.send_signal(signal.SIGHUP)
            self.wait_until(lambda size=log: (self.directory / "log").stat().st_size > size)
            self.assertEqual(self.service.request("GET", "/healthcheck", authenticated=False).status, 200)


class SeveralUpstreams(FrontTest):
    def make_service(self):
        service = super().make_service()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            dead = listening.getsockname()[1]
        self.config["upstream"] = f"http://127.0.0.1:{dead}, {self.store.url}"
        self.write_config()
        return service

    def test_requests_and_jobs_go_to_the_one_that_lives(self):
        for _ in range(10):
            self.assertEqual(self.service.request("GET", "/healthcheck", authenticated=False).body, b"OK")
        self.assertIn("swift", json.loads(self.service.request("GET", "/info").body))

    def test_all_dead_is_502_and_the_service_recovers(self):
        self.store.stop(signal.SIGKILL)
        response = self.service.request("GET", "/healthcheck", authenticated=False)
        self.assertEqual(response.status, 502)
        self.assertIn("X-Trans-Id", response.headers)
        again = self.start_store(self.directory / "behind")
        self.reload(upstream=again.url)
        self.wait_until(lambda: self.service.request("GET", "/healthcheck",
                                                     authenticated=False).status == 200)


class Balancer(FrontTest):
    def setUp(self):
        super().setUp()
        self.reload(server={"proxy_protocol": 1})

        def is_expected():
            try:
                return self.service.request("GET", "/healthcheck", authenticated=False).status == 0
            except (http.client.HTTPException, OSError):
                return True
        self.wait_until(is_expected)

    def test_the_log_names_the_client(self):
        with self.service.connect() as peer:
            peer.sendall(b"PROXY TCP4 192.0.2.9 127.0.0.1 5 6\r\nGET /healthcheck HTTP/1.1\r\n\r\n")
            self.assertIn(b"200 OK", peer.recv(1000))
        self.wait_until(lambda: '"remote": "192.0.2.9"' in (self.directory / "log").read_text())


class LargeBodies(ServiceTest):
    """As large as Swift takes them, counted at both ends, before a back end that stores nothing."""

    SIZE = 5 * 2**30

    def make_service(self):
        programs = pathlib.Path(PROGRAM).parent
        self.load = programs / "http_load"
        self.origin = subprocess.Popen([programs / "http_origin"], stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end_origin)
        port = int(self.origin.stdout.readline())
        return Service(self.directory, arguments=["--upstream", f"http://127.0.0.1:{port}"])

    def end_origin(self):
        self.origin.kill()
        self.origin.wait()
        self.origin.stdout.close()

    def test_stream_in_memory_that_does_not_grow(self):
        for method, target, sent in (("GET", f"/{self.SIZE}", 0), ("PUT", "/o", self.SIZE)):
            done = subprocess.run([self.load, str(self.service.port), method, target, "1", "0", str(sent)],
                                  capture_output=True, timeout=280, check=True)
            figures = json.loads(done.stdout)
            self.assertEqual((figures["requests"], figures["failures"], figures["bytes"]), (1, 0, self.SIZE))
        for counted in (f'"bytes_in": {self.SIZE}', f'"bytes_out": {self.SIZE}'):
            self.wait_until(lambda counted=counted: counted in (self.directory / "log").read_text())
        peak = pathlib.Path(f"/proc/{self.service.process.pid}/status").read_text()
        self.assertLess(int(peak.split("VmHWM:")[1].split()[0]), 100_000)  # KiB


class EveryByte(ServiceTest):
    """Of bodies as large as Swift takes them: at its place, beyond 4 GiB too, of known length and in chunks."""

    SIZE = 5 * 2**30
    PERIOD = 1_000_003  # no multiple of any buffer
    PIECE = 2**20

    def make_service(self):
        self.pattern = memoryview(random.Random(5).randbytes(self.PERIOD) * 3)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listener.close)
        self.taken = queue.SimpleQueue()
        threading.Thread(target=self.serve, daemon=True).start()
        return Service(self.directory, arguments=["--upstream", f"http://127.0.0.1:{self.listener.getsockname()[1]}"])

    def expected(self, at, size):
        return self.pattern[at % self.PERIOD:at % self.PERIOD + size]

    def pieces(self):
        for at in range(0, self.SIZE, self.PIECE):
            yield self.expected(at, min(self.PIECE, self.SIZE - at))

    def take(self, file, at, size):
        """That many bytes of the body from `at`; the next place."""
        buffer = memoryview(bytearray(min(size, self.PIECE)))
        end = at + size
        while at < end:
            got = file.readinto(buffer[:end - at])
            if got == 0 or buffer[:got] != self.expected(at, got):
                raise ValueError(f"{got} bytes at {at} are others")
            at += got
        return at

    def serve(self):
        """One download, then one upload."""
        connection, _ = self.listener.accept()
        with connection, connection.makefile("rb", self.PIECE) as file:
            while file.readline() != b"\r\n":
                pass
            connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {self.SIZE}\r\n\r\n".encode())
            for piece in self.pieces():
                connection.sendall(piece)
            while file.readline() != b"\r\n":
                pass
            try:
                self.taken.put(self.take_chunks(file))
            except ValueError as error:
                self.taken.put(error)
            connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    def take_chunks(self, file):
        at = 0
        while size := int(file.readline(), 16):
            at = self.take(file, at, size)
            file.readline()
        file.readline()
        return at

    def test_arrives_at_its_place(self):
        client = self.service.connect()
        file = client.makefile("rb", self.PIECE)
        client.sendall(b"GET /o HTTP/1.1\r\n\r\n")
        self.assertIn(b" 200 ", file.readline())
        while file.readline() != b"\r\n":
            pass
        self.assertEqual(self.take(file, 0, self.SIZE), self.SIZE)
        client.sendall(b"PUT /o HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in self.pieces():
            client.sendall(f"{len(piece):x}\r\n".encode())
            client.sendall(piece)
            client.sendall(b"\r\n")
        client.sendall(b"0\r\n\r\n")
        self.assertEqual(self.taken.get(timeout=60), self.SIZE)
        self.assertIn(b" 201 ", file.readline())
        file.close()
        client.close()


class Drain(FrontTest):
    def test_a_stopping_service_lets_transfers_end(self):
        body = bytes(3_000_000)
        headers = {"X-Auth-Token": self.service.token()}
        self.put("c", b"")
        upload = socket.create_connection(("127.0.0.1", self.service.port), timeout=60)
        upload.sendall((f"PUT /v1/{ACCOUNT}/c/o HTTP/1.1\r\nX-Auth-Token: {headers['X-Auth-Token']}\r\n"
                        f"Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n").encode())
        self.assertIn(b"100 Continue", upload.recv(1000))
        self.service.process.send_signal(signal.SIGTERM)

        def is_closed():
            try:
                self.service.connect().close()
                return False
            except ConnectionRefusedError:
                return True
        self.wait_until(is_closed, describe=lambda: "")
        upload.sendall(body)
        answer = upload.recv(1000)
        self.assertIn(b"201 Created", answer)
        self.assertIn(b"Connection: close", answer)
        upload.close()
        self.assertEqual(self.service.process.wait(timeout=60), 0)
        self.assertEqual(self.store.request("HEAD", f"/v1/{ACCOUNT}/c/o").headers["Content-Length"],
                         str(len(body)))


if __name__ == "__main__":
    unittest.main(verbosity=2)
