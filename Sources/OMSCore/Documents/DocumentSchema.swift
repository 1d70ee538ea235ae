package import OMSModel

/// The JSON Schema (2020-12) of the declared documents, for completion and checks in editors:
/// `docs/reference/oms.schema.json` is made from it. The readers beside it have the last word; a test compares the fields
/// of both.
package enum DocumentSchema {
    package static let name: JSONValue = [
        "type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        "description": "1 to 63 of a-z, 0-9 and -",
    ]

    package static var value: JSONValue {
        [
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Documents of OMS", "type": "object", "required": ["kind", "name", "spec"],
            "additionalProperties": false,
            "properties": [
                "kind": ["enum": ["Provider", "Scenario", "Tenant"]], "name": name, "spec": ["type": "object"],
            ],
            "allOf": [
                when("Provider", provider), when("Scenario", scenario), when("Tenant", tenant),
            ],
        ]
    }

    private static func when(_ kind: JSONValue, _ spec: JSONValue) -> JSONValue {
        ["if": ["properties": ["kind": ["const": kind]]], "then": ["properties": ["spec": spec]]]
    }

    // MARK: - Pieces

    private static func object(_ properties: JSONObject, required: [JSONValue] = []) -> JSONValue {
        var rules: JSONObject = [
            "type": "object", "additionalProperties": false, "properties": .object(properties),
        ]
        if !required.isEmpty { rules["required"] = .array(required) }
        return .object(rules)
    }

    private static func text(_ description: String) -> JSONValue {
        ["type": "string", "description": .string(description)]
    }

    private static func int(_ range: ClosedRange<Int>, _ description: String) -> JSONValue {
        [
            "type": "integer", "minimum": .int(Int64(range.lowerBound)), "maximum": .int(Int64(range.upperBound)),
            "description": .string(description),
        ]
    }

    private static func flag(_ description: String) -> JSONValue {
        ["type": "boolean", "description": .string(description)]
    }

    private static func choice<Choice: RawRepresentable & CaseIterable>(
        _: Choice.Type, _ description: String
    ) -> JSONValue where Choice.RawValue == String {
        [
            "enum": .array(Choice.allCases.map { .string($0.rawValue) }), "description": .string(description),
        ]
    }

    private static func names(_ description: String) -> JSONValue {
        ["type": "array", "items": name, "description": .string(description)]
    }

    private static func map(_ value: JSONValue, _ description: String) -> JSONValue {
        ["type": "object", "additionalProperties": value, "description": .string(description)]
    }

    private static let weight: JSONValue = ["type": "number", "exclusiveMinimum": 0, "maximum": 1_000_000]

    // MARK: - Kinds

    package static let provider = object(
        [
            "base_url": text("where /services, /jobs/ and /status are; https outside allowed private networks"),
            "credential": text("name of a credential of the gateway; never the secret"),
            "poll_s": int(1...3_600, "seconds between sweeps while jobs are open (1)"),
            "max_running": int(1...10_000, "jobs in flight there, all tenants together (8)"),
            "max_submits_per_s": int(1...1_000, "rate limit (none)"), "description": text("for people"),
            "maintenance": [
                "type": "array", "maxItems": 100, "description": "announced absences",
                "items": object(
                    ["from": text("RFC 3339"), "until": text("RFC 3339"), "reason": text("for people")],
                    required: ["from", "until"]),
            ],
        ], required: ["base_url"])

    package static let tenant = object(
        [
            "description": text("for people"),
            "scenarios": names("in order of preference: the first that the providers can satisfy is in force"),
            "variables": map(text("for {name} in the scenario's texts"), "values for {name}; {tenant} is always there"),
            "suspended": flag("true: its Work Manager ends until it is resumed"),
            "replace_after_s": int(1...86_400, "a silent Work Manager is replaced by force after so long (30)"),
            "proof": choice(ReplacementProof.self, "what a replacement by force needs (door)"),
            "services": map(
                ["type": "object"], "per service the fields that differ from the scenario; null takes away"),
            "labels": map(["type": "string"], "for choosing tenants by"),
        ], required: ["scenarios"])

    package static var scenario: JSONValue {
        object(
            [
                "description": text("for people"),
                "services": [
                    "type": "object", "minProperties": 1, "propertyNames": name, "additionalProperties": service,
                ],
            ], required: ["services"])
    }

    private static let location = object(
        ["uri": text("file:, http:, sqlite: ..."), "type": text("media type"), "credential": text("its name")],
        required: ["uri"])

    package static var service: JSONValue {
        object(
            [
                "type": name, "frequency": frequency, "after": names("runs when each has succeeded again"),
                "timeout_s": int(1...604_800, "of one job (300)"), "data_source": location, "output_source": location,
                "parameters": ["type": "object", "description": "what the provider's parameters_schema says"],
                "providers": policy, "merge": merge, "max_attempts": int(1...20, "tries of a failed job (2)"),
                "deadline_s": int(1...2_592_000, "the run ends by then with what it has"),
                "on_replace": choice(ReplaceAction.self, "with running jobs when the Work Manager is replaced (stop)"),
                "suspended": flag("true: it fires nothing"),
                "overlap": choice(OverlapPolicy.self, "when a tick comes while a run is open (skip)"),
                "queue_limit": int(1...1_000, "with queue-all"),
                "catch_up_s": int(1...31_536_000, "older missed ticks are not made up for"),
                "safe_to_run_twice": flag("an unclear submit may be failed over"),
                "max_provider_faults": int(0...1_000, "tries that a provider's fault may cost, beyond max_attempts"),
                "timeouts": timeouts,
            ], required: ["type"])
    }

    package static let frequency = object([
        "every_s": int(1...31_536_000, "seconds between ticks"), "jitter_s": int(0...86_400, "fixed shift by a hash"),
        "spread": flag("place the tenant's ticks within the period by a hash"),
        "cron": text("five fields, names, H for a hash"), "time_zone": text("IANA, with cron (UTC)"),
        "once": flag("one tick"), "on_demand": flag("only `oms run`"),
    ])

    package static let policy = object([
        "use": choice(ProviderPolicy.Use.self, "which of the able providers a run asks (one)"),
        "only": names("restricts and orders the choice"), "at_least": int(1...100, "fewer able ones: not satisfied"),
        "count": int(1...100, "with quorum: results needed"), "weights": map(weight, "with weighted"),
    ])

    package static let timeouts = object([
        "queue_s": int(1...604_800, "not accepted for so long"), "start_s": int(1...604_800, "queued for so long"),
        "no_progress_s": int(1...604_800, "running without news for so long"),
    ])

    package static let merge = object(
        [
            "strategy": choice(MergeRule.Strategy.self, "how results become one"), "output": text("which output"),
            "item_key": text("member that names an item"), "k": int(1...10_000, "of reciprocal rank fusion (60)"),
            "top": int(1...10_000, "length of the merged list"),
            "key": [
                "type": ["string", "array"], "items": ["type": "string"], "description": "what makes records the same",
            ],
            "conflict": choice(MergeRule.Conflict.self, "which of two records of one key stays"),
            "by": text("member that is compared"), "weights": map(weight, "of providers"),
            "objective": text("numeric output that is compared"), "goal": choice(MergeRule.Goal.self, "best"),
            "require": [
                "type": "array",
                "items": object(
                    ["output": text("numeric output"), "at_least": ["type": "number"], "at_most": ["type": "number"]],
                    required: ["output"]),
            ],
            "control": text("output of the control arm"), "treatment": text("output of the treatment arm"),
            "trials": text("member"), "successes": text("member"),
            "alpha": ["type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5],
            "split": [
                "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1,
                "description": "share of the trials that the treatment was to get (0.5)",
            ],
            "deliver_after_s": int(1...2_592_000, "a partial result by then; late ones amend it"),
        ], required: ["strategy"])
}
