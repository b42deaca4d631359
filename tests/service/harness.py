"""Starts an oodd on free ports, speaks HTTP to it byte by byte, and reads its metrics. Python's standard library only.

The daemon is oodd_fake (the real daemon on a fake scorer, see fake_scorer.c) unless a test says otherwise."""
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

BUILD = os.path.abspath(os.environ.get("OOD_BUILD", os.path.join(os.path.dirname(__file__), "../../build")))
SOURCE = os.path.abspath(os.environ.get("OOD_SOURCE", os.path.join(os.path.dirname(__file__), "../..")))
FAKE = os.path.join(BUILD, "tests/service/oodd_fake")
ROOT = tempfile.TemporaryDirectory(prefix="oodd-")  # of all that is made here; gone at the end
tempfile.tempdir = ROOT.name
PATIENCE = 60  # [s] what never takes long may take under a sanitizer on a busy machine


def until(what, seconds=PATIENCE):
    """Polls until what() is true; returns how long it took."""
    start = time.monotonic()
    while not what():
        if time.monotonic() - start > seconds:
            raise AssertionError("not within %g s" % seconds)
        time.sleep(0.002)
    return time.monotonic() - start


def socket_path():
    return os.path.join(tempfile.mkdtemp(), "socket")


class Answer:
    def __init__(self, status, headers, body, interim):
        self.status, self.headers, self.body, self.interim = status, headers, body, interim

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json["error"]["code"]


class Connection:
    """A socket and what came over it."""

    def __init__(self, address):
        if address.startswith("unix:"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(PATIENCE)
            self.socket.connect(address[5:])
        else:
            host, port = address.rsplit(":", 1)
            self.socket = socket.create_connection((host.strip("[]"), int(port)), PATIENCE)
        self.buffer = b""

    def send(self, data):
        self.socket.sendall(data)

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.socket.close()

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def receive(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        self.buffer += data
        return data

    def closed(self):
        """Waits for the other side to close; what it still sent is an error."""
        return self.receive() == b""

    def answer(self, head=False):
        """The next final answer; None: closed without one."""
        interim = []
        while True:
            while b"\r\n\r\n" not in self.buffer:
                if not self.receive():
                    if self.buffer:
                        raise AssertionError("half an answer: %r" % self.buffer)
                    return None
            top, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
            lines = top.decode("latin-1").split("\r\n")
            status = int(lines[0].split(" ")[1])
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
            if status >= 200:
                break
            interim.append(status)
        length = 0 if head else int(headers["content-length"])
        while len(self.buffer) < length:
            if not self.receive():
                raise AssertionError("the answer has %d bytes of %d" % (len(self.buffer), length))
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return Answer(status, headers, body, interim)

    def ask(self, data, head=False):
        self.send(data)
        return self.answer(head)


def request(method, path, body=None, headers=(), version="1.1"):
    lines = ["%s %s HTTP/%s" % (method, path, version), "Host: x"]
    if body is not None:
        lines.append("Content-Length: %d" % len(body))
    lines += ["%s: %s" % header for header in headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


def score(picture=b"x", query="", headers=()):
    return request("POST", "/v1/score" + query, picture, (("Content-Type", "image/jpeg"),) + tuple(headers))


class Oodd:
    """A daemon. settings: {"section.key": value}; models: names of bundles (folders are made for them)."""

    def __init__(self, settings=None, models=("small",), binary=FAKE, arguments=(), env=None, fds=(), wait=True, folder=None):
        self.folder = folder or tempfile.mkdtemp(prefix="oodd-")
        settings = dict({"server.listen": "127.0.0.1:0", "log.format": "json"}, **(settings or {}))
        command = [binary]
        for key, value in settings.items():
            command += ["--set", "%s=%s" % (key, value)]
        for model in models:
            path = model if "/" in model else os.path.join(self.folder, model)
            os.makedirs(path, exist_ok=True)
            command.append(path)
        command += arguments
        environment = dict(os.environ, **(env or {}))
        self.out = open(os.path.join(self.folder, "out"), "wb+")
        self.err = open(os.path.join(self.folder, "err"), "wb+")
        self.process = subprocess.Popen(command, stdout=self.out, stderr=self.err, stdin=subprocess.DEVNULL, env=environment,
                                        pass_fds=fds, cwd=self.folder)
        self.addresses = []
        if wait:
            until(lambda: self.dead() or b"ready: " in self.messages())
            if self.dead():
                raise AssertionError("oodd did not start: %s" % self.messages().decode())
            self.addresses = re.findall(r"listening on ([^\s\"\\]+)", self.messages().decode())

    def dead(self):
        return self.process.poll() is not None

    def messages(self):
        with open(self.err.name, "rb") as file:
            return file.read()

    @property
    def address(self):
        return self.addresses[0]

    def connect(self, i=0):
        return Connection(self.addresses[i])

    def ask(self, data, head=False):
        connection = self.connect()
        try:
            return connection.ask(data, head)
        finally:
            connection.close()

    def metrics(self):
        """{name{labels}: value} of a scrape."""
        text = self.ask(request("GET", "/metrics")).body.decode()
        values = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                values[name] = float(value)
        return values

    def rejected(self, reason):
        return self.metrics()['oodd_rejected_total{reason="%s"}' % reason]

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        return self.process.wait(PATIENCE)

    def stop(self):
        """SIGTERM, and the exit status."""
        if not self.dead():
            self.signal(signal.SIGTERM)
        status = self.wait()
        self.out.close()
        self.err.close()
        return status


class Test(unittest.TestCase):
    """A test case whose daemons are stopped, and must have stopped well: no crash, no sanitizer's finding."""

    def start(self, *arguments, **settings):
        daemon = Oodd(*arguments, **settings)
        self.addCleanup(self.check_end, daemon)
        return daemon

    def check_end(self, daemon):
        if daemon.err.closed:
            return
        status = daemon.stop()
        messages = daemon.messages().decode(errors="replace")
        self.assertEqual(status, 0, messages[-20000:])
        self.assertNotIn("Sanitizer", messages)

    def expect(self, answer, status, code=None):
        self.assertIsNotNone(answer, "closed without an answer")
        self.assertEqual(answer.status, status, answer.body)
        self.assertRegex(answer.headers.get("x-request-id", ""), r"^[A-Za-z0-9._-]{1,64}$")
        if code is not None:
            self.assertEqual(answer.code, code)
            self.assertEqual(answer.json["error"]["request_id"], answer.headers["x-request-id"])
            self.assertTrue(answer.json["error"]["message"])


def main():
    if not os.path.exists(FAKE):
        print("%s is not built" % FAKE)
        sys.exit(99)
    unittest.main(verbosity=2, warnings="ignore")
