"""Drives the guide's example SP over HTTP: what docs/reference/sp-interface demands of every provider."""
import concurrent.futures
import http.client
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import unittest

DOCS = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "reference", "sp-interface")
ENDED = ("succeeded", "failed", "stopped")


def new_id():
    digits = f"{time.time_ns() // 1_000_000:012x}7{secrets.token_hex(2)[1:]}8{secrets.token_hex(8)[1:]}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


class ExampleSP:
    """The example in a process of its own."""

    def __init__(self, state):
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(DOCS, "example_sp.py"), "--port", "0", "--state", state],
            stdout=subprocess.PIPE, text=True)
        self.port = int(re.fullmatch(r"listening http://127\.0\.0\.1:(\d+)\n", self.process.stdout.readline())[1])

    def call(self, method, path, body=None, headers={}):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if text else None, answer.headers

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


class ExampleSPTests(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.state = os.path.join(self.directory.name, "state.db")
        self.sp = ExampleSP(self.state)

    def tearDown(self):
        self.sp.kill()
        self.directory.cleanup()

    def job(self, **more):
        config = {"parameters": {"text": "to be or not to be"}}
        return {"id": new_id(), "service": "word-count", "tenant": "acme", "config": config} | more

    def slow(self, **more):
        return self.job(config={"parameters": {"text": "a " * 1000, "pace_ms": 50}} | more)

    def wait(self, id, *states):
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            job = self.sp.call("GET", f"/jobs/{id}")[1]
            if job["state"] in states:
                return job
            time.sleep(0.02)
        self.fail(f"{id} is still {job['state']}")

    def test_a_job_runs_and_its_submit_is_idempotent(self):
        job = self.job(labels={"run_id": "r"})
        status, body, headers = self.sp.call("POST", "/jobs/", job)
        self.assertEqual((status, headers["Location"]), (201, f"/jobs/{job['id']}"))
        end = self.wait(job["id"], *ENDED)
        self.assertEqual((end["state"], end["outputs"]["words"]), ("succeeded", {"value": 6}))
        self.assertEqual(end["labels"], {"run_id": "r"})
        self.assertEqual(self.sp.call("POST", "/jobs", job)[:2], (200, end))
        self.assertEqual(self.sp.call("POST", "/jobs/", job | {"tenant": "other"})[0], 409)
        self.assertEqual(self.sp.call("GET", f"/jobs/{job['id']}")[1], end)

    def test_the_same_submit_from_many_callers_makes_one_job(self):
        job = self.job()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = [f.result()[0] for f in [pool.submit(self.sp.call, "POST", "/jobs/", job) for _ in range(16)]]
        self.assertEqual(sorted(answers), [200] * 15 + [201])

    def test_stop_is_idempotent_and_keeps_the_record(self):
        job = self.slow()
        self.sp.call("POST", "/jobs/", job)
        self.wait(job["id"], "running")
        status, body, _ = self.sp.call("POST", f"/jobs/{job['id']}", {"action": "stop", "reason": "test"})
        self.assertEqual((status, body["state"]), (202, "stopping"))
        end = self.wait(job["id"], *ENDED)
        self.assertEqual((end["state"], "finished" in end, "error" in end), ("stopped", True, False))
        self.assertEqual(self.sp.call("POST", f"/jobs/{job['id']}", {"action": "stop"})[:2], (200, end))

    def test_timeout_and_deadline_fail_their_jobs(self):
        late = self.job(deadline="2020-01-01T00:00:00Z")
        self.sp.call("POST", "/jobs/", late)
        slow = self.slow(timeout_s=1)
        self.sp.call("POST", "/jobs/", slow)
        self.assertEqual(self.wait(late["id"], *ENDED)["error"]["type"], "urn:oms:problem:deadline")
        self.assertEqual(self.wait(slow["id"], *ENDED)["error"]["type"], "urn:oms:problem:timeout")

    def test_a_killed_provider_finds_its_jobs_again(self):
        done, running = self.job(), self.slow()
        self.sp.call("POST", "/jobs/", done)
        end = self.wait(done["id"], "succeeded")
        self.sp.call("POST", "/jobs/", running)
        self.wait(running["id"], "running")
        before = self.sp.call("GET", "/status")[1]["started_at"]
        self.sp.kill()
        self.sp = ExampleSP(self.state)
        self.assertEqual(self.sp.call("GET", f"/jobs/{done['id']}")[1], end)
        self.assertEqual(self.wait(running["id"], *ENDED)["error"]["type"], "urn:oms:problem:internal")
        self.assertEqual(self.sp.call("POST", "/jobs/", done)[0], 200)
        self.assertGreater(self.sp.call("GET", "/status")[1]["started_at"], before)

    def test_the_list_is_an_ordered_feed_with_filters_and_pages(self):
        jobs = [self.job(tenant=tenant) for tenant in ("acme", "other", "acme", "acme", "other")]
        for job in jobs:
            self.sp.call("POST", "/jobs/", job)
            self.wait(job["id"], "succeeded")
        whole = self.sp.call("GET", "/jobs/")[1]
        self.assertEqual([j["id"] for j in whole["jobs"]], [j["id"] for j in jobs])
        self.assertEqual(whole["statistics"]["counts"]["succeeded"], 5)
        ids = lambda query: [j["id"] for j in self.sp.call("GET", "/jobs/?" + query)[1]["jobs"]]
        self.assertEqual(ids("tenant=other"), [jobs[1]["id"], jobs[4]["id"]])
        self.assertEqual(ids(f"id={jobs[3]['id']},{jobs[0]['id']}"), [jobs[0]["id"], jobs[3]["id"]])
        self.assertEqual(ids("state=failed,queued"), [])
        self.assertEqual(ids("updated_since=" + whole["jobs"][3]["updated"]), [j["id"] for j in jobs[3:]])
        found, token = [], ""
        for _ in range(3):
            page = self.sp.call("GET", "/jobs/?page_size=2" + token)[1]
            found += [j["id"] for j in page["jobs"]]
            token = "&page_token=" + page.get("next_page_token", "").replace(" ", "%20")
        self.assertEqual(found, [j["id"] for j in jobs])
        self.assertNotIn("next_page_token", page)
        for query in ("page_size=0", "page_size=1001", "page_token=x", "state=nope", "id=7", "updated_since=soon"):
            self.assertEqual(self.sp.call("GET", "/jobs/?" + query)[0], 400, query)

    def test_what_is_wrong_is_refused_by_a_problem(self):
        self.assertEqual(self.sp.call("POST", "/jobs/", b"{")[0], 400)
        self.assertEqual(self.sp.call("POST", "/jobs/", b'{"id": NaN}')[0], 400)
        self.assertEqual(self.sp.call("POST", "/jobs/", b"[]")[0], 400)
        self.assertEqual(self.sp.call("POST", "/jobs/", b" " * (300 << 10))[0], 413)
        self.assertEqual(self.sp.call("POST", "/jobs/", self.job(service="other"))[0], 404)
        status, problem, headers = self.sp.call("POST", "/jobs/", {"id": "7", "labels": 3, "config": []})
        self.assertEqual((status, headers["Content-Type"]), (422, "application/problem+json"))
        pointers = ["/id", "/service", "/tenant", "/config/parameters/text", "/config/timeout_s",
                    "/config/parameters/pace_ms", "/labels"]
        self.assertEqual([e["pointer"] for e in problem["errors"]], pointers)
        self.assertEqual(self.sp.call("GET", f"/jobs/{new_id()}")[1]["type"], "urn:oms:problem:no-such-job")
        self.assertEqual(self.sp.call("POST", f"/jobs/{new_id()}", {"action": "stop"})[0], 404)
        self.assertEqual(self.sp.call("GET", "/services/other")[0], 404)
        self.assertEqual(self.sp.call("GET", "/elsewhere")[0], 404)
        status, _, headers = self.sp.call("DELETE", "/services")
        self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD"))

    def test_a_connection_serves_many_requests_without_delay(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.sp.port, timeout=10)
        began = time.monotonic()
        for path in ("/services", "/services/word-count", "/status/", "/jobs") * 5:
            connection.request("GET", path)
            answer = connection.getresponse()
            self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, "application/json"))
            answer.read()
        self.assertLess(time.monotonic() - began, 0.8)  # 20 delayed acknowledgements of 40 ms are what must not be
        connection.close()


if __name__ == "__main__":
    unittest.main()
