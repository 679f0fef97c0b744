"""Jobs that must be refused before anything runs: bad requests, bad documents, things that are not
there or not allowed. A clear error each, and nothing left behind (framework/jobs.py)."""

import http.client
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from framework.jobs import JobTest, device, group  # noqa: E402
from framework.service import ACCOUNT  # noqa: E402

GOOD = [group("g", "pour", "8", ["stdout"])]


def with_group(**more):
    return [{**GOOD[0], **more}]


def with_exec(**more):
    return with_group(exec={"path": "swift://~/programs/pour", **more})


def with_device(**more):
    return with_group(devices=[more])


class Requests(JobTest):
    def send(self, method="POST", target=f"/v1/{ACCOUNT}", headers=None, body=json.dumps(GOOD).encode(),
             chunked=False, **more):
        given = {"X-Zerovm-Execute": "1.0", "Content-Type": "application/json", **(headers or {})}
        if chunked:
            given["Transfer-Encoding"] = "chunked"
            body = iter([body[:10], body[10:]])
        return self.service.request(method, target, body=body, chunked=chunked,
                                    headers={k: v for k, v in given.items() if v is not None}, **more)

    def test_only_post_runs_jobs(self):
        for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "COPY", "PATCH"):
            for target in (f"/v1/{ACCOUNT}", f"/v1/{ACCOUNT}/in/o"):
                response = self.send(method, target)
                self.assertEqual(response.status, 405, (method, target, response.body))
                self.assertEqual(response.headers["Allow"], "POST")
                if method != "HEAD":
                    self.assertIn(f"run by POST, not by {method}", response.body.decode())

    def test_other_versions_are_refused(self):
        for version in ("1.1", "2.0", "1", "", "open/1.0", "1.0, 1.0"):
            response = self.send(headers={"X-Zerovm-Execute": version})
            self.assertEqual(response.status, 400)
            self.assertIn("1.0 is the only one", response.body.decode())

    def test_other_bodies_are_refused(self):
        for kind, status in (("text/plain", 415), ("application/x-www-form-urlencoded", 415),
                             ("application/jsonx", 415), ("application/x-tar", 415), (None, 400)):
            response = self.send(headers={"Content-Type": kind})
            self.assertEqual(response.status, status, kind)
            self.assertIn("application/json", response.body.decode())
        self.assertEqual(self.send(headers={"Content-Type": "Application/JSON; charset=utf-8"}).status, 200)
        self.assertEqual(self.send(chunked=True).status, 200)

    def test_other_targets_are_refused(self):
        self.assertEqual(self.send(target=f"/v1/{ACCOUNT}/in").status, 400)
        for target in ("/", "/v1", "/v1/", "/v2/a", "/info", "/auth/v1.0", "/healthcheck", "/v1/%00/a/b"):
            self.assertIn(self.send(target=target).status, (400, 404, 412), target)

    def test_without_the_header_a_post_is_swifts(self):
        response = self.send(headers={"X-Zerovm-Execute": None, "X-Account-Meta-A": "b"})
        self.assertEqual(response.status, 204)

    def test_no_token_is_401(self):
        for headers in ({}, {"X-Auth-Token": "wrong"}, {"X-Auth-Token": ""}):
            response = self.send(headers=headers, authenticated=False)
            self.assertEqual(response.status, 401)
            self.assertIn("WWW-Authenticate", response.headers)

    def test_another_account_is_403(self):
        self.assertEqual(self.send(target="/v1/AUTH_other").status, 403)
        # Nor may somebody who does not own the account, though he may read its programs.
        self.service.request("POST", f"/v1/{ACCOUNT}/programs", headers={"X-Container-Read": "*:*"})
        token = self.service.token("test:guest", "guest")
        response = self.send(headers={"X-Auth-Token": token})
        self.assertEqual(response.status, 403)
        self.assertIn("admin of that account", response.body.decode())

    def test_a_body_above_the_bound_is_413_before_it_is_sent(self):
        token = self.service.token()
        with self.service.connect() as peer:
            peer.sendall((f"POST /v1/{ACCOUNT} HTTP/1.1\r\nX-Auth-Token: {token}\r\nExpect: 100-continue\r\n"
                          "X-Zerovm-Execute: 1.0\r\nContent-Type: application/json\r\n"
                          "Content-Length: 1048577\r\n\r\n").encode())
            answer = http.client.HTTPResponse(peer)
            answer.begin()
            self.assertEqual(answer.status, 413)
            self.assertIn("document_bytes is 1048576", answer.read().decode())
        response = self.send(body=b"[" + b" " * 1_048_575 + b"]", chunked=True)
        self.assertEqual(response.status, 413)
        self.assertIn(b"document_bytes is 1048576", response.body)
        # At the bound it is read.
        body = json.dumps(GOOD).encode()
        self.assertEqual(self.send(body=body + b" " * (1_048_576 - len(body))).status, 200)

    def test_a_body_cut_in_the_middle_runs_nothing(self):
        token = self.service.token()
        body = json.dumps([group("g", "pour", "8", [device("stdout", "out/o")])]).encode()
        for length in (len(body) + 1, 100_000):
            with self.service.connect() as peer:
                peer.sendall((f"POST /v1/{ACCOUNT} HTTP/1.1\r\nX-Auth-Token: {token}\r\n"
                              "X-Zerovm-Execute: 1.0\r\nContent-Type: application/json\r\n"
                              f"Content-Length: {length}\r\n\r\n").encode() + body)
        self.quiet_files()
        self.assertEqual(self.names("out"), [])


