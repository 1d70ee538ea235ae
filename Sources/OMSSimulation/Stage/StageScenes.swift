import OMSCore
package import OMSModel
import OMSProtocol

/// Moments of a stage's life, from which a test goes on.
package enum StageScene: String, CaseIterable, Sendable {
    /// Nobody has heard anything yet.
    case fresh
    /// Two tenants, two providers, schedules, a merge; jobs are at work.
    case active
    /// A tenant's Work Manager is asked to end, and waits for its jobs.
    case draining
    /// A tenant's fleet is silent: its gateways are to shut the door.
    case sealing

    package func made() throws -> Stage {
        var stage = Stage()
        if self == .fresh { return stage }
        try stage.connect()
        try stage.ask("apply", ["documents": .array(Self.documents)])
        for _ in 0..<8 {
            try stage.answerHonestly()
            try stage.wait(400)
        }
        switch self {
        case .fresh, .active: break
        case .draining: try stage.ask("replace", ["tenant": "men"])
        case .sealing:
            try stage.ask("replace", ["tenant": "women"])
            try stage.loseFleet()
            try stage.wait(31_000)
        }
        return stage
    }

    package static let documents: [JSONValue] = [
        ["kind": "Provider", "name": "alpha", "spec": ["base_url": "http://alpha.example"]],
        ["kind": "Provider", "name": "beta", "spec": ["base_url": "http://beta.example", "max_running": 4]],
        [
            "kind": "Scenario", "name": "s",
            "spec": [
                "services": [
                    "harvest": [
                        "type": "harvest", "frequency": ["every_s": 5], "timeout_s": 30,
                        "providers": ["use": "all"], "merge": ["strategy": "mean", "output": "rows"],
                    ],
                    "recommend": ["type": "recommend", "after": ["harvest"], "timeout_s": 30],
                ]
            ],
        ],
        ["kind": "Tenant", "name": "men", "spec": ["scenarios": ["s"]]],
        ["kind": "Tenant", "name": "women", "spec": ["scenarios": ["s"]]],
    ]
}

extension Stage {
    package mutating func ask(_ method: String, _ params: JSONValue) throws {
        let request = ClientRequest(id: "q-\(messages)", client: "cli-1", method: method, params: params)
        try say(Message(.command, .request(request)))
    }

    mutating func loseFleet() throws {
        try say(Message(.fleetPresence(Self.fleetID), .presence(fleet.presence(.lost))))
    }

    /// Jobs that are at a provider, in order.
    package var openJobs: [JobID] { provider.jobs.keys.sorted() }
    /// Of what runs now, for messages that shall be understood.
    package var epoch: Int { fleet.hosted.values.max() ?? 1 }
}
