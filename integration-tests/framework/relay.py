"""Passes TCP connections on, so that a test decides what each side sees of the other."""

import contextlib
import socket
import threading


class Relay:
    """Listens on a free port of `listen` and passes what comes on to `target`, "host:port". That sees it
    come from the address `source`, if given, and so from which of several programs on one machine it comes."""

    def __init__(self, target, source=None, listen="127.0.0.1"):
        host, port = target.rsplit(":", 1)
        self.target = host, int(port)
        self.source = source and (source, 0)
        self.listening = socket.create_server((listen, 0))
        self.address = f"{listen}:{self.listening.getsockname()[1]}"
        self.url = f"http://{self.address}"
        self.pairs = []  # of sockets that are open: towards who called, and towards the target
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near = self.listening.accept()[0]
            except OSError:
                return  # closed
            try:
                far = socket.create_connection(self.target, source_address=self.source)
            except OSError:
                near.close()
                continue
            threading.Thread(target=self.pass_on, args=(near, far), daemon=True).start()

    def pass_on(self, near, far):
        with near, far:
            self.pairs.append((near, far))
            back = threading.Thread(target=self.copy, args=(far, near), daemon=True)
            back.start()
            self.copy(near, far)
            back.join()
            self.pairs.remove((near, far))

    @staticmethod
    def copy(one, other):
        try:
            while piece := one.recv(1 << 16):
                other.sendall(piece)
            other.shutdown(socket.SHUT_WR)
        except OSError:  # one of the ends is gone
            hang_up(one, other)

    def half_close(self, towards_target):
        """Ends that direction of all connections; the other one goes on."""
        for near, far in list(self.pairs):
            with contextlib.suppress(OSError):
                (far if towards_target else near).shutdown(socket.SHUT_WR)

    def close(self):
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        for pair in list(self.pairs):
            hang_up(*pair)


def hang_up(*sockets):
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