class Documents(JobTest):
    def refuse_each(self, cases, status=400):
        for document, *sentences in cases:
            with self.subTest(document=str(document)[:200]):
                self.refuse(document, status, *sentences)
                answer = json.loads(self.refuse(document, status,
                                                headers={"Accept": "application/json"}).body)
                self.assertEqual(answer["error"]["code"],
                                 {400: "invalid", 413: "limit_exceeded"}[status])

    def test_what_is_no_json_is_refused_with_its_place(self):
        good = json.dumps(GOOD).encode()
        self.refuse_each([
            (b"", "the job: this is not JSON", "At byte 0"),
            (b"   ", "the job: this is not JSON"),
            (good[:-1], "the job: this is not JSON", f"At byte {len(good) - 1}"),
            (good[:20], "the job: this is not JSON"),
            (good + b"x", "the job: this is not JSON", f"At byte {len(good)}"),
            (good.replace(b"pour", b"\xff\xfe"), "the job: this is not JSON", "encoding"),
            (good.replace(b"pour", b"\xc0\x80"), "the job: this is not JSON"),
            (good.replace(b"pour", b"\xed\xa0\x80"), "the job: this is not JSON"),
            (good.replace(b"pour", b"\\ud800"), "the job: this is not JSON"),
            (good.replace(b"pour", b"a\nb"), "the job: this is not JSON"),
            (b"[1e999]", "the job: this is not JSON"),
            (b"[NaN]", "the job: this is not JSON"),
            (b"\x00" * 1000, "the job: this is not JSON"),
            (b"{'name': 'g'}", "the job: this is not JSON"),
        ])

    def test_deep_json_is_refused(self):
        deep = 524_000
        self.refuse_each([
            (b"[" * 1_000_000, "document_depth is 16"),
            (b"[" * deep + b"]" * deep, "document_depth is 16"),
            (b'{"a":' * 150_000 + b"1" + b"}" * 150_000, "document_depth is 16"),
            (b"[" * 17 + b"]" * 17, "document_depth is 16"),
        ], status=413)

    def test_wide_json_is_refused(self):
        self.refuse_each([(b"[" + b",".join([b"1"] * 500_000) + b"]", "groups is 100")], status=413)
        keys = b",".join(b'"k%d":1' % i for i in range(80_000))
        self.refuse_each([(b"[{" + keys + b"}]", "/0/k0: a group has no such key")])

    def test_wrong_types_are_refused_with_a_pointer(self):
        wrong = (None, True, 1, 1.5, -1, {}, [], [[]])
        cases = [(json.dumps(value).encode(), "the job: ") for value in (None, True, 1, "x", {}, [])]
        cases += [([value], "/0: a group is an object") for value in (None, True, 1, "x", [])]
        for value in (*wrong, ""):
            cases.append((with_group(name=value), "/0/name: "))
            if value != {}:
                cases.append((with_group(exec=value), "/0/exec: "))
            cases.append((with_exec(path=value), "/0/exec/path: "))
            cases.append((with_exec(name=value), "/0/exec/name: "))
            cases.append((with_device(name=value), "/0/devices/0/name: "))
            cases.append((with_device(name="stdout", content_type=value), "/0/devices/0/content_type: "))
            if value != {}:
                cases.append((with_exec(env=value), "/0/exec/env: "))
            if value not in ([], [[]]):
                cases.append((with_group(devices=value), "/0/devices: "))
                cases.append((with_group(connect=value), "/0/connect: "))
        for value in (None, True, 0, -1, 1.5, "2", {}, []):
            cases.append((with_group(count=value), "/0/count: "))
            cases.append((with_group(memory=value), "/0/memory: "))
        for value in (None, True, 0, -1, "2", {}, []):
            cases.append((with_group(timeout=value), "/0/timeout: "))
        for value in (None, True, 1, {}):
            cases.append((with_exec(args=value), "/0/exec/args: "))
        cases += [(with_exec(args=["a", 1]), "/0/exec/args/1: "),
                  (with_exec(env={"A": 1}), "/0/exec/env/A: "),
                  (with_group(connect=[1]), "/0/connect/0: "),
                  (with_group(devices=["stdout"]), "/0/devices/0: "),
                  ([{}], "/0/name: this key is required"),
                  ([{"name": "g"}], "/0/exec: this key is required"),
                  ([{"name": "g", "exec": {}}], "/0/exec/path: this key is required")]
        self.refuse_each(cases)

    def test_unknown_and_old_keys_are_refused_with_a_pointer(self):
        self.refuse_each([
            (with_group(nmae="x"), "/0/nmae: a group has no such key; it has name, exec"),
            (with_group(**{"a/b~c": 1}), "/0/a~1b~0c: "),
            (with_exec(arg="x"), "/0/exec/arg: "),
            (with_device(name="stdout", pth="x"), "/0/devices/0/pth: "),
            (with_device(name="python"), "/0/devices/0/name: there is no device \"python\""),
            (with_group(file_list=[]), "/0/file_list: this key is called devices"),
            (with_group(replicate=3), "/0/replicate: "),
            (with_exec(path="file://python:bin/python"), "/0/exec/path: ", "swift://"),
            (with_device(name="stdout", path="zvm://other:/dev/stdin"), "/0/devices/0/path: ", "connect"),
        ])

    def test_duplicates_are_refused_with_a_pointer(self):
        twice = b'[{"name": "g", "name": "h", "exec": {"path": "swift://~/programs/pour"}}]'
        self.refuse_each([
            (twice, "/0/name: the key is given twice"),
            (GOOD + GOOD, "/1/name: /0 is called \"g\" already"),
            (with_group(devices=[{"name": "stdout"}, {"name": "stdout"}]), "/0/devices/1/name: "),
            (twice.replace(b'"name": "h", ', b"").replace(b"}}]", b', "env": {"A": "1", "A": "2"}}}]'),
             "/0/exec/env/A: "),
            ([group("a", "pour", connect=["b", "b"]), group("b", "pour")], "/0/connect/1: "),
            # g-1 of the group g and the group g-1.
            ([group("g", "pour", count=2), group("g-1", "pour")], "/1/name: ", "g-1"),
        ])

    def test_hostile_names_are_refused_with_a_pointer(self):
        cases = [(with_group(name=name), "/0/name: ")
                 for name in ("a\0b", "a\nb", "a/b", "..", ".", "a,b", "\x7f", "\x1b[2J")]
        cases += [(with_exec(path=f"swift://~/programs/{bad}"), "/0/exec/path: ") for bad in ("a\0b", "*", "")]
        cases += [(with_exec(path=bad), "/0/exec/path: ") for bad in
                  ("swift://", "swift://a", "swift://a/b", "swift:///b/c", "/programs/pour", "pour",
                   "http://a/b/c", "swift://a\nb/c/d", "swift://*/b/c")]
        cases += [(with_device(name="stdin", path="swift://~/in\0/o"), "/0/devices/0/path: "),
                  (with_exec(args="a\0b"), "/0/exec/args: "),
                  (with_exec(args=["a\0b"]), "/0/exec/args/0: "),
                  (with_exec(args='"open'), "/0/exec/args: "),
                  (with_exec(args="\\x0"), "/0/exec/args: "),
                  (with_exec(args="\\x00"), "/0/exec/args: "),
                  (with_exec(env={"A\0": "b"}), "/0/exec/env/A"),
                  (with_exec(env={"A=B": "b"}), "/0/exec/env/A=B: "),
                  (with_exec(env={"": "b"}), "/0/exec/env/: "),
                  (with_exec(env={"A": "b\0"}), "/0/exec/env/A: "),
                  (with_device(name="stdout", path="swift://~/out/o", meta={"a:b": "c"}), "/meta/a:b: "),
                  (with_device(name="stdout", path="swift://~/out/o", meta={"a": "b\r\nc: d"}), "/meta/a: "),
                  (with_device(name="stdout", content_type="text/html\r\nX: y"), "/content_type: "),
                  (with_device(name="stdin", meta={}), "/0/devices/0/meta: ")]
        self.refuse_each(cases)

    def test_numbers_above_the_bounds_name_them(self):
        def many(count):
            return [group(f"g{i}", "pour") for i in range(count)]
        self.refuse_each([
            (many(101), "groups is 100"),
            (with_group(count=20_001), "/0/count", "sessions is 20000"),
            (with_group(count=2 ** 63), "/0/count", "sessions is 20000"),
            ([group("a", "pour", count=15_000), group("b", "pour", count=15_000)], "/1", "sessions is 20000"),
            ([group("a", "pour", count=1000, connect=["b"]), group("b", "pour", count=1000)],
             "/0/connect/0", "connections is 200000"),
            ([group("a", "pour", count=10_901, connect=["b"]), group("b", "pour")],
             "/1", "channels_per_session is 10900"),
            ([group("a", "pour", count=65, connect=["a"])], "/0", "gang_sessions is 64"),
            (with_group(timeout=3601), "/0/timeout", "timeout_seconds is 3600"),
            (with_group(timeout=1e300), "/0/timeout", "timeout_seconds is 3600"),
            (with_group(memory=2 ** 40), "/0/memory", "memory_bytes is 1073741824"),
            (with_group(name="n" * 65), "/0/name", "name_bytes is 64"),
            (with_exec(path="swift://~/programs/" + "p" * 4096), "/0/exec/path", "url_bytes is 4096"),
            (with_exec(args="a" * 4097), "/0/exec/args", "args_bytes is 4096"),
            (with_exec(env={f"V{i}": "" for i in range(65)}), "/0/exec/env", "env_entries is 64"),
            (with_exec(env={"V": "x" * 12_000}), "/0", "nvram_bytes is 10240"),
            (with_device(name="stdout", path="swift://~/out/o", meta={f"m{i}": "" for i in range(91)}),
             "/0/devices/0/meta", "metadata_entries is 90"),
            (with_device(name="stdout", path="swift://~/out/o", meta={"m": "x" * 4097}),
             "/0/devices/0/meta", "metadata_bytes is 4096"),
        ], status=413)
        self.assertEqual(self.names("out"), [])

    def test_info_shows_every_bound_that_a_refusal_names(self):
        limits = json.loads(self.service.request("GET", "/info").body)["zerocloud"]["limits"]
        for name, value in {"groups": 100, "sessions": 20_000, "gang_sessions": 64, "document_bytes": 1_048_576,
                            "document_depth": 16, "response_bytes": 2 ** 30, "timeout_seconds": 3600,
                            "connections": 200_000, "channels_per_session": 10_900}.items():
            self.assertEqual(limits[name], value)

    def test_connections_must_make_sense(self):
        self.refuse_each([
            (with_group(connect=["nobody"]), "/0/connect/0: there is no group \"nobody\""),
            (with_group(connect=["g"]), "/0/connect/0: ", "one session"),
        ])

    def test_wildcards_must_make_sense(self):
        self.put("in/a", b"")
        self.put("in/b", b"")
        self.refuse_each([
            (with_group(devices=[device("stdin", "in/nothing*")]),
             f"/0/devices/0/path: no object matches swift://{ACCOUNT}/in/nothing*"),
            (with_group(devices=[device("stdin", "noth*/*")]), "/0/devices/0/path: no object matches"),
            (with_group(devices=[device("stdin", "in/*"), device("input", "in/*")]), "/0/devices/1/path: "),
            (with_group(devices=[device("stdin", "in/*")], count=2), "/0/count: "),
            (with_group(devices=[device("stdin", "in/*"), device("stdout", "out/*/*")]),
             "/0/devices/1/path: there are more * here"),
            (with_group(devices=[device("stdout", "out/o")], count=2), "/0/devices/0/path: one path for 2"),
            (with_device(name="input"), "/0/devices/0: input has no path"),
        ])

    def test_outputs_that_collide_are_refused(self):
        self.fill(**{"ab-c": b"", "ab-d": b""})
        self.refuse_each([
            (with_group(devices=[device("stdout", "out/o"), device("output", "out/o")]),
             "/0/devices/1/path: ", "written twice"),
            ([group("a", "pour", devices=[device("stdout", "out/o")]),
              group("b", "pour", devices=[device("stdout", "out/o")])], "/1/devices/0/path: ", "written twice"),
            (with_group(devices=[device("stdin", "in/*-*"), device("stdout", "out/*")]), "written twice"),
        ])
        self.assertEqual(self.names("out"), [])


