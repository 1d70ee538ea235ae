#!/usr/bin/env python3
"""A Service Provider in one file: Python 3.11, standard library only. README.md section 7 walks through it.

    python3 example_sp.py --port 18090 --state /tmp/example-sp.db

Its service, 'word-count', counts the words of a text, with a pause of pace_ms after each."""
import argparse, hashlib, json, re, sqlite3, threading, time
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

STATES = ("queued", "running", "stopping", "succeeded", "failed", "stopped")
RETENTION_S, WORKERS, MAX_QUEUED = 86_400, 4, 200
SERVICE = {"id": "word-count", "type": "word-count", "version": "1.0.0", "name": "Word count", "available": True,
           "cancel": "cooperative", "safe_to_run_twice": True, "defaults": {"timeout_s": 60},
           "parameters_schema": {
               "type": "object", "required": ["text"], "properties": {
                   "text": {"type": "string"}, "pace_ms": {"type": "integer", "minimum": 0, "maximum": 10_000}},
               "examples": [{"text": "to be or not to be"}, {"text": "a " * 100, "pace_ms": 1000}]}}

def now(): return time.time_ns() // 1_000_000  # all times are milliseconds
def stamp(at): return datetime.fromtimestamp(at / 1000, timezone.utc).isoformat(timespec="milliseconds")[:-6] + "Z"
def parsed(text): return round(datetime.fromisoformat(text.upper().replace(" ", "+")).timestamp() * 1000)

class Problem(Exception):
    def __init__(self, status, slug, detail, **more):
        self.status, self.body = status, {"type": f"urn:oms:problem:{slug}", "status": status, "detail": detail, **more}

# ---- What callers may send: member -> rule. Unknown members are ignored; everything wrong is named at once.
def text(pattern): return lambda v: isinstance(v, str) and bool(re.fullmatch(pattern, v, re.S))
def whole(low, high): return lambda v: type(v) in (int, float) and v == int(v) and low <= v <= high
def a_time(v): return text(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+ -]\d\d:\d\d)")(v.upper()) and stamp(parsed(v))
NAME, ID = r"[a-z0-9][a-z0-9-]{0,62}", r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
JOB = {"id": text(ID), "service": text(NAME), "tenant": text(NAME), "config/parameters/text": text(".*")}
JOB_MORE = {"config/timeout_s": whole(1, 2_592_000), "config/parameters/pace_ms": whole(0, 10_000), "deadline": a_time,
            "labels": lambda v: all(isinstance(value, str) for value in v.values())}
STOP, STOP_MORE = {"action": text("stop")}, {"grace_s": whole(0, 86_400), "reason": text(".{0,1024}")}
QUERY = {"tenant": text(NAME), "service": text(NAME), "id": text(f"{ID}(,{ID}){{0,99}}"), "updated_since": a_time,
         "state": lambda v: set(v.split(",")) <= set(STATES), "page_token": text(rf"\d{{4}}-[\d:TZ.-]+ {ID}"),
         "page_size": lambda v: v.isdecimal() and 1 <= int(v) <= 1000}

def errors(body, required, optional):
    for path, rule in (required | optional).items():
        try:
            value = body
            for member in path.split("/"): value = value[member]
            if not rule(value): raise ValueError
        except KeyError:
            if path in required: yield {"pointer": "/" + path, "detail": "is required"}
        except (ValueError, TypeError, AttributeError, OverflowError):
            yield {"pointer": "/" + path, "detail": "is malformed"}

def plain(value):  # 66.0 and 66 are the same request
    if isinstance(value, dict): return {name: plain(member) for name, member in value.items()}
    if isinstance(value, list): return [plain(item) for item in value]
    return int(value) if isinstance(value, float) and value == int(value) else value

