"""Jobs that succeed, through real clients: what sessions get, where their outputs go, and that many
of them share a small machine."""

import http.client
import json
import os
import pathlib
import re
import signal
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from framework.jobs import JobTest, device, group, is_alive, poured  # noqa: E402
from framework.service import ACCOUNT  # noqa: E402


class Inputs(JobTest):
    def test_a_wildcard_runs_one_session_per_object(self):
        self.fill(**{f"part-{i}.txt": f"text {i}".encode() for i in range(1, 6)})
        self.put("in/other", b"not this one")
        report = self.report([group("each", "copy", "- -", [device("stdin", "in/*.txt"), "stdout"])])
        self.assertEqual([session["name"] for session in report["sessions"]],
                         [f"each-{i}" for i in range(1, 6)])
        self.assertEqual(report["body"], "text 1text 2text 3text 4text 5")

    def test_a_wildcard_finds_names_of_every_kind(self):
        names = ("a", "a/b", "..", "50%", "söme name", "x\ny", "q*", "[1]")
        for name in names:
            quoted = "".join(f"%{byte:02X}" for byte in name.encode())
            self.put(f"in/{quoted}", f"<{name}>".encode())
        body = self.succeed([group("each", "copy", "- -", [device("stdin", "in/*"), "stdout"])])
        ordered = sorted(names, key=lambda name: name.encode())
        self.assertEqual(body.decode(), "".join(f"<{name}>" for name in ordered))

    def test_a_wildcard_in_the_container_finds_objects_of_several(self):
        for container in ("day-1", "day-2", "week-1"):
            self.put(container, b"")
            self.put(f"{container}/log", container.encode())
        body = self.succeed([group("each", "copy", "- -", [device("stdin", "day-*/lo*"), "stdout"])])
        self.assertEqual(body, b"day-1day-2")

    def test_outputs_take_the_names_of_inputs(self):
        self.fill(**{"a.txt": b"1", "b.txt": b"22", "sub/c.txt": b"333"})
        self.succeed([group("each", "copy", "/dev/input /dev/output", [
            device("input", "in/*.txt"),
            device("output", "out/copy-of-*.bin", content_type="text/x-copy", meta={"Made-By": "job"})])])
        self.assertEqual(self.names("out"), ["copy-of-a.bin", "copy-of-b.bin", "copy-of-sub/c.bin"])
        stored = self.get("out/copy-of-sub/c.bin")
        self.assertEqual(stored.body, b"333")
        self.assertEqual(stored.headers["Content-Type"], "text/x-copy")
        self.assertEqual(stored.headers["X-Object-Meta-Made-By"], "job")

    def test_count_runs_so_many_sessions_that_know_their_number(self):
        body = self.succeed([group("n", "show", devices=["stdout"], count=3)]).decode()
        for number in (1, 2, 3):
            self.assertIn(f"env SESSION_NAME=n-{number}\n", body)
            self.assertIn(f"env SESSION_NUMBER={number}\n", body)
        self.assertEqual(body.count("env SESSION_COUNT=3\n"), 3)
        self.succeed([group("n", "pour", "10", [device("stdout", "out/*")], count=3)])
        self.assertEqual(self.names("out"), ["n-1", "n-2", "n-3"])

    def test_arguments_and_environment_arrive(self):
        env = {"PLAIN": "value", "HARD": "a,b=\"c\" \\ # \t\n ü", "EMPTY": "",
               "SESSION_NAME": "a lie"}
        hard = ["two words", "", "com,ma", "quo\"te", "back\\slash", "#hash", "tab\there", "ü"]
        for args, expected in (('one "two words" \\x2c \\x41', ["one", "two words", ",", "A"]),
                               (hard, hard), ([], [])):
            body = self.succeed([group("g", "show", args, ["stdout"], env=env)]).decode()
            shown = re.findall(r"^arg \d+ (.*)$", body, re.M)
            self.assertEqual(shown, ["g", *expected])
            self.assertIn("env PLAIN=value\n", body)
            self.assertIn(f"env HARD={env['HARD']}\n", body)
            self.assertIn("env EMPTY=\n", body)
            self.assertIn("env SESSION_NAME=g\n", body)

    def test_thousands_of_arguments_arrive(self):
        args = [str(i % 10) for i in range(2048)]  # as many as args_bytes allows
        body = self.succeed([group("g", "show", args, ["stdout"])]).decode()
        self.assertEqual(re.findall(r"^arg [1-9]\d* (.*)$", body, re.M), args)

    def test_a_session_knows_its_object(self):
        self.put("in/known.txt", b"12345", {"Content-Type": "text/x-known"})
        body = self.succeed([group("g", "show", devices=[device("input", "in/kn*"), "stdout"])]).decode()
        for line in (f"LOCAL_PATH_INFO=/{ACCOUNT}/in/known.txt", "LOCAL_CONTENT_LENGTH=5",
                     "LOCAL_CONTENT_TYPE=text/x-known", "LOCAL_DOCUMENT_ROOT=/dev/input",
                     f"PATH_INFO=/{ACCOUNT}"):
            self.assertIn(f"env {line}\n", body)

    def test_a_job_posted_to_an_object_reads_it(self):
        self.put("in/data", b"the data")
        target = f"/v1/{ACCOUNT}/in/data"
        for arguments, name in (("- -", "stdin"), ("/dev/input -", "input")):
            body = self.succeed([group("g", "copy", arguments, [name, "stdout"])], target=target)
            self.assertEqual(body, b"the data")
        shown = self.succeed([group("g", "show", devices=["stdin", "stdout"])], target=target).decode()
        self.assertIn(f"env PATH_INFO=/{ACCOUNT}/in/data\n", shown)
        self.assertIn(f"env LOCAL_PATH_INFO=/{ACCOUNT}/in/data\n", shown)

    def test_an_empty_object_is_an_empty_input(self):
        self.put("in/empty", b"")
        body = self.succeed([group("g", "copy", "/dev/input -", [device("input", "in/empty"), "stdout"])])
        self.assertEqual(body, b"")