class ThingsThatAreNotThere(JobTest):
    def test_what_is_missing_is_named_and_nothing_runs(self):
        other = "swift://AUTH_other/private/o"
        good = {"path": "swift://~/programs/pour"}
        for document, status, *sentences in (
                ([{"name": "g", "exec": {"path": "swift://~/programs/no"}}], 404, "/0/exec/path: "),
                ([{"name": "g", "exec": {"path": "swift://~/no/no"}}], 404, "/0/exec/path: "),
                ([{"name": "g", "exec": {"path": other}}], 403, "/0/exec/path: "),
                (with_group(devices=[device("stdin", "in/no")]), 404, "/0/devices/0",
                 f"swift://{ACCOUNT}/in/no"),
                (with_group(devices=[device("stdin", "no/no")]), 404, "/0/devices/0"),
                (with_group(devices=[device("stdin", "no/*")]), 404, "/0/devices/0/path: "),
                ([{"name": "g", "exec": good, "devices": [{"name": "stdin", "path": other}]}], 403,
                 "/0/devices/0"),
                ([{"name": "g", "exec": good, "devices": [{"name": "stdin", "path": other + "*"}]}], 403,
                 "/0/devices/0/path: "),
                ([{"name": "g", "exec": good, "devices": [{"name": "stdin", "path": "swift://AUTH_other/*/o"}]}],
                 403, "/0/devices/0/path: "),
                (with_group(devices=[device("stdout", "no/o")]), 404, "/0/devices/0/path: "),
                ([{"name": "g", "exec": good, "devices": [{"name": "stdout", "path": other}]}], 403,
                 "/0/devices/0/path: ")):
            with self.subTest(document=str(document)):
                # Beside a session that would work: it must not have run, or not have stored.
                self.refuse([group("ok", "pour", "8", [device("stdout", "out/o")]), *[
                    {**each, "name": "bad"} for each in document]], status,
                    *(sentence.replace("/0/", "/1/", 1) for sentence in sentences))
                self.assertEqual(self.names("out"), [])

    def test_a_job_posted_to_a_missing_object_is_404(self):
        self.refuse([group("g", "copy", "- -", ["stdin", "stdout"])], 404, f"swift://{ACCOUNT}/in/no",
                    target=f"/v1/{ACCOUNT}/in/no")


