"""That asyncapi.py refuses what is broken: a check that accepts everything would look the same when all is well."""
import copy
import json
import unittest

import yaml

import asyncapi


def load():
    with open(asyncapi.DOCUMENT) as text:
        return yaml.safe_load(text)


DOCUMENT = load()


class Lint(unittest.TestCase):
    def refused(self, change, reason):
        document = copy.deepcopy(DOCUMENT)
        change(document)
        self.assertIn(reason, "\n".join(asyncapi.lint(document)))

    def test_the_document_is_accepted(self):
        self.assertEqual(asyncapi.lint(DOCUMENT), [])

    def test_what_the_specification_forbids(self):
        self.refused(lambda d: d["operations"]["send-wmAck"].update(action="shout"), "asyncapi3")
        self.refused(lambda d: d["operations"]["send-wmAck"]["bindings"]["mqtt"].update(qos=5), "asyncapi3")
        self.refused(lambda d: d["channels"]["wmAck"].update(adress="x"), "asyncapi3")
        self.refused(lambda d: d.pop("info"), "asyncapi3")

    def test_references(self):
        self.refused(lambda d: d["components"]["schemas"].pop("Problem"), "Problem is not there")
        self.refused(lambda d: d["components"]["schemas"].update(Odd={"type": "string"}), "Odd: not used")
        self.refused(
            lambda d: d["components"]["schemas"]["WMAck"]["properties"]["error"].update(type="object"), "beside a $ref")

    def test_addresses(self):
        self.refused(lambda d: d["channels"]["wmAck"].update(address="/tenant/{tenant}/wm/ack"), "is no address")
        self.refused(lambda d: d["channels"]["wmAck"].update(address="tenant/{tenant}/+/ack"), "is no address")
        self.refused(lambda d: d["channels"]["wmAck"].update(address="tenant/{sp}/wm/ack"), "its parameters")
        self.refused(lambda d: d["channels"]["wmAck"].pop("parameters"), "its parameters")

    def test_operations(self):
        other = {"action": "send", "channel": {"$ref": "#/channels/wmAck"}}
        self.refused(lambda d: d["operations"].update({"send-again": other}), "not one message, one operation")
        self.refused(lambda d: d["operations"].pop("send-wmAck"), "not one message, one operation")
        self.refused(lambda d: d["operations"]["send-wmAck"].pop("tags"), "without roles")

    def test_schemas(self):
        self.refused(lambda d: d["components"]["schemas"]["WMAck"].update(type="objekt"), "schema WMAck")
        self.refused(lambda d: d["components"]["schemas"]["WMAck"].update(required="id"), "schema WMAck")
        message = "oms-wm-ack-v1"
        self.refused(lambda d: d["components"]["messages"][message].update(name="x"), "its name is not its type")
        self.refused(
            lambda d: d["components"]["messages"][message].update(
                correlationId={"location": "$message.payload#/data/remaining"}), "to correlate by")


class Golden(unittest.TestCase):
    """Each golden message without a member that must be there, and with a value of a wrong type at every place."""

    def test_wrong_messages_are_refused(self):
        messages = asyncapi.Messages(DOCUMENT)
        for name, message in messages.golden():
            self.assertIsNone(messages.error(name, message))
            wrong = 0
            for mutant in asyncapi.mutants(message):
                wrong += messages.error(name, mutant) is not None
            # The attributes alone make some thirty.
            self.assertGreater(wrong, 30, name)
            for member in message:
                self.assertIn("required", messages.error(name, {k: v for k, v in message.items() if k != member}))


class Traffic(unittest.TestCase):
    def found(self, **changes):
        messages = asyncapi.Messages(DOCUMENT)
        message = dict(messages.golden())["wmAck"] | {"source": "fleet/f1"}
        packet = {"topic": "tenant/men/wm/ack", "qos": 1, "retain": 0, "payloadlen": 9,
                  "properties": {"message-expiry-interval": 300}, "payload": message} | changes
        counts, found = asyncapi.traffic(messages, [json.dumps(packet)])
        return found

    def test_strange_packets_are_found(self):
        self.assertEqual(self.found(), [])
        self.assertIn("no channel", self.found(topic="tenant/men/wm/nack")[0])
        self.assertIn("QoS", self.found(qos=0)[0])
        self.assertIn("retain", self.found(retain=1)[0])
        self.assertIn("$", self.found(payload={"source": "fleet/f1"})[0])
        self.assertIn("expires", self.found(properties={})[0])
        self.assertIn("expires", self.found(properties={"message-expiry-interval": 301})[0])
        self.assertIn("sent by", self.found(payload=self.message("gateway/g1"))[0])

    def message(self, source):
        return dict(asyncapi.Messages(DOCUMENT).golden())["wmAck"] | {"source": source}


if __name__ == "__main__":
    unittest.main()