class Outputs(JobTest):
    def test_outputs_of_several_sessions_are_one_framed_body(self):
        # ZeroCloud summed the lengths wrongly as soon as there were two.
        self.fill(**{f"o{i:02}": os.urandom(i * 1000) for i in range(12)})
        expected = b"".join(self.get(f"in/o{i:02}").body for i in range(12))
        response = self.run_job([group("g", "copy", "- -", [device("stdin", "in/*"), "stdout"])])
        self.assertEqual(response.status, 200)
        self.assertEqual(response.headers.get_all("Content-Length"), [str(len(expected))])
        self.assertTrue(response.body == expected)

    def test_two_outputs_of_a_session_follow_each_other(self):
        body = self.succeed([group("a", "copy", "- - /dev/output", ["stdin", "stdout", "output"]),
                             group("b", "copy", "- -", ["stdin", "stdout"])],
                            target=self.with_object(b"x"))
        self.assertEqual(body, b"xxx")

    def with_object(self, body):
        self.put("in/o", body)
        return f"/v1/{ACCOUNT}/in/o"

    def test_an_empty_body_is_an_answer(self):
        for devices in (["stdout"], []):
            response = self.run_job([group("g", "pour", "0", devices)])
            self.assertEqual((response.status, response.headers["Content-Length"], response.body),
                             (200, "0", b""))

    def test_a_body_of_100_megabytes_arrives_whole(self):
        size = 100_000_001
        response = self.run_job([group("g", "pour", str(size), [
            {"name": "stdout", "content_type": "application/x-numbers"}])])
        self.assertEqual(response.status, 200)
        self.assertEqual(response.headers["Content-Length"], str(size))
        self.assertEqual(response.headers["Content-Type"], "application/x-numbers")
        self.assertTrue(response.body == poured(size))

    def test_headers_tell_the_truth(self):
        self.fill(a=b"1", b=b"22")
        response = self.run_job([group("g", "copy", "- -", [
            device("stdin", "in/*"), device("stdout", "out/*")])])
        headers = response.headers
        self.assertEqual(headers["X-Nexe-System"], "g-1,g-2")
        self.assertEqual(headers["X-Nexe-Status"], "ok,ok")
        self.assertEqual(headers["X-Nexe-Retcode"], "0,0")
        etags = [self.get(f"out/{name}").headers["ETag"].strip('"') for name in "ab"]
        self.assertEqual(headers["X-Nexe-Etag"], ",".join(f"/dev/stdout {etag}" for etag in etags))
        self.assertEqual(headers["X-Nexe-Sessions"], "2")
        # Per session: wall time, then ten numbers; the third of them is bytes read, the seventh written.
        items = headers["X-Nexe-Cdr-Line"].split(", ", 1)[1]
        self.assertEqual(len(re.findall(r"\d+\.\d+ \d+\.\d+( \d+){8}", items)), 2, items)

    def test_a_report_counts_what_sessions_moved(self):
        self.fill(a=b"x" * 1000)
        report = self.report([
            group("first", "copy", "- /dev/out/second", [device("stdin", "in/a")], connect=["second"]),
            group("second", "copy", "/dev/in/first - /dev/output",
                  ["stdout", device("output", "out/o")])])
        first, second = report["sessions"]
        self.assertEqual(first["network_out_bytes"], 1000)
        self.assertEqual(second["network_in_bytes"], 1000)
        self.assertEqual(second["out_bytes"], 2000)
        self.assertEqual(second["stored"], [{"device": "output", "path": f"swift://{ACCOUNT}/out/o",
                                             "bytes": 1000, "etag": self.etag("out/o")}])
        self.assertEqual(report["body"], "x" * 1000)
        for session in report["sessions"]:
            self.assertEqual((session["end"], session["exit"]), ("succeeded", 0))
            self.assertGreater(session["wall_us"], 0)

    def etag(self, path):
        return self.get(path).headers["ETag"].strip('"')

    def test_a_stored_output_replaces_the_object_at_once(self):
        self.put("out/o", b"old")
        self.put("in/o", b"new")
        self.succeed([group("g", "copy", "- -", [device("stdin", "in/o"), device("stdout", "out/o")])])
        self.assertEqual(self.get("out/o").body, b"new")
        # Even the object that is read.
        self.succeed([group("g", "copy", "- -", [device("stdin", "out/o"), device("stdout", "out/o")])])
        self.assertEqual(self.get("out/o").body, b"new")


