"""A model hub on loopback with the part of the protocol that pushing and loading use."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SHA = "0123456789abcdef0123456789abcdef01234567"


def digest(content: bytes) -> str:
    """SHA-256 of a file's content."""
    return hashlib.sha256(content).hexdigest()


class Hub(ThreadingHTTPServer):
    """Repositories by id: their files, and whether they are private."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.private: dict[str, bool] = {}
        self.repos: dict[str, dict[str, bytes]] = {}
        self.tokens: set[str | None] = set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Handle the requests of huggingface_hub."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.server.tokens.add(self.headers["Authorization"])
        path = self.path.partition("?")[0]
        if path == "/api/repos/create":
            asked = json.loads(data)
            name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
            self.server.repos.setdefault(name, {})
            private = asked.get("private") or asked.get("visibility") == "private"
            self.server.private[name] = bool(private)
            self._json({"url": f"{self.server.address}/{name}"})
        elif path.endswith("/preupload/main"):
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(data)["files"]
            ]
            self._json({"files": files})
        elif path.endswith("/commit/main"):
            name = path.removeprefix("/api/models/").removesuffix("/commit/main")
            for line in map(json.loads, data.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    self.server.repos[name][line["value"]["path"]] = content
            url = f"{self.server.address}/{name}/commit/{SHA}"
            self._json({"success": True, "commitUrl": url, "commitOid": SHA})
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        else:
            self._answer(404, b"{}")

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].removeprefix("/")
        if path.startswith("api/models/"):
            name = "/".join(path.removeprefix("api/models/").split("/")[:2])
            files = self.server.repos.get(name)
            if files is None:
                self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
                return
            if "/tree/" in path:
                self._json(
                    [
                        {"type": "file", "path": f, "size": len(files[f]), "oid": digest(files[f])}
                        for f in sorted(files)
                    ]
                )
                return
            siblings = [{"rfilename": file, "size": len(files[file])} for file in sorted(files)]
            self._json({"id": name, "sha": SHA, "private": True, "siblings": siblings})
            return
        name, _, rest = path.partition("/resolve/")
        content = self.server.repos.get(name, {}).get(rest.partition("/")[2])
        if content is None:
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        self._answer(200, content, {"ETag": f'"{digest(content)}"', "X-Repo-Commit": SHA})

    do_HEAD = do_GET

    def _json(self, value: Any) -> None:
        self._answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


@contextmanager
def serving() -> Iterator[Hub]:
    """Run a hub during the block."""
    with Hub() as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        try:
            yield hub
        finally:
            hub.shutdown()
