"""A stand-in for the Hugging Face hub: what its client needs to make a repository and upload a folder."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class Hub:
    """What was asked of it.

    Attributes:
        address: of the server.
        token: that it wants.
        created: requests to make a repository.
        files: contents by path of all commits.
    """

    address: str = ""
    token: str = "hf_secret"
    created: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub on this machine."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            hub.asked.append(self.path)
            self._answer({"sha": "0" * 40, "id": "me/net", "siblings": []})

        def do_POST(self) -> None:
            hub.asked.append(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Authorization") != f"Bearer {hub.token}":
                self._answer({"error": "Invalid credentials"}, 401)
            elif self.path == "/api/repos/create":
                hub.created.append(json.loads(body))
                self._answer({"url": f"{hub.address}/me/net", "name": "me/net"})
            elif self.path.endswith("/validate-yaml"):
                self._answer({"warnings": [], "errors": []})
            elif "/preupload/" in self.path:
                files = json.loads(body)["files"]
                modes = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in files]
                self._answer({"files": modes})
            elif "/commit/" in self.path:
                for line in body.decode().splitlines():
                    action = json.loads(line)
                    if action["key"] == "file":
                        value = action["value"]
                        hub.files[value["path"]] = base64.b64decode(value["content"])
                self._answer({"success": True, "commitOid": "1" * 40, "commitUrl": f"{hub.address}/me/net/commit/1"})
            else:
                self._answer({"error": "unknown"}, 404)

        def _answer(self, content: Any, status: int = 200) -> None:
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