class AnotherAccount(JobTest):
    """What a job may do in an account of somebody else is what that account grants its caller."""

    def make_service(self):
        service = super().make_service()
        service.arguments += ["--user", "lender:owner:lending:admin"]
        return service

    def lend(self, path, body=None, **headers):
        token = self.service.token("lender:owner", "lending")
        response = self.service.request("PUT", f"/v1/AUTH_lender/{path}", body, headers={
            "X-Auth-Token": token, **{name.replace("_", "-"): value for name, value in headers.items()}})
        self.assertEqual(response.status // 100, 2, response.body)

    def test_grants_are_honoured(self):
        self.lend("c")
        self.lend("c/o", b"lent")
        def job(output):
            return [{"name": "g", "exec": {"path": "swift://~/programs/copy", "args": "- -"},
                     "devices": [{"name": "stdin", "path": "swift://AUTH_lender/c/o"},
                                 {"name": "stdout", "path": output}]}]
        theirs, ours = "swift://AUTH_lender/c/new", "swift://~/out/new"
        self.refuse(job(ours), 403, "/0/devices/0", "may not read container 'c'")
        self.lend("c", X_Container_Read="test:tester")
        self.succeed(job(ours))
        self.assertEqual(self.get("out/new").body, b"lent")
        self.refuse(job(theirs), 403, "/0/devices/1/path: ", "may not write to container 'c'")
        self.lend("c", X_Container_Read="test:tester", X_Container_Write="test:tester")
        self.succeed(job(theirs))
        token = self.service.token("lender:owner", "lending")
        got = self.service.request("GET", "/v1/AUTH_lender/c/new", headers={"X-Auth-Token": token})
        self.assertEqual(got.body, b"lent")


if __name__ == "__main__":
    unittest.main(verbosity=2)