# ---- The jobs: in memory, and in SQLite before anybody hears of a change. All access holds `lock`.
class Jobs:
    def __init__(self, path):
        self.db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.db.execute("PRAGMA synchronous=FULL")
        self.db.execute("CREATE TABLE IF NOT EXISTS entry (id TEXT PRIMARY KEY, json TEXT)")
        self.all = {id: json.loads(text) for id, text in self.db.execute("SELECT * FROM entry")}
        self.lock, self.started, self.stops = threading.Condition(threading.RLock()), now(), {}
        self.last = max((parsed(e["job"]["updated"]) for e in self.all.values()), default=0)
        with self.lock:
            for entry in self.having("running", "stopping"):  # what a restart interrupted
                self.change(entry, state="failed", error=("internal", "the provider was restarted"))
        for _ in range(WORKERS): threading.Thread(target=self.worker, daemon=True).start()

    def having(self, *states): return [entry for entry in self.all.values() if entry["job"]["state"] in states]

    def change(self, entry, error=None, **members):
        self.last = max(now(), self.last + 1)  # the list is a feed: `updated` grows, whatever the clock does
        job = entry["job"] | members | {"updated": stamp(self.last), "revision": entry["job"].get("revision", 0) + 1}
        if job["state"] in STATES[3:]: job["finished"] = job["updated"]
        if error: job["error"] = {"type": "urn:oms:problem:" + error[0], "detail": error[1], "retryable": True}
        self.db.execute("REPLACE INTO entry VALUES (?, ?)", (job["id"], json.dumps(entry | {"job": job})))
        self.all[job["id"]] = entry | {"job": job}
        self.lock.notify_all()
        return job

    def tidy(self):  # deadlines and retention, before every look at the jobs
        for entry in self.having("queued"):
            if "deadline" in entry["request"] and parsed(entry["request"]["deadline"]) <= now():
                self.change(entry, state="failed", error=("deadline", "not started by its deadline"))
        for entry in self.having(*STATES[3:]):
            if entry["job"]["finished"] < stamp(now() - RETENTION_S * 1000):
                self.db.execute("DELETE FROM entry WHERE id = ?", (entry["job"]["id"],))
                del self.all[entry["job"]["id"]]

    def submit(self, request):
        digest = hashlib.sha256(json.dumps(plain(request), sort_keys=True).encode()).hexdigest()
        if known := self.all.get(request["id"]):
            if known["digest"] != digest: raise Problem(409, "id-conflict", "the id belongs to another request")
            return 200, known["job"]
        if request["service"] != SERVICE["id"]: raise Problem(404, "no-such-service", "see GET /services")
        if len(self.having("queued")) >= MAX_QUEUED: raise Problem(429, "busy", f"{MAX_QUEUED} jobs wait already")
        job = {name: request[name] for name in ("id", "service", "tenant", "labels") if name in request}
        entry = {"request": request, "digest": digest, "job": job}
        return 201, self.change(entry, state="queued", created=stamp(now()))

    def get(self, id):
        if id in self.all: return self.all[id]
        raise Problem(404, "no-such-job", "there is no such job here")

    def stop(self, id, reason):
        entry = self.get(id)
        if entry["job"]["state"] == "queued": return 200, self.change(entry, state="stopped", message=reason)
        if entry["job"]["state"] == "running":
            self.stops[id].set()
            return 202, self.change(entry, state="stopping", message=reason)
        return (202 if entry["job"]["state"] == "stopping" else 200), entry["job"]

    def page(self, query):
        def among(job, *names): return all(job[n] in query[n].split(",") for n in names if n in query)
        def key(job): return job["updated"] + " " + job["id"]
        seen = [entry["job"] for entry in self.all.values() if among(entry["job"], "tenant", "service")]
        since = stamp(parsed(query["updated_since"])) if "updated_since" in query else ""
        found = sorted((job for job in seen if among(job, "state", "id") and job["updated"] >= since
                        and key(job) > query.get("page_token", "")), key=key)
        jobs, room = [], 500_000  # callers read at most 1 MiB of an answer
        for job in found[:int(query.get("page_size", 100))]:
            room -= len(json.dumps(job))
            if jobs and room < 0: break
            jobs.append(job)
        counts = {state: sum(job["state"] == state for job in seen) for state in STATES}
        page = {"statistics": {"as_of": stamp(now()), "counts": counts}, "jobs": jobs}
        return page | ({"next_page_token": key(jobs[-1])} if len(found) > len(jobs) else {})

    def status(self):
        date = stamp(now())[:10]
        today = {state: sum(e["job"]["finished"][:10] == date for e in self.having(state)) for state in STATES[3:]}
        return {"status": "pass", "version": "1", "time": stamp(now()), "started_at": stamp(self.started),
                "uptime_s": (now() - self.started) // 1000, "accepting": True, "retention_s": RETENTION_S,
                "jobs": {"queued": len(self.having("queued")), "running": len(self.having("running", "stopping")),
                         "executed_today": sum(today.values()), **{state + "_today": n for state, n in today.items()}}}

    def worker(self):
        while True:
            with self.lock:
                self.tidy()
                waiting = sorted(self.having("queued"), key=lambda entry: entry["job"]["created"])
                if not waiting:
                    self.lock.wait(1)
                    continue
                job = self.change(waiting[0], state="running", attempt=1, started=stamp(now()))
                stop = self.stops[job["id"]] = threading.Event()
            try: end = count_words(waiting[0]["request"], stop)
            except Exception as fault: end = {"state": "failed", "error": ("job-failed", repr(fault)[:1000])}
            with self.lock:
                self.change(self.all[job["id"]], **end)
                del self.stops[job["id"]]

