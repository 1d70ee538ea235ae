import OMSModel
import OMSProtocol

/// The answer to the heartbeat.
extension WorkManager {
    mutating func answer(_ heartbeat: Heartbeat, at now: Moment) {
        guard heartbeat.epoch == epoch else { return }
        journal.acknowledge(heartbeat.ackSeq, at: now)
        // It always fits: a Work Manager that has much to tell must not be taken for one that is silent.
        publish(
            .wmStatus(tenant),
            .wmStatus(status(beat: heartbeat.beat, at: now).fitting(min(dataLimit, Self.statusBytes))))
    }

    func status(beat: Int, at now: Moment) -> WMStatus {
        var counts: [String: Int] = [:]
        var active: [ActiveOperation] = []
        var more = 0
        for run in runs.values.sorted(by: { $0.id < $1.id }) {
            for job in run.jobs where !job.state.isTerminal {
                counts[job.state.rawValue, default: 0] += 1
                if active.count >= Self.maxActive {
                    more += 1
                    continue
                }
                active.append(
                    ActiveOperation(
                        service: run.plan.id, run: run.id, job: job.id, provider: job.choice.provider,
                        state: job.state,
                        ageSeconds: Int(max(0, now.wall.milliseconds - job.created.milliseconds) / 1000),
                        progress: job.progress, message: job.message))
            }
        }
        var status = WMStatus(
            beat: beat, epoch: epoch, fleet: fleet, boot: boot,
            state: !isStarted ? .starting : drain == nil ? .active : .draining,
            generation: config.generation, seq: journal.lastSeq, ackSeq: journal.lastSeq - journal.unacknowledged,
            uptimeSeconds: Int((now.monotonic - since.monotonic) / 1000), jobs: counts, active: active,
            waiting: reasons.values.sorted { $0.subject < $1.subject }, digest: digest)
        if more > 0 { status.moreActive = more }
        return status
    }

    /// Comparable with the registry's rows only while nothing is on its way to them.
    private var digest: String? {
        guard isStarted, drain == nil, journal.unacknowledged == 0 else { return nil }
        return OpenJobsDigest(
            runs.values.lazy.flatMap { run in
                run.jobs.lazy.filter { !$0.state.isTerminal && !$0.hasEndedRow }.map(\.id)
            }
        ).text
    }

    private static var maxActive: Int { 100 }
    /// Well below a message: it comes every few seconds.
    private static var statusBytes: Int { 200_000 }
}
