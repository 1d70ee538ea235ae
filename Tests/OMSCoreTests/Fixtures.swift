import OMSModel
import OMSProtocol

@testable import OMSCore

/// A moment so many milliseconds after the tests' beginning; both clocks advance together.
func at(_ milliseconds: Int64) -> Moment {
    Moment(monotonic: 1_000_000 + milliseconds, wall: Timestamp(milliseconds: 1_700_000_000_000 + milliseconds))
}

enum Fixture {
    static func plan(
        _ id: ServiceID, type: ServiceType = "harvest", every: Int? = nil, once: Bool = false, after: [ServiceID] = [],
        providers: [ProviderID] = ["alpha"], merge: MergeRule = MergeRule(strategy: .first), timeout: Int = 60,
        deadline: Int = 180, attempts: Int = 2
    ) -> ServicePlan {
        ServicePlan(
            id: id, type: type,
            frequency: after.isEmpty ? (once ? Frequency(once: true) : Frequency(everySeconds: every ?? 60)) : nil,
            after: after, anchor: at(0).wall, timeoutSeconds: timeout, deadlineSeconds: deadline, maxAttempts: attempts,
            providers: providers.map { ProviderChoice(provider: $0, service: ServiceID(type.text) ?? "x") },
            merge: merge)
    }

    static func config(_ plans: ServicePlan..., generation: Int = 1) -> WorkManagerConfig {
        WorkManagerConfig(
            tenant: "men", generation: generation, scenario: "s", services: plans.sorted { $0.id < $1.id })
    }

    static func manager(
        _ config: WorkManagerConfig, epoch: Int = 1, resume: WorkManagerResume = .empty, now: Moment = at(0)
    ) -> (WorkManager, [WorkManager.Effect]) {
        var manager = WorkManager(
            tenant: "men", epoch: epoch, fleet: "f1", boot: 1, config: config, resume: resume, at: now)
        let effects = manager.receive(.started, at: now)
        return (manager, effects)
    }
}

extension [WorkManager.Effect] {
    var commands: [(provider: ProviderID, command: JobCommand)] {
        compactMap {
            guard case .publish(let message) = $0, case .jobCommand(_, let provider) = message.topic,
                case .jobCommand(let command) = message.payload
            else { return nil }
            return (provider, command)
        }
    }

    var entries: [JournalEntry] {
        flatMap { effect -> [JournalEntry] in
            guard case .publish(let message) = effect, case .journal(let journal) = message.payload else { return [] }
            return journal.entries
        }
    }

    var results: [ServiceResult] {
        compactMap {
            guard case .publish(let message) = $0, case .result(let result) = message.payload else { return nil }
            return result
        }
    }

    var status: WMStatus? {
        for case .publish(let message) in self { if case .wmStatus(let status) = message.payload { return status } }
        return nil
    }
}

func event(
    _ job: JobID, _ state: JobState, epoch: Int = 1, outputs: JSONObject? = nil, error: Problem? = nil,
    progress: Double? = nil, at now: Moment
) -> JobEvent {
    JobEvent(
        job: job, epoch: epoch, state: state, time: now.wall, started: state == .running ? now.wall : nil,
        finished: state.isTerminal ? now.wall : nil, progress: progress, outputs: outputs, error: error)
}
