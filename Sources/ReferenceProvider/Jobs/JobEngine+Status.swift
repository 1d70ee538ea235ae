import OMSModel
import OMSRuntime

extension JobEngine {
    /// Health and today's figures. A failing job store is part of the answer, never an error of its own.
    func status(release: String, interfaceVersion: String) -> ProviderStatus {
        let now = WallClock.now
        var status = ProviderStatus(
            status: .pass, version: interfaceVersion, release: release, time: now, startedAt: startedAt,
            uptimeSeconds: Int((MonotonicClock.milliseconds - startedMonotonic) / 1000), accepting: true,
            retentionSeconds: limits.retentionSeconds, features: ProviderFeature.allCases.map(\.rawValue))
        do {
            let midnight = Timestamp(milliseconds: now.milliseconds - now.milliseconds % 86_400_000)
            let figures = try access(.read) { state -> ProviderJobFigures in
                status.accepting = !state.isDraining && !state.isStopping
                let counts = try state.store.statistics(tenant: nil, service: nil).counts
                let ended = try state.store.finished(since: midnight)
                let at = { (state: JobState) in counts[state.rawValue] ?? 0 }
                return ProviderJobFigures(
                    queued: at(.queued), running: at(.running) + at(.stopping),
                    executedToday: ended.values.reduce(0, +), succeededToday: ended[.succeeded] ?? 0,
                    failedToday: ended[.failed] ?? 0, stoppedToday: ended[.stopped] ?? 0, maxRunning: limits.maxRunning,
                    maxQueued: limits.maxQueued)
            }
            status.jobs = figures
            if !status.accepting {
                (status.status, status.output) = (.warn, "the provider is shutting down")
            } else if figures.queued >= limits.maxQueued {
                (status.status, status.output) = (.warn, "the queue is full")
            }
        } catch {
            let detail = (error as? Problem)?.detail ?? "\(error)"
            (status.status, status.output, status.accepting) = (.fail, detail, false)
            status.jobs = ProviderJobFigures(
                queued: 0, running: 0, executedToday: 0, succeededToday: 0, failedToday: 0, stoppedToday: 0)
        }
        return status
    }
}
