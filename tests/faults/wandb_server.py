"""W&B's server, as far as a run speaks to it, on this machine: one that keeps what it is sent, and ones that fail."""

from __future__ import annotations

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAULTS = ("refuses", "hangs", "429", "500")


class Server:
    """Within a `with`: `url` answers with the fault, or, without one, as W&B does, until `turn`. `history` holds the rows
    of each run. An agent of the `sweep` (its YAML) gets the `commands`, once; `upserts` is what runs said of themselves."""

    def __init__(self, fault: str | None = None) -> None:
        self.fault: str | None = None
        self.asked: list[str] = []
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.sweep, self.commands, self.upserts = "", list[dict[str, Any]](), list[dict[str, Any]]()
        self.over, self.lock = threading.Event(), threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                owner.asked.append(self.path)
                if owner.fault == "hangs":
                    owner.over.wait()
                    return
                status = 200 if owner.fault is None else int(owner.fault)
                answer = json.dumps(owner.answer(self.path, body) if status == 200 else {"error": "?"}).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_PUT = do_POST

            def log_message(self, *_: Any) -> None:
                pass

        self.handler, self.port = Handler, 0
        self._listen()
        self.url = f"http://127.0.0.1:{self.port}"
        self.turn(fault)

    def _listen(self) -> None:
        self.http = ThreadingHTTPServer(("127.0.0.1", self.port), self.handler)
        self.http.daemon_threads = True
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def _close(self) -> None:
        self.http.shutdown()
        self.http.server_close()

    def turn(self, fault: str | None) -> None:
        """From now on it answers so; what still hangs is let go."""
        was, self.fault = self.fault, fault
        self.over.set()
        self.over = threading.Event()
        if was == "refuses" != fault:
            self._listen()
        elif was != "refuses" == fault:
            self._close()

    @property
    def environment(self) -> dict[str, str]:
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": "0" * 40}

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: Any) -> None:
        self.over.set()
        if self.fault != "refuses":
            self._close()

    def answer(self, path: str, body: bytes) -> dict[str, Any]:
        with self.lock:
            if path == "/graphql":
                asked = json.loads(body)
                if "createArtifact(" in asked["query"]:
                    return {"data": None, "errors": [{"message": "it keeps no artifacts"}]}
                return {"data": self._graph(asked["query"], asked.get("variables") or {})}
            if path.endswith("/file_stream"):
                sent = json.loads(body).get("files", {}).get("wandb-history.jsonl")
                if sent:
                    rows = self.history.setdefault(path.split("/")[-2], [])
                    del rows[sent["offset"] :]  # as the service: what is sent again takes its own place
                    rows += [json.loads(line) for line in sent["content"]]
            return {}

    def _graph(self, query: str, v: dict[str, Any]) -> dict[str, Any]:
        if "upsertBucket" in query:
            name = v.get("name") or "?"
            self.upserts.append(v)
            new = name not in self.runs
            owner = {"id": "p", "name": v.get("project") or "p", "entity": {"id": "e", "name": "me"}}
            self.runs[name] = {"id": name, "name": name, "displayName": name, "config": "{}", "project": owner}
            return {"upsertBucket": {"bucket": self.runs[name], "inserted": new}}
        if "RunResumeStatus" in query and v.get("name") in self.runs:
            rows = self.history.get(v["name"], [])
            tail = json.dumps([json.dumps(row) for row in rows[-1:]])
            state = {"historyLineCount": len(rows), "historyTail": tail, "eventsLineCount": 0, "eventsTail": "[]"}
            state |= {
                "logLineCount": 0,
                "summaryMetrics": json.dumps(rows[-1] if rows else {}),
                "config": "{}",
                "tags": [],
                "wandbConfig": '{"t": 1}',
            }
            bucket = {**self.runs[v["name"]], **state}
            return {"model": {"id": "p", "name": "p", "entity": {"id": "e", "name": "me"}, "bucket": bucket}}
        if "viewer {" in query:
            return {"viewer": {"id": "u", "name": "me", "entity": "me", "username": "me", "teams": {"edges": []}}}
        if "SweepWithRuns" in query:
            return {"project": {"sweep": {"id": "s", "name": v["sweep"], "config": self.sweep, "runs": {"edges": []}}}}
        if "CreateAgent" in query:
            return {"createAgent": {"agent": {"id": "a"}}}
        if "Heartbeat" in query:
            told, self.commands = self.commands, []
            return {"agentHeartbeat": {"agent": {"id": "a"}, "commands": json.dumps(told)}}
        if "createRunFiles" in query:
            files = [{"name": name, "uploadUrl": f"{self.url}/upload"} for name in v["files"]]
            return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}
        return {}