class RealClients(JobTest):
    def test_swift_stores_and_curl_runs(self):
        (self.directory / "texts").mkdir()
        for i in range(3):
            (self.directory / "texts" / f"t{i}").write_text(f"text {i}\n")
        self.service.swift("upload", "text", "texts")
        self.service.swift("post", "result")
        job = self.directory / "job.json"
        job.write_text(json.dumps([
            group("map", "copy", "- /dev/out/reduce", [device("stdin", "text/texts/*")], connect=["reduce"]),
            group("reduce", "gather", devices=[device("stdout", "result/all"), "stderr"])]))
        url = f"{self.service.url}/v1/{ACCOUNT}"
        status = self.service.curl("-H", f"X-Auth-Token: {self.service.token()}", "-H",
                                   "X-Zerovm-Execute: 1.0", "-H", "Content-Type: application/json",
                                   "--data-binary", f"@{job}", "-w", "%{http_code}", url)
        self.assertEqual(status, b"200")
        self.service.swift("download", "result", "all", "-o", "all")
        self.assertEqual((self.directory / "all").read_text(),
                         "".join(f"map-{i + 1}: text {i}\n\n" for i in range(3)))


class Connections(JobTest):
    def test_mappers_reach_every_reducer(self):
        self.fill(**{f"o{i}": f"{i}".encode() for i in range(4)})
        body = self.succeed([
            group("map", "copy", "- " + " ".join(f"/dev/out/reduce-{i}" for i in (1, 2, 3)),
                  [device("stdin", "in/*")], connect=["reduce"]),
            group("reduce", "gather", devices=["stdout"], count=3)]).decode()
        self.assertEqual(body, 3 * "".join(f"map-{i + 1}: {i}\n" for i in range(4)))

    def test_a_chain_of_groups_passes_all_bytes(self):
        size = 3_000_001
        names = [f"g{i}" for i in range(8)]
        job = [group("g0", "pour", f"{size} /dev/out/g1", connect=["g1"])]
        for here, next_one in zip(names[1:], names[2:]):
            before = f"g{int(here[1:]) - 1}"
            job.append(group(here, "copy", f"/dev/in/{before} /dev/out/{next_one}", connect=[next_one]))
        job.append(group("g7", "copy", "/dev/in/g6 -", ["stdout"]))
        self.assertTrue(self.succeed(job) == poured(size))

    def test_a_session_sees_its_connections_and_no_other(self):
        body = self.succeed([group("a", "pour", "0", connect=["b"]),
                             group("b", "show", devices=["stdout"], connect=["c"], count=2),
                             group("c", "pour", "0")]).decode()
        self.assertEqual(body.count("/dev/in/a\n"), 2)
        self.assertEqual(body.count("/dev/out/c\n"), 2)
        self.assertEqual(len(re.findall(r"^/dev/", body, re.M)), 4)

    def test_a_mesh_of_one_group_talks(self):
        body = self.succeed([group("m", "mesh", devices=["stdout"], count=5, connect=["m"])]).decode()
        everyone = range(1, 6)
        self.assertEqual(sorted(body.splitlines()), sorted(
            f"m-{i} heard m-{j}" for i in everyone for j in everyone if i != j))

    def test_a_cycle_of_groups_talks(self):
        body = self.succeed([group("a", "mesh", devices=["stdout"], count=2, connect=["b"]),
                             group("b", "mesh", devices=["stdout"], connect=["c"]),
                             group("c", "mesh", devices=["stdout"], count=3, connect=["b", "a"])]).decode()
        heard = set(body.splitlines())
        self.assertEqual(len(heard), 2 * 1 + 1 * 3 + 3 * 1 + 3 * 2)
        self.assertIn("a-2 heard c-3", heard)
        self.assertIn("b heard c-1", heard)

    def test_a_reducer_hears_thousands_of_mappers(self):
        mappers = 1500  # more than a process may have open files elsewhere
        body = self.succeed([group("m", "pour", "8 /dev/out/r", connect=["r"], count=mappers),
                             group("r", "gather", devices=["stdout"])])
        self.assertEqual(body.count(b"\n"), mappers)


