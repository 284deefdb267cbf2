"""Classes for the tests of the packaging: run Miniback, call its API, and receive deliveries."""

import atexit
import contextlib
import http.client
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.parse

from checks import run, wait_until

ADMIN = "admin@example.com"
PASSWORD = "a long enough passphrase"


class Server:
    """A running `miniback serve` on a free port."""

    def __init__(self, executable, data_dir, log, *options):
        self.executable, self.data_dir, self.log = executable, data_dir, log
        self.environment = os.environ | {
            "MINIBACK_DATA_DIR": str(data_dir),
            "MINIBACK_LISTEN": "127.0.0.1:0",
            "MINIBACK_ADMIN_EMAIL": ADMIN,
            "MINIBACK_ADMIN_PASSWORD": PASSWORD,
        }
        with open(log, "w", encoding="utf-8") as output:
            command = [executable, "serve", *options]
            self.process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env=self.environment
            )
        # A failed check ends the test at once.
        atexit.register(self.process.kill)
        self.url = wait_until("Miniback is ready", self._listening_url, details=self.read_log)

    def read_log(self):
        with open(self.log, encoding="utf-8") as log:
            return log.read()

    def _listening_url(self):
        if self.process.poll() is not None:
            sys.exit(f"FAILED: Miniback exited with {self.process.returncode}\n{self.read_log()}")
        for line in self.read_log().splitlines():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if entry.get("message") == "listening":
                    return entry["url"]
        return None

    def run(self, *arguments):
        """Runs another command on the data directory, and returns its output."""
        return run(self.executable, *arguments, env=self.environment).strip()

    def api(self):
        """Returns an API client with a new token of the admin."""
        return Api(self.url, self.run("token", "create", "--user", ADMIN, "test"))

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Stops the server with SIGTERM, and returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


class Api:
    """A client with a connection that stays open. Each thread needs its own client."""

    def __init__(self, url, token):
        self.url, self.token = url, token
        address = urllib.parse.urlsplit(url)
        self.connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)

    def request(self, method, path, body=None):
        """Returns the status and the JSON of a response."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body)
        self.connection.request(method, path, data, headers)
        response = self.connection.getresponse()
        text = response.read().decode()
        return response.status, json.loads(text) if text else None

    def call(self, method, path, body=None):
        """Like `request`, but ends the test unless the request succeeds."""
        status, result = self.request(method, path, body)
        if not 200 <= status < 300:
            sys.exit(f"FAILED: {method} {path}: {status} {result}")
        return result

    def list_all(self, path):
        """Returns all items of a list, from all its pages."""
        items, cursor = [], None
        while True:
            separator = "&" if "?" in path else "?"
            query = f"{separator}limit=100" + (f"&cursor={cursor}" if cursor else "")
            page = self.call("GET", path + query)
            items += page["data"]
            cursor = page["nextCursor"]
            if not cursor:
                return items


class Receiver:
    """An endpoint that records the bodies of all deliveries and responds with 204."""

    def __init__(self, address=("127.0.0.1", 0)):
        self.received = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append(json.loads(body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(address, Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def messages(self):
        """Returns the messages of all feedback that has been delivered."""
        return {event["data"]["feedback"]["message"] for event in list(self.received)}

    def close(self):
        self.server.shutdown()
        self.server.server_close()
