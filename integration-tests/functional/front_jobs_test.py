"""The jobs that succeed once more, with the objects behind another server: inputs and outputs go over
HTTP as the caller, and nothing else may change."""

import pathlib
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import jobs_test  # noqa: E402
from framework.jobs import device, group  # noqa: E402
from framework.service import Service  # noqa: E402


class ThroughAFront:
    def make_service(self):
        service = super().make_service()
        self.store = Service(self.directory, arguments=service.arguments)
        self.addCleanup(lambda: self.store.stop(signal.SIGKILL))
        self.store.start()
        service.arguments = ["--upstream", self.store.url]
        return service

    def quiet_files(self):
        """Some connections to the store are kept, so sockets prove nothing here but their number."""
        kept = 1 + 64 + 16  # the listening one, and the defaults of /proxy
        self.wait_until(lambda: self.service.open_files().count("socket") <= kept)


class FrontInputs(ThroughAFront, jobs_test.Inputs):
    pass


class FrontOutputs(ThroughAFront, jobs_test.Outputs):
    pass


class FrontConnections(ThroughAFront, jobs_test.Connections):
    def test_a_store_that_goes_fails_the_job(self):
        self.put("in/o", b"x")
        self.store.stop(signal.SIGKILL)
        response = self.service.job([group("g", "copy", "- -", [device("stdin", "in/o")])],
                                    headers={"X-Auth-Token": "any"})
        self.assertIn(response.status, (502, 503))
        self.store.start()


if __name__ == "__main__":
    unittest.main(verbosity=2)