class SmallMachine(JobTest):
    settings = ("engine.sessions_at_once=3", "jobs.gang_sessions=8")

    def test_300_sessions_run_in_waves(self):
        self.fill(**{f"o{i:03}": f"{i:03} ".encode() for i in range(300)})
        most, done = [0], threading.Event()

        def watch():
            while not done.wait(0.001):
                most[0] = max(most[0], len(self.service.children()))
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            body = self.succeed([
                group("m", "copy", "- /dev/out/r", [device("stdin", "in/*")], connect=["r"]),
                group("r", "gather", devices=["stdout"])])
        finally:
            done.set()
            watcher.join()
        self.assertEqual(body.decode(), "".join(f"m-{i + 1}: {i:03} \n" for i in
                                                sorted(range(300), key=lambda i: f"m-{i + 1}")))
        self.assertLessEqual(most[0], 3)

    def test_a_gang_larger_than_the_slots_runs_whole(self):
        body = self.succeed([group("m", "mesh", devices=["stdout"], count=8, connect=["m"])])
        self.assertEqual(body.count(b"heard"), 8 * 7)

    def test_a_gang_over_the_bound_is_refused(self):
        self.refuse([group("a", "mesh", devices=["stdout"], count=5, connect=["b"]),
                     group("b", "mesh", devices=["stdout"], count=4, connect=["a"])],
                    413, "/0, /1: connections form a cycle", "9", "gang_sessions is 8")

    def test_jobs_at_once_do_not_block_each_other(self):
        gang = [group("m", "mesh", devices=["stdout"], count=6, connect=["m"])]
        waves = [group("p", "pour", "1000 /dev/out/r", count=20, connect=["r"]),
                 group("r", "gather", devices=["stdout"])]
        bodies = [None] * 12

        def run(i):
            bodies[i] = self.run_job(gang if i % 2 == 0 else waves)
        threads = [threading.Thread(target=run, args=(i,)) for i in range(len(bodies))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=120)
            self.assertFalse(thread.is_alive(), "the jobs wait for each other")
        for i, response in enumerate(bodies):
            self.assertEqual(response.status, 200, response.body)
            self.assertEqual(response.body.count(b"heard" if i % 2 == 0 else b"\n"), 30 if i % 2 == 0 else 20)


