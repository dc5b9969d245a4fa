"""A gateway between us and SES that compresses answers, although nobody asked it to."""

from __future__ import annotations

import gzip
import threading
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from batchpol.testing import Sandbox
from tests.e2e.command import FAST, policy, rows, run, save_lines, tenants

CODINGS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}


class Gateway(BaseHTTPRequestHandler):
    """Passes each request on, and the answer compressed."""

    protocol_version = "HTTP/1.1"
    behind: str
    coding: str

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            with urllib.request.urlopen(urllib.request.Request(self.behind, body, dict(self.headers))) as answer:
                status, headers, content = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            status, headers, content = error.code, error.headers, error.read()
        content = CODINGS[self.coding](content)
        self.send_response(status)
        self.send_header("Content-Type", headers["Content-Type"])
        self.send_header("Content-Encoding", self.coding)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(params=CODINGS)
def gateway(request: pytest.FixtureRequest, ses_sandbox: Sandbox) -> Iterator[str]:
    handler = type("Handler", (Gateway,), {"behind": ses_sandbox.url, "coding": request.param})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_compressed_answers_are_read(tmp_path: Path, ses_sandbox: Sandbox, gateway: str) -> None:
    """Those of SES and STS, refusals too."""
    good, bad = tenants(2), {"identity": "no.example", "policy_name": "p", "policy": policy("no.example")}
    ses_sandbox.change(faults_at={"invalid_principal": {3}})
    env = ses_sandbox.environment() | {"AWS_ENDPOINT_URL_SES": gateway, "AWS_ENDPOINT_URL_STS": gateway}
    ended = run("apply", save_lines(tmp_path / "in.jsonl", [*good, bad]), *FAST, "--no-defer", cwd=tmp_path, env=env)
    assert ended.code == 1, ended.err
    found = [(row["status"], row["error_code"]) for row in rows(tmp_path / "in.report.csv")]
    assert found == [("applied", ""), ("applied", ""), ("failed", "InvalidPolicy")]
