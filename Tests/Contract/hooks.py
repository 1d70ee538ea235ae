"""Makes what schemathesis generates hang together, so that it gets past the door.

The document cannot say that a header repeats a member of the body, which services there are or that an epoch seldom
falls. Left alone, nearly every generated submit is refused; with this most become jobs. Wrong ("negative") cases stay
as they were generated.
"""
import itertools
import os
import secrets
import time

import schemathesis
from schemathesis.generation import GenerationMode

LOG = {"uri": "sqlite:///log.db"}
HARVEST = {"data_source": {"uri": "file:///men-items.csv"}, "output_source": LOG, "parameters": {"table": "log"}}
# service, what its config needs
SERVICES = {
    "reference-sp": [
        ("harvest", HARVEST),
        ("recommend", {"data_source": LOG, "parameters": {"table": "log", "sources": ["default"]}}),
        ("optimise", {"data_source": LOG, "parameters": {"table": "log", "control": "a", "treatment": "b"}}),
    ],
    "example_sp": [("word-count", {"parameters": {"text": "to be or not to be", "pace_ms": 1}})],
}[os.environ["OMS_CONTRACT_PROVIDER"]]
submits = itertools.count()


def new_id():
    digits = f"{time.time_ns() // 1_000_000:012x}7{secrets.token_hex(2)[1:]}8{secrets.token_hex(8)[1:]}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    operation = case.operation.definition.raw.get("operationId")
    if operation == "listJobs":
        case.query.pop("page_token", None)  # tokens are opaque: a made-up one is rightly refused
    elif operation == "controlJob":
        case.headers.pop("OMS-Tenant", None)  # must be the job's
        if "OMS-Epoch" in case.headers:
            case.headers["OMS-Epoch"] = "9007199254740991"
    elif operation == "submitJob" and isinstance(case.body, dict):
        complete(case, case.body, next(submits))


def complete(case, body, number):
    if number % 4:  # else: as generated; the same id comes again and again
        body["id"] = new_id()
    if number % 2:
        body.pop("deadline", None)  # most generated ones are in the past
    if number % 6:
        body["service"], config = SERVICES[number % len(SERVICES)]
        kept = {name: value for name, value in body.get("config", {}).items() if name in ("frequency", "timeout_s")}
        body["config"] = kept | config
        body.pop("input", None)
        body["config"]["timeout_s"] = min(kept.get("timeout_s", 60), 86_400)
    if "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = f'"{body["id"]}"'
    if "OMS-Tenant" in case.headers:
        case.headers["OMS-Tenant"] = body["tenant"]
    if "OMS-Epoch" in case.headers and number % 5:
        case.headers["OMS-Epoch"] = "9007199254740991"