class FullMachine(JobTest):
    settings = ("engine.sessions_at_once=2", "engine.jobs_at_once=2", "engine.gang_wait_seconds=1")

    def test_a_gang_that_waits_too_long_is_503_and_says_when_to_come_again(self):
        gang = [group("m", "mesh", devices=["stdout"], count=2, connect=["m"])]
        with self.under_way([group("g", "fail", "loop", timeout=3000)]):
            self.wait_until(self.service.sessions)
            answer = self.refuse(gang, 503, "a gang of 2 sessions, m-1 among them, has waited 1000 ms",
                                 "1 of 2 are taken", "gang_wait_seconds")
            self.assertTrue(answer.headers["Retry-After"].isdigit())
            self.assertEqual(len(self.service.sessions()), 1, "what runs goes on")
            self.assertEqual(self.succeed([group("p", "pour", "8", ["stdout"])]), poured(8))
        self.wait_until(lambda: not self.service.sessions())
        self.assertEqual(self.succeed(gang).count(b"heard"), 2)

    def test_a_job_too_many_is_503_and_says_when_to_come_again(self):
        loop = [group("g", "fail", "loop", timeout=3000)]
        with self.under_way(loop), self.under_way(loop):
            self.wait_until(lambda: len(self.service.sessions()) == 2)
            answer = self.refuse([group("p", "pour", "8", ["stdout"])], 503,
                                 "2 jobs are waiting or running already: the limit jobs_at_once")
            self.assertTrue(answer.headers["Retry-After"].isdigit())
        self.wait_until(lambda: self.run_job([group("p", "pour", "8", ["stdout"])]).status == 200)


