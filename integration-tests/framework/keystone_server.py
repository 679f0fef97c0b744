"""Serves Keystone on a free port of 127.0.0.1, which it prints: keystone_server.py CONFIG. One request at
a time, which is enough for tests. Ends with standard input."""

import os
import pathlib
import socketserver
import sys
import threading
import wsgiref.simple_server

config = pathlib.Path(sys.argv.pop(1))  # Keystone reads the command line, too
os.environ["OS_KEYSTONE_CONFIG_DIR"] = str(config.parent)
os.environ["OS_KEYSTONE_CONFIG_FILES"] = config.name

from keystone.server.wsgi import initialize_public_application  # noqa: E402


class Server(wsgiref.simple_server.WSGIServer):
    allow_reuse_address = True

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)  # without asking for a name of the address
        self.server_name, self.server_port = self.server_address
        self.setup_environ()


server = Server(("127.0.0.1", 0), wsgiref.simple_server.WSGIRequestHandler)
server.set_app(initialize_public_application())
print(server.server_port, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
