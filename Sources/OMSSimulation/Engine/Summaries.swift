import OMSCore
import OMSModel
import OMSProtocol

extension TopicKind {
    /// Its place in the table, for hashes.
    var position: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}

extension ProviderAnswer {
    /// For traces.
    var summary: String {
        switch self {
        case .failed(let phase, let fault, _): "\(phase) \(fault.rawValue)"
        case .answered(let status, _, _, .job(let job)): "\(status) \(job.state.rawValue) r\(job.revision)"
        case .answered(let status, _, _, .jobs(let list)):
            "\(status) [" + list.jobs.map { "\($0.id) \($0.state.rawValue)" }.joined(separator: ", ") + "]"
        case .answered(let status, _, _, .problem(let problem)): "\(status) \(problem.slug)"
        case .answered(let status, _, _, _): "\(status)"
        }
    }
}

extension Payload {
    /// For traces.
    var summary: String {
        switch self {
        case .presence(let presence): "\(presence.state.rawValue) boot \(presence.boot)"
        case .wmControl(let control): "\(control.command.rawValue) epoch \(control.epoch) boot \(control.boot)"
        case .wmAck(let ack): "\(ack.command.rawValue) \(ack.phase.rawValue) epoch \(ack.epoch)"
        case .heartbeat(let beat): "beat \(beat.beat) epoch \(beat.epoch) ack \(beat.ackSeq)"
        case .wmStatus(let status):
            "beat \(status.beat) epoch \(status.epoch) seq \(status.seq) open \(status.jobs.count)"
        case .wmEpoch(let epoch): "epoch \(epoch.epoch) on \(epoch.fleet)"
        case .wmState(let state): "\(state.state.rawValue) epoch \(state.epoch)"
        case .journal(let journal): "epoch \(journal.epoch) \(journal.firstSeq)+\(journal.entries.count)"
        case .committed(let committed): "epoch \(committed.epoch) ack \(committed.ackSeq)"
        case .jobCommand(let command): "\(command.command.rawValue) \(command.job) epoch \(command.epoch)"
        case .jobEvent(let event):
            "\(event.job) \(event.state.rawValue) epoch \(event.epoch) \(event.error?.slug ?? "")"
        case .health(let health): "\(health.status.rawValue) circuit \(health.circuit.rawValue)"
        case .gatewayControl(let control): "\(control.command.rawValue) \(control)".prefix(160).description
        case .gatewayAck(let ack): "\(ack)".prefix(160).description
        case .result(let result): "\(result.state.rawValue) run \(result.run)"
        case .catalog: "catalog"
        case .request(let request): request.method
        case .response(let response): "\(response.status)"
        case .event(let event): event.text
        case .removed: "removed"
        }
    }
}
