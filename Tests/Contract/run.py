"""The contract tests: run.py DIRECTORY_OF_PROGRAMS, with the tools of scripts/python-tools."""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DOCUMENT = os.path.join(ROOT, "docs", "reference", "sp-interface", "openapi.yaml")
GUIDE = os.path.join(ROOT, "docs", "reference", "sp-interface", "README.md")
EXAMPLE = os.path.join(ROOT, "docs", "reference", "sp-interface", "example_sp.py")
TOOLS = os.path.dirname(sys.executable)
EXAMPLES = os.environ.get("OMS_CONTRACT_EXAMPLES", "20")


def fail(what, text=""):
    if text:
        print(text[-12_000:], file=sys.stderr)
    print(f"Contract: FAILED: {what}", file=sys.stderr)
    sys.exit(1)


def run(what, command, **more):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, **more)
    if result.returncode != 0:
        fail(what, result.stdout)
    return result.stdout


def against(name, command, directory, verify, *options):
    """Starts a provider on a free port, lets schemathesis loose on it, and looks that it has survived."""
    log = open(os.path.join(directory, name + ".log"), "w+")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=directory)
    try:
        line = process.stdout.readline()
        address = re.fullmatch(r"listening (http://127\.0\.0\.1:\d+)\n", line)
        if not address:
            fail(f"{name} does not start: '{line}'")
        began = time.monotonic()
        output = run(
            f"schemathesis against {name}",
            [os.path.join(TOOLS, "schemathesis"), "--no-color",
             "--config-file", os.path.join(HERE, "schemathesis.toml"), "run", DOCUMENT,
             "--url", address[1], "--max-examples", EXAMPLES, "--continue-on-failure", *options],
            cwd=directory, env=os.environ | {
                "OMS_CONTRACT_PROVIDER": name, "SCHEMATHESIS_HOOKS": os.path.join(HERE, "hooks.py")})
        # A document that lost its operations, or a provider that refused everything, would pass as well.
        cases = re.search(r"(\d+) generated, (\d+) passed", output)
        if not cases or int(cases[1]) < 300:
            fail(f"schemathesis against {name} tried too little", output)
        jobs = ended(address[1])
        if jobs < 10:
            fail(f"only {jobs} jobs of schemathesis ran at {name}", output)
        if process.poll() is not None:
            fail(f"{name} ended", open(log.name).read())
        took = time.monotonic() - began
        # The kit counts today's jobs, so nothing else may run meanwhile.
        report = run(f"oms sp verify of {name}", [*verify[:3], address[1], *verify[3:]])
        found = re.search(r"(\d+) pass, \d+ warn, 0 fail", report)
        if not found:
            fail(f"oms sp verify of {name} says nothing", report)
        print(f"Contract: schemathesis against {name}: {cases[1]} cases, {jobs} jobs, nothing found, {took:.0f} s")
        print(f"Contract: oms sp verify of {name}: {found[0]}")
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        log.close()


def ended(base):
    """How many jobs the provider says it has executed."""
    import requests  # a dependency of schemathesis

    return requests.get(base + "/status", timeout=10).json()["jobs"]["executed_today"]


def check_guide():
    """The guide must not promise what is not there."""
    guide = open(GUIDE).read()
    rules = re.findall(r'<a id="(R-[A-Z]+-\d+)"></a>\*\*(R-[A-Z]+-\d+)\*\*', guide)
    wrong = [anchor for anchor, name in rules if anchor != name]
    twice = {anchor for anchor, _ in rules if sum(anchor == other for other, _ in rules) > 1}
    if wrong or twice or len(rules) < 40:
        fail(f"rules of the guide: {len(rules)} found, wrong anchors {wrong}, twice {sorted(twice)}")
    kit = open(os.path.join(ROOT, "Sources", "ProviderVerifier", "VerifyRule.swift")).read()
    missing = set(re.findall(r'"(R-[A-Z]+-\d+)"', kit)) - {name for _, name in rules}
    if missing:
        fail(f"oms sp verify names rules that the guide does not have: {sorted(missing)}")
    slugs = set(re.findall(r"^\| `([a-z-]+)` \|", guide.split("## 5. Errors")[1].split("## 6.")[0], re.M))
    source = open(os.path.join(ROOT, "Sources", "OMSModel", "Values", "Problem.swift")).read()
    known = re.search(r"enum ProblemSlug.*?// what OMS itself says", source, re.S)[0]
    known = set(re.findall(r'case `?(\w+)`?$', known, re.M)) | set(re.findall(r'= "([a-z-]+)"', known))
    missing = {slug for slug in known if re.fullmatch("[a-z-]+", slug)} - slugs
    if missing:
        fail(f"the guide's error catalogue lacks {sorted(missing)}")
    return len(rules)


def main():
    programs = os.path.abspath(sys.argv[1])
    verify = [os.path.join(programs, "oms"), "sp", "verify"]
    began = time.monotonic()
    run("openapi-spec-validator", [os.path.join(TOOLS, "openapi-spec-validator"), "--schema", "3.1", DOCUMENT])
    print(f"Contract: openapi.yaml is valid OpenAPI 3.1; the guide has {check_guide()} rules")
    directory = tempfile.mkdtemp(prefix="oms-contract-")
    try:
        os.mkdir(os.path.join(directory, "store"))
        against(
            "reference-sp",
            [os.path.join(programs, "reference-sp"), "--port", "0", "--name", "contract",
             "--data-root", os.path.join(ROOT, "examples/open-bandit/data"),
             "--store-root", os.path.join(directory, "store"), "--state", os.path.join(directory, "state.db")],
            directory, [*verify, "--service", "harvest",
                        "--config", os.path.join(ROOT, "examples", "verify", "reference-sp.yaml")])
        # The example has none of the optional features, so it may ignore the headers that belong to them.
        against(
            "example_sp", [sys.executable, EXAMPLE, "--port", "0", "--state", os.path.join(directory, "example.db")],
            directory, verify, "--exclude-operation-id", "getResults", "--exclude-checks", "negative_data_rejection")
        tests = run("example_sp_test.py", [sys.executable, "-W", "error", os.path.join(HERE, "example_sp_test.py")])
        print("Contract: example_sp.py:", re.search(r"Ran (\d+) tests", tests)[1], "tests passed")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(f"Contract: passed in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
