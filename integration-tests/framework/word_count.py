"""The main job, docs/examples/wordcount: its programs, its texts, and what must come out."""

import pathlib
import re
import subprocess

from framework.service import PATH, PROGRAM

EXAMPLES = pathlib.Path(__file__).resolve().parent.parent.parent / "docs/examples/wordcount"
LICENSES = pathlib.Path("/usr/share/common-licenses")
COUNT = (EXAMPLES / "count.json").read_bytes()
TOP = (EXAMPLES / "top.json").read_bytes()


def words_in(texts):
    """How often each word is in them, as coreutils would say in quickstart.sh."""
    counts = {}
    for word in re.findall(rb"[A-Za-z]+", b"\n".join(texts)):
        counts[word.lower()] = counts.get(word.lower(), 0) + 1
    return counts


class CountsWords:
    """Put before JobTest or one of its kin."""

    def store_programs(self):
        """Builds them with the compiler beside the service; makes the containers, too."""
        for name in ("map", "reduce", "top"):
            subprocess.run([pathlib.Path(PROGRAM).parent / "zvm-cc", "-O2", "-o",
                            self.directory / name, EXAMPLES / f"{name}.c", EXAMPLES / "combine.c"],
                           check=True, env={"PATH": PATH})
            self.put(f"programs/{name}", (self.directory / name).read_bytes())
        for container in ("text", "counts"):
            self.put(container, b"")

    def store_texts(self):
        """Returns them."""
        texts = [path.read_bytes() for path in sorted(LICENSES.iterdir()) if path.is_file()]
        for i, text in enumerate(texts):
            self.put(f"text/text-{i:03}.txt", text)
        return texts

    def check_counts(self, texts):
        """What the job has stored is right."""
        counted = b"".join(self.get(f"counts/reduce-{i}.tsv").body for i in (1, 2, 3, 4))
        self.assertEqual(dict(line.split(b"\t") for line in counted.splitlines()),
                         {word: str(count).encode() for word, count in words_in(texts).items()})