# ---- The work: looks at `stop` and at the clock all the time.
def count_words(request, stop):
    config, words = request["config"], request["config"]["parameters"]["text"].split()
    end, pace = time.monotonic() + config.get("timeout_s", 60), config["parameters"].get("pace_ms", 0) / 1000
    for _ in words:
        if stop.wait(max(0, min(pace, end - time.monotonic()))): return {"state": "stopped"}
        if time.monotonic() >= end: return {"state": "failed", "error": ("timeout", "ran longer than timeout_s")}
    return {"state": "succeeded", "outputs": {"words": {"value": len(words)}, "different": {"value": len(set(words))}}}

# ---- HTTP
class Handler(BaseHTTPRequestHandler):
    protocol_version, wbufsize, timeout = "HTTP/1.1", -1, 75  # buffered: head and body leave in one packet

    def __getattr__(self, name):  # do_GET, do_POST and every other method, which gets 405
        if name.startswith("do_"): return self.serve
        raise AttributeError(name)

    def serve(self):
        self.more, self.unread = {}, "Content-Length" in self.headers
        try:
            if self.headers.get("OMS-SP-Version", "1") != "1": raise Problem(412, "version", "this is version 1")
            body = self.body() if self.command == "POST" and self.path.startswith("/jobs") else None
            with jobs.lock:
                jobs.tidy()
                answer = *self.route(body), "application/json"
        except Problem as problem:
            answer = problem.status, problem.body, "application/problem+json"
        self.reply(*answer)

    def route(self, body):
        url = urlsplit(self.path)
        allowed = "GET, HEAD, POST" if url.path.startswith("/jobs") else "GET, HEAD"
        match url.path.removesuffix("/").split("/")[1:]:
            case ["jobs" | "services" | "status", *rest] if len(rest) < 2 and self.command not in allowed.split(", "):
                self.more = {"Allow": allowed}
                raise Problem(405, "bad-request", f"allowed: {allowed}")
            case ["services"]: return 200, {"services": [SERVICE]}
            case ["services", "word-count"]: return 200, SERVICE
            case ["services", _]: raise Problem(404, "no-such-service", "see GET /services")
            case ["status"]: return 200, jobs.status()
            case ["jobs"] if body is not None:
                return jobs.submit(self.checked(body, 422, "invalid-config", JOB, JOB_MORE))
            case ["jobs"]:
                query = {name: values[-1] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
                return 200, jobs.page(self.checked(query, 400, "bad-request", {}, QUERY))
            case ["jobs", id] if body is not None:
                reason = self.checked(body, 422, "invalid-config", STOP, STOP_MORE).get("reason", "stopped on request")
                return jobs.stop(unquote(id), reason)
            case ["jobs", id]: return 200, jobs.get(unquote(id))["job"]
        raise Problem(404, "not-found", "see /services, /jobs/ and /status")

    def checked(self, value, status, slug, required, optional):
        found = list(errors(value, required, optional))
        if found: raise Problem(status, slug, "; ".join(f"{e['pointer']} {e['detail']}" for e in found), errors=found)
        return value

    def body(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > 256 << 10:
            raise Problem(413, "too-large", "send at most 256 KiB, with Content-Length")
        self.unread = False
        try:
            body = json.loads(self.rfile.read(int(length)))
            json.dumps(body, ensure_ascii=False, allow_nan=False).encode()  # no NaN, no half characters
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict): raise Problem(400, "bad-request", "the body is no JSON object")
        return body

    def reply(self, status, body, kind):
        data = json.dumps(body).encode()
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(data))} | self.more
        if status == 429 or body.get("state") in STATES[:3]: headers["Retry-After"] = "1"
        if status == 201: headers["Location"] = f"/jobs/{body['id']}"
        if self.unread: self.close_connection = True  # what was not read is not the next request
        if self.close_connection: headers["Connection"] = "close"
        for name, value in headers.items(): self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD": self.wfile.write(data)

    def log_message(self, *_): pass

if __name__ == "__main__":
    flags = argparse.ArgumentParser(description="Example Service Provider: counts words.")
    flags.add_argument("--port", type=int, default=18090, help="0 takes any free one")
    flags.add_argument("--state", required=True, help="SQLite file for its jobs")
    flags = flags.parse_args()
    jobs = Jobs(flags.state)
    server = ThreadingHTTPServer(("127.0.0.1", flags.port), Handler)
    print(f"listening http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
