"""What README.md and docs/*.md say to type is typed here.

Blocks marked `sh` of one file run in order in one bash -e, in a directory that holds only docs/, with
the built programs on the PATH. If a block of the file uses $STORAGE or $TOKEN, a server runs, whose they are;
$DIR is the directory of its store. A line "# prints TEXT" in a block says what must be
in the block's output. Blocks that are only ./quickstart.sh or ./test.sh are run by other tests, and so are those of
a section with $SWIFT in one of its blocks (swift_operations_test.py). Blocks
marked `json` must be JSON, and jobs if they are lists. Links must lead to files that are there."""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from framework.service import ACCOUNT, PATH, PROGRAM, Service  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN_ELSEWHERE = re.compile(r"(\./(quickstart|test)\.sh( .*)?\n)+")


def blocks(page, language):
    """(line, text) of each block of that language."""
    found, text, start = [], None, 0
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if text is not None and line.startswith("```"):
            found.append((start, "".join(text)))
            text = None
        elif text is not None:
            text.append(line + "\n")
        elif line.strip() == f"```{language}":
            text, start = [], number
    if text is not None:
        raise ValueError(f"{page}:{start}: the block does not end")
    return found


def split_blocks(page):
    """(line, text) of each sh block: those that are run here, and those that need a Swift."""
    headings = [number for number, line in enumerate(page.read_text().splitlines(), 1) if line.startswith("## ")]

    def section(line):
        return max((heading for heading in headings if heading < line), default=0)

    found = [(line, text) for line, text in blocks(page, "sh") if not RUN_ELSEWHERE.fullmatch(text)]
    beside_swift = {section(line) for line, text in found if "$SWIFT" in text}
    return ([block for block in found if section(block[0]) not in beside_swift],
            [block for block in found if section(block[0]) in beside_swift])


def run_blocks(test, page, mine, environment, work):
    """Types them; `test` fails if one fails, or does not print what it should."""
    script = "set -euo pipefail\nexec 2>&1\n"
    script += "".join(f"printf '\\n@@ {line}\\n'\n{text}\n" for line, text in mine)
    environment = {"PATH": f"{os.path.dirname(PROGRAM)}:{PATH}", "HOME": str(work), "LC_ALL": "C.UTF-8",
                   **environment}
    done = subprocess.run(["/bin/bash", "-c", script], env=environment, cwd=work, timeout=500,
                          capture_output=True, stdin=subprocess.DEVNULL, check=False)
    parts = re.split(r"(?m)^@@ (\d+)\n", done.stdout.decode(errors="replace"))[1:]
    outputs = dict(zip((int(line) for line in parts[::2]), parts[1::2]))
    last = max(outputs)
    test.assertEqual(done.returncode, 0, f"{page.name}:{last}: this block fails: {outputs[last][-3000:]}")
    for line, text in mine:
        for wanted in re.findall(r"(?m)^# prints (.*)$", text):
            test.assertIn(wanted, outputs[line], f"{page.name}:{line}")


class Documentation(unittest.TestCase):
    @contextlib.contextmanager
    def service(self):
        with tempfile.TemporaryDirectory(prefix="zerocloud-docs-") as directory:
            service = Service(directory).start()
            try:
                yield service
            finally:
                service.stop()

    def run_page(self, page, service, work):
        """Runs a page's blocks; returns how many."""
        mine, _ = split_blocks(page)
        if not mine:
            return 0
        environment = {}
        if any("$STORAGE" in text or "$TOKEN" in text for _, text in mine):
            environment.update(STORAGE=f"{service.url}/v1/{ACCOUNT}", TOKEN=service.token(),
                               DIR=str(service.directory / "store"))
        run_blocks(self, page, mine, environment, work)
        return len(mine)

    def test_what_the_pages_say_to_type_works(self):
        for page in PAGES:
            with (self.subTest(page=page.name), self.service() as service,
                  tempfile.TemporaryDirectory(prefix="zerocloud-docs-") as work):
                (pathlib.Path(work) / "docs").symlink_to(ROOT / "docs")
                count = self.run_page(page, service, work)
                elsewhere = len(blocks(page, "sh")) - count
                print(f"{page.name}: {count} blocks run, {elsewhere} run by other tests")

    def test_the_commands_of_the_front_page_are_those_that_tests_run(self):
        texts = [text for _, text in blocks(ROOT / "README.md", "sh")]
        self.assertIn("./quickstart.sh\n", texts)
        self.assertIn("./test.sh\n", texts)
        for name in ("quickstart.sh", "test.sh"):
            self.assertTrue(os.access(ROOT / name, os.X_OK), name)

    def test_jobs_in_the_pages_are_jobs(self):
        jobs = [(page.name, line, text) for page in PAGES for line, text in blocks(page, "json")
                if isinstance(json.loads(text), list)]
        self.assertTrue(jobs)
        with self.service() as service:
            for page, line, text in jobs:
                with self.subTest(page=page, line=line):
                    response = service.job(text.encode())
                    # What it names is not stored here; the document itself must be right.
                    self.assertTrue(response.status in (403, 404) or b"no object matches" in response.body,
                                    response.body)

    def test_links_lead_somewhere(self):
        for page in PAGES:
            for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
                self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")

    def test_the_tests_that_pages_name_are_there(self):
        """`Suite.Test` in docs/swift.md, in C++ or Python."""
        page = (ROOT / "docs/swift.md").read_text()
        named = set(re.findall(r"`(\w+)\.(test_\w+|[A-Z]\w+)`", page[page.index("## Nothing else"):]))
        self.assertGreater(len(named), 40)
        sources = [path.read_text() for path in [*ROOT.glob("middleware/**/*_test.cc"),
                                                 *ROOT.glob("integration-tests/functional/*_test.py")]]
        for suite, name in sorted(named):
            pattern = rf"TEST(_F|_P)?\({suite},\s*{name}\)|class {suite}\((.|\n)*def {name}\("
            self.assertTrue(any(re.search(pattern, text) for text in sources), f"{suite}.{name}")

    def test_the_options_are_those_of_the_program(self):
        manual = subprocess.run([PROGRAM, "serve", "--manual"], capture_output=True, timeout=60,
                                check=True).stdout.decode()
        rows = [line for line in manual.splitlines() if line.startswith("| `") and "." in line.split("`")[1]]
        self.assertGreater(len(rows), 40)
        page = (ROOT / "docs/configuration.md").read_text().splitlines()
        self.assertEqual([line for line in page if line.startswith("| `") and "." in line.split("`")[1]], rows)

    def test_the_limits_are_those_of_the_program(self):
        page = (ROOT / "docs/jobs.md").read_text()
        with self.service() as service:
            limits = json.loads(service.request("GET", "/info").body)["zerocloud"]["limits"]
        table = page[page.index("\n## Limits"):]
        for name in limits:
            self.assertIn(f"`{name}`", table)


if __name__ == "__main__":
    unittest.main(verbosity=2)