class WhileAJobRuns(JobTest):
    settings = ("server.stop_grace_seconds=1",)

    def start(self, document):
        """Posts a job on a thread; returns the thread and a list that will hold the response, or
        nothing if the server goes."""
        answer = []

        def post():
            try:
                answer.append(self.run_job(document))
            except (http.client.HTTPException, ConnectionError):
                pass
        thread = threading.Thread(target=post)
        thread.start()
        return thread, answer, self.started()

    def started(self):
        """Waits for sessions; returns those that were seen."""
        seen = []
        self.wait_until(lambda: seen.extend(self.service.sessions()) or seen)
        return seen

    def test_a_deleted_input_is_read_to_its_end(self):
        size = 5_000_000
        self.put("in/o", poured(size))
        thread, answer, sessions = self.start([group("g", "copy", "--wait /dev/input -",
                                           [device("input", "in/o"), "stdout"])])
        os.kill(sessions[0], signal.SIGSTOP)
        self.assertEqual(self.service.request("DELETE", f"/v1/{ACCOUNT}/in/o").status, 204)
        self.assertEqual(self.get("in/o").status, 404)
        os.kill(sessions[0], signal.SIGCONT)
        thread.join()
        self.assertEqual(answer[0].status, 200, answer[0].body[:1000])
        self.assertTrue(answer[0].body == poured(size))

    def test_a_replaced_input_is_read_as_it_was(self):
        self.put("in/o", b"old")
        thread, answer, sessions = self.start([group("g", "copy", "--wait - -", [device("stdin", "in/o"), "stdout"])])
        os.kill(sessions[0], signal.SIGSTOP)
        self.put("in/o", b"new")
        os.kill(sessions[0], signal.SIGCONT)
        thread.join()
        self.assertEqual(answer[0].body, b"old")

    def test_other_requests_are_answered(self):
        thread, answer, _ = self.start([group("g", "fail", "loop", timeout=2)])
        self.put("in/o", b"meanwhile")
        self.assertEqual(self.get("in/o").body, b"meanwhile")
        self.assertEqual(self.succeed([group("g", "pour", "8", ["stdout"])]), poured(8))
        thread.join()
        self.assertEqual(answer[0].status, 408)

    def test_a_session_that_is_killed_as_the_kernel_does_for_memory_fails_its_job_alone(self):
        thread, answer, sessions = self.start([group("g", "fail", "loop", ["stdout", device("output", "out/o")], timeout=3000)])
        os.kill(sessions[0], signal.SIGKILL)
        thread.join()
        self.assertEqual(answer[0].status, 503, answer[0].body)
        self.assertIn(b"session g failed: the session was killed from outside (out of memory, or an operator)", answer[0].body)
        self.assertEqual(self.names("out"), [])
        self.assertEqual(self.succeed([group("g", "pour", "8", ["stdout"])]), poured(8))

    def test_a_client_that_leaves_ends_its_sessions(self):
        body = json.dumps([group("g", "fail", "loop", ["stdout", device("output", "out/o*")], count=5,
                                 timeout=3000)]).encode()
        head = (f"POST /v1/{ACCOUNT} HTTP/1.1\r\nHost: h\r\nX-Auth-Token: {self.service.token()}\r\n"
                "X-Zerovm-Execute: 1.0\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode()
        for _ in range(3):
            with self.service.connect() as peer:
                peer.sendall(head + body)
                sessions = self.started()
            self.wait_until(lambda: not any(is_alive(pid) for pid in sessions))
        self.wait_until(lambda: self.service.children() == [])
        self.assertEqual(self.names("out"), [])

    def test_a_client_that_leaves_while_its_answer_is_sent_costs_nothing(self):
        body = json.dumps([group("g", "pour", "30000000", ["stdout"])]).encode()
        with self.service.connect() as peer:
            peer.sendall((f"POST /v1/{ACCOUNT} HTTP/1.1\r\nX-Auth-Token: {self.service.token()}\r\n"
                          "X-Zerovm-Execute: 1.0\r\nContent-Type: application/json\r\n"
                          f"Content-Length: {len(body)}\r\n\r\n").encode() + body)
            self.assertTrue(peer.recv(1000).startswith(b"HTTP/1.1 200"))

    def test_a_stopping_server_ends_its_jobs(self):
        thread, _, sessions = self.start([group("g", "fail", "loop", timeout=3000)])
        self.service.stop(signal.SIGTERM)
        self.wait_after_death(sessions)
        thread.join()
        self.restart()

    def test_a_killed_server_leaves_no_session_and_a_sound_store(self):
        self.put("out/o", b"old")
        token = self.service.token()
        body = json.dumps([group("g", "fail", "loop", [device("stdout", "out/o")], timeout=3000),
                           group("p", "pour", "5000000 /dev/output",
                                 [device("output", "out/new-*")], count=2)]).encode()
        with self.service.connect() as peer:
            peer.sendall((f"POST /v1/{ACCOUNT} HTTP/1.1\r\nX-Auth-Token: {token}\r\n"
                          "X-Zerovm-Execute: 1.0\r\nContent-Type: application/json\r\n"
                          f"Content-Length: {len(body)}\r\n\r\n").encode() + body)
            sessions = self.started()
            self.service.stop(signal.SIGKILL)
        self.wait_after_death(sessions)
        self.restart()
        self.assertEqual(self.names("out"), ["o"])
        self.assertEqual(self.get("out/o").body, b"old")
        self.succeed([group("g", "pour", "8", [device("stdout", "out/o")])])
        self.assertEqual(self.get("out/o").body, poured(8))

    def wait_after_death(self, sessions):
        self.assertNotEqual(sessions, [])
        self.wait_until(lambda: not any(is_alive(pid) for pid in sessions), describe=lambda: sessions)

    def restart(self):
        self.service.start()
        self.warm_up()


if __name__ == "__main__":
    unittest.main(verbosity=2)
