import OMSCore
import OMSModel
import OMSProtocol

/// A person with the `oms` command: asks again until the answer comes.
struct OperatorDesk {
    var open: [ClientRequest] = []
    var asked = 0
    /// Documents as they were last declared.
    var declared: JSONObject = [:]
    /// Mutants that drop repetitions remember what has passed.
    var seen: Set<String> = []
    /// When a job was given up last.
    var givenUp: [JobID: SimTime] = [:]
}

extension World {
    static let operatorName: NodeID = "admin"

    /// Declares changed documents.
    func apply(_ documents: [JSONValue]) { ask("apply", ["documents": .array(documents)]) }

    func ask(_ method: String, _ params: JSONValue) {
        operatorDesk.asked += 1
        operatorDesk.open.append(
            ClientRequest(
                id: "q\(operatorDesk.asked)", client: Self.operatorName, method: method, params: params))
        if operatorDesk.open.count == 1 { operatorAsks() }
    }

    /// Gives up what goes on for long after its stop, as an operator would who looks at `oms why` now and then.
    func giveUpImmortals() {
        for id in setting.providers.map(\.id) {
            for (job, since) in (providers[id]?.immortal ?? [:]).sorted(by: { $0.key < $1.key }) {
                let asked = operatorDesk.givenUp[job] ?? since
                guard now - asked >= Self.giveUpAfter, let row = database.jobs[job]?.record, row.finished == nil,
                    row.state == .stopping || row.state == .unknown
                else { continue }
                operatorDesk.givenUp[job] = now
                ask("job.give-up", ["job": .string("\(job)"), "evidence": "its machine was switched off"])
            }
        }
    }

    private static let giveUpAfter = 45 * SimClock.second

    func operatorAsks() {
        guard let request = operatorDesk.open.first else { return }
        if broker.isUp { route(Message(.command, .request(request)), from: -1) }
        scheduler.add(.operatorAsks, at: now + 5 * SimClock.second)
    }

    func answered(_ message: Message) {
        guard case .response(let response) = message.payload, let first = operatorDesk.open.first,
            response.id == first.id
        else { return }
        trace.note(now, "operator", nil) { "answer \(response.status) \(response.error?.detail ?? "")" }
        // Not available, or too many at once: given again in a moment, as the answer says.
        guard response.status != 503, response.status != 429 else { return }
        // Declared again while it is being off-boarded: not yet.
        if response.status == 409, first.method == "apply" { return }
        operatorDesk.open.removeFirst()
    }
}
