"""Runs the example and compares every message at its broker with docs/reference/asyncapi.yaml: traffic.py DIRECTORY_OF_PROGRAMS

Ends when every channel was seen. What operators seldom do is done here, so that there is something to see.
"""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import yaml

import asyncapi

SECONDS = 90


def wait(what, condition, until):
    while not (found := condition()):
        if time.monotonic() > until:
            sys.exit(f"AsyncAPI: {what} took longer than {SECONDS} s")
        time.sleep(0.2)
    return found


def read(path):
    with open(path) as text:
        return text.read()


def watch(oms, directory, messages, until):
    """The lines of mosquitto_sub, once there is one of each channel."""
    out = os.path.join(directory, "dev.log")
    lines = os.path.join(directory, "traffic.jsonl")
    processes = []
    try:
        with open(out, "w") as log:
            processes.append(subprocess.Popen(
                [oms, "dev", "--demo", "--example", os.path.join(asyncapi.ROOT, "examples", "open-bandit")],
                stdout=log, stderr=subprocess.STDOUT, cwd=directory))
        shown = wait("the start of oms dev", lambda: re.search(
            r"mosquitto_sub (.*) -v -t .*\n(?:.*\n)*  source (\S+)\n(?:.*\n)*ready\n", read(out)), until)
        with open(lines, "w") as file:
            processes.append(subprocess.Popen(
                ["mosquitto_sub", *shown[1].split(), "-q", "1", "--retain-as-published", "-F", "%J", "-t", "#"],
                stdout=file))
        wait("the first message", lambda: read(lines), until)
        environment = os.environ | dict(re.findall(r"export (OMS_\w+)='?([^'\n]*)'?", read(shown[2])))

        def operate(*command):
            result = subprocess.run([oms, *command], env=environment, capture_output=True, text=True, timeout=60)
            if result.returncode != 0:
                sys.exit(f"AsyncAPI: oms {' '.join(command)}: {result.stderr}")

        wait("a result", lambda: "/result\"" in read(lines), until)
        operate("status")
        operate("replace", "men", "--wait")
        # An operator asks on the topic of commands; who only reads, on that of questions.
        environment |= {"OMS_MQTT_USER": "monitor", "OMS_MQTT_PASSWORD_FILE":
                        environment["OMS_MQTT_PASSWORD_FILE"].replace("mqtt-admin", "mqtt-monitor")}
        operate("get", "tenants")

        def complete():
            written = read(lines).split("\n")[:-1]
            return written if all(asyncapi.traffic(messages, written)[0].values()) else None

        return wait("a message of each channel", complete, until)
    finally:
        for process in reversed(processes):
            process.send_signal(signal.SIGINT)
            process.wait(30)


def main():
    with open(asyncapi.DOCUMENT) as text:
        messages = asyncapi.Messages(yaml.safe_load(text))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="oms-traffic-") as directory:
        lines = watch(os.path.join(os.path.abspath(sys.argv[1]), "oms"), directory, messages, began + SECONDS)
    counts, found = asyncapi.traffic(messages, lines)
    for text in found[:50]:
        print(text, file=sys.stderr)
    if found:
        sys.exit("AsyncAPI: FAILED: the running system says something else than docs/reference/asyncapi.yaml")
    print(f"AsyncAPI: {sum(counts.values())} messages of a running system fit, at least {min(counts.values())} on each "
          f"of {len(counts)} channels, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
