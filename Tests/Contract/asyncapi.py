"""Checks docs/reference/asyncapi.yaml, and messages against it, with the tools of scripts/python-tools.

    asyncapi.py                   the document's form, the golden messages, and that the checks refuse what is broken
    asyncapi.py cases             messages right and wrong with the schemas' verdict, one JSON line each:
                                  Tests/OMSProtocolTests/SchemaAgreementTests.swift asks the readers for theirs
    asyncapi.py traffic           reads lines of mosquitto_sub -V 5 -q 1 --retain-as-published -F %J -t '#'; what
                                  traffic.py does with a system of its own
"""
import copy
import json
import os
import re
import sys
import warnings

import jsonschema
import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOCUMENT = os.path.join(ROOT, "docs", "reference", "asyncapi.yaml")
GOLDEN = os.path.join(ROOT, "Tests", "OMSProtocolTests", "Golden")


def walk(node, path=""):
    yield path, node
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else []
    for key, value in items:
        yield from walk(value, f"{path}/{key}")


def resolve(document, reference):
    node = document
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def lint(document):
    """What is wrong with the document, beyond what a JSON Schema of AsyncAPI can say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of asyncapi3 about its own field names
        from asyncapi3 import AsyncAPI3
    try:
        AsyncAPI3.model_validate(document)
    except ValueError as error:
        return [f"asyncapi3: {error}"]
    found, used = [], set()
    for path, node in walk(document):
        if not isinstance(node, dict) or not isinstance(node.get("$ref"), str):
            continue
        used.add(node["$ref"])
        if len(node) > 1:
            found.append(f"{path}: something beside a $ref, which older drafts ignore")
        try:
            resolve(document, node["$ref"])
        except KeyError:
            found.append(f"{path}: {node['$ref']} is not there")
    if found:
        return found
    components, channels = document["components"], document["channels"]
    for kind in ("parameters", "messages", "schemas"):
        found += [f"{kind} {name}: not used" for name in components[kind] if f"#/components/{kind}/{name}" not in used]
    for name, channel in channels.items():
        address = channel["address"]
        if not re.fullmatch(r"([a-z]+|\{[a-z]+\})(/([a-z]+|\{[a-z]+\}))*", address):
            found.append(f"channel {name}: '{address}' is no address")
        if set(re.findall(r"\{(\w+)\}", address)) != set(channel.get("parameters", {})):
            found.append(f"channel {name}: its parameters are not those of '{address}'")
        operations = [o for o in document["operations"].values() if o["channel"]["$ref"] == f"#/channels/{name}"]
        senders = [o for o in operations if o["action"] == "send"]
        if len(senders) != 1 or len(operations) != 2 or len(channel["messages"]) != 1:
            found.append(f"channel {name}: not one message, one operation that sends and one that receives")
        for operation in operations:
            if not operation.get("tags") or "qos" not in operation.get("bindings", {}).get("mqtt", {}):
                found.append(f"channel {name}: an operation without roles or without QoS")
    for name, schema in components["schemas"].items():
        for draft in (jsonschema.Draft7Validator, jsonschema.Draft202012Validator):
            try:
                draft.check_schema(schema)
            except jsonschema.SchemaError as error:
                found.append(f"schema {name}: {error.message}")
    for name, message in components["messages"].items():
        properties = message["payload"]["allOf"][1]["properties"]
        if properties["type"]["const"] != message["name"]:
            found.append(f"message {name}: its name is not its type")
        member = message.get("correlationId", {}).get("location", "").removeprefix("$message.payload#/data/")
        data = resolve(document, properties["data"]["$ref"])
        if member and member not in data["required"]:
            found.append(f"message {name}: no '{member}' to correlate by")
    return found


class Messages:
    """The messages of each channel."""

    def __init__(self, document):
        self.document = document
        self.channels = document["channels"]
        self.schemas, self.validators = {}, {}
        for name, channel in self.channels.items():
            message = resolve(document, next(iter(channel["messages"].values()))["$ref"])
            # The references are those of the whole document.
            schema = message["payload"] | {"components": {"schemas": document["components"]["schemas"]}}
            self.schemas[name] = schema
            self.validators[name] = jsonschema.Draft202012Validator(
                schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)

    def channel(self, topic):
        names = [name for name, channel in self.channels.items()
                 if re.fullmatch(re.sub(r"\{\w+\}", "[a-z0-9-]+", channel["address"]), topic)]
        return names[0] if len(names) == 1 else None

    def error(self, name, message):
        error = jsonschema.exceptions.best_match(self.validators[name].iter_errors(message))
        return error and f"{error.json_path}: {error.message}"

    def full(self, schema, without):
        """A message with every member that the schema has, but for one name."""
        if "$ref" in schema:
            return self.full(resolve(self.document, schema["$ref"]), without)
        if "allOf" in schema:
            return {key: value for part in schema["allOf"] for key, value in self.full(part, without).items()}
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][-1]
        known = {"^[a-z0-9][a-z0-9-]{0,62}$": "a-1", None: "text"}
        match schema.get("type"):
            case "object":
                members = {key: self.full(value, without) for key, value in schema.get("properties", {}).items()
                           if key != without}
                return members or {"a-1": self.full(schema["additionalProperties"], without)}
            case "array": return [self.full(schema["items"], without)]
            case "boolean": return True
            case "integer": return 7
            case "number": return 0.5
            case "string" if schema.get("format") == "date-time": return "2026-01-31T09:30:00.000Z"
            case "string": return known.get(schema.get("pattern"), "019c1354-9c40-7a3b-8d1e-0123456789ab")
            case None: return {"any": [1, None, "x"]}

    def golden(self):
        for file in sorted(os.listdir(GOLDEN)):
            with open(os.path.join(GOLDEN, file)) as text:
                yield file.removesuffix(".json"), json.load(text)


def mutants(message):
    """The message without each of its members, with a member more, and with a value of another kind at every place."""
    for path, node in list(walk(message)):
        steps = path.split("/")[1:]

        def changed(change, steps=steps):
            copied = holder = copy.deepcopy(message)
            for step in steps[:-1]:
                holder = holder[int(step) if isinstance(holder, list) else step]
            change(holder, int(steps[-1]) if isinstance(holder, list) else steps[-1])
            return copied

        if not steps:
            continue
        yield changed(lambda holder, key: holder.pop(key))
        for other in ("no such Word", "a-b", -3, 2.5, False, [], {}):
            if type(other) is not type(node) or isinstance(other, str):
                yield changed(lambda holder, key: holder.__setitem__(key, other))
        if isinstance(node, dict):
            yield changed(lambda holder, key: holder[key].__setitem__("unheard-of", {"x": 1}))


def cases(messages):
    """[topic, message, what the schema says], each message of a topic once."""
    seen = set()
    # `timezone` is how the providers' contract spells `time_zone`: it is read if the other one is not there.
    bases = list(messages.golden())
    bases += [(name, messages.full(schema, "timezone")) for name, schema in messages.schemas.items()]
    bases += [("providerCatalog", messages.full(messages.schemas["providerCatalog"], "time_zone"))]
    for name, base in bases:
        topic = re.sub(r"\{\w+\}", "x", messages.channels[name]["address"])
        for message in (base, *mutants(base)):
            line = json.dumps([topic, message], sort_keys=True)
            if line not in seen:
                seen.add(line)
                yield topic, message, not messages.error(name, message)


def traffic(messages, lines):
    counts, found = dict.fromkeys(messages.channels, 0), []
    for line in lines:
        packet = json.loads(line)
        name = messages.channel(packet["topic"])
        if not name:
            found.append(f"{packet['topic']}: no channel")
            continue
        counts[name] += 1
        if not packet["payloadlen"]:
            continue  # the thing is gone
        send = messages.document["operations"][f"send-{name}"]
        declared = send["bindings"]["mqtt"]
        if error := messages.error(name, packet["payload"]):
            found.append(f"{packet['topic']}: {error}")
        # What is retained when the subscription begins comes as QoS says, too.
        if packet["qos"] != declared["qos"] or bool(packet["retain"]) != declared["retain"]:
            found.append(f"{packet['topic']}: QoS {packet['qos']}, retain {packet['retain']}")
        roles = {"oms": "registry", "fleet": "fleet", "gateway": "gateway", "cli": "admin"}
        # The broker counts down how long it has kept a message.
        expiry = packet.get("properties", {}).get("message-expiry-interval")
        declared = declared.get("messageExpiryInterval")
        if (expiry is None) != (declared is None) or expiry and expiry > declared:
            found.append(f"{packet['topic']}: expires after {expiry} s, declared is {declared}")
        source = packet["payload"]["source"].split("/")[0]
        if roles.get(source, source) not in [tag["name"] for tag in send["tags"]]:
            found.append(f"{packet['topic']}: sent by {packet['payload']['source']}")
    return counts, found


def report(found):
    for text in found[:50]:
        print(text[:2_000], file=sys.stderr)
    sys.exit(f"AsyncAPI: FAILED: {len(found)} faults" if found else 0)


def main():
    with open(DOCUMENT) as text:
        document = yaml.safe_load(text)
    command = sys.argv[1] if len(sys.argv) > 1 else "check"
    if found := lint(document):
        report(found)  # a broken document cannot judge messages
    messages = Messages(document)
    if command == "cases":
        for topic, message, accepted in cases(messages):
            print(json.dumps({"topic": topic, "message": json.dumps(message), "accepted": accepted}))
    elif command == "traffic":
        counts, found = traffic(messages, sys.stdin)
        print("messages:", {name: count for name, count in counts.items() if count})
        print("never seen:", [name for name, count in counts.items() if not count])
    else:
        golden = list(messages.golden())
        found = [f"golden {name}: {error}" for name, message in golden if (error := messages.error(name, message))]
        if [name for name, _ in golden] != sorted(messages.channels):
            found.append("golden messages: not one for each channel")
        print(f"AsyncAPI: {len(messages.channels)} channels, {len(document['operations'])} operations, "
              f"{len(document['components']['messages'])} messages, {len(document['components']['schemas'])} schemas; "
              f"{len(golden)} golden messages fit")
    report(found)


if __name__ == "__main__":
    main()
