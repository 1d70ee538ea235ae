import Foundation
import HostileProvider
import OMSDev
import OMSRuntime

/// Carries a plan out, step by step at its time, and heals everything at the end.
struct Nemesis: Sendable {
    let world: SoakWorld
    let plan: SoakPlan
    /// Of all deaths and restarts that the supervisor reported.
    let deaths: Locked<[String: Int]>

    struct Report: Sendable {
        var replacements = 0
        var refusals: [String] = []
    }

    func run() async throws -> Report {
        let began = MonotonicClock.milliseconds
        let report = Locked(Report())
        try await withThrowingTaskGroup(of: Void.self) { group in
            for step in plan.steps {
                // Faults come by the clock: that is what they are.
                let wait = began + step.at - MonotonicClock.milliseconds
                if wait > 0 { try await Task.sleep(for: .milliseconds(wait)) }
                group.addTask { try await carryOut(step.action, report) }
            }
            try await group.waitForAll()
        }
        try await heal()
        return report.withLock { $0 }
    }

    private func carryOut(_ action: SoakPlan.Action, _ report: Locked<Report>) async throws {
        switch action {
        case .signal(let target, .kill): await world.environment.kill(target.rawValue, SIGKILL)
        case .signal(.postgres, .restart): await world.environment.kill("postgres", SIGINT)
        case .signal(let target, .restart): await world.environment.kill(target.rawValue, SIGTERM)
        case .signal(let target, .pause): await pause(target, SIGSTOP)
        case .resume(let target): await pause(target, SIGCONT)
        case .link(let name, let fault): world.proxy.set(name, fault)
        case .provider(let index): misbehave(world.providers[index])
        case .replace(let tenant):
            try await ask(["replace", tenant, "--reason", "soak"], report) { $0.replacements += 1 }
        case .suspend(let tenant, let isOn): try await ask([isOn ? "suspend" : "resume", tenant], report)
        case .drain(let fleet, let isOn): try await ask(["fleet", isOn ? "drain" : "undrain", fleet], report)
        }
    }

    /// An operator may be told no: another operation is under way, or nobody answers.
    private func ask(
        _ arguments: [String], _ report: Locked<Report>, _ done: @Sendable (inout Report) -> Void = { _ in }
    ) async throws {
        let finished = try await world.environment.tell(arguments)
        report.withLock { report in
            if finished.status == 0 {
                done(&report)
            } else {
                report.refusals.append("\(arguments.joined(separator: " ")): \(finished.errors.prefix(200))")
            }
        }
    }

    /// PostgreSQL is a family of processes.
    private func pause(_ target: SoakPlan.Target, _ signal: Int32) async {
        guard let pid = await world.environment.pid(of: target.rawValue) else { return }
        let pids = target == .postgres ? [pid] + Processes.children(of: pid) : [pid]
        for pid in pids { kill(pid, signal) }
    }

    private func misbehave(_ provider: HostileProvider) {
        provider.set([
            FaultRule([.submit], .closeAfterExecuting, times: 2), FaultRule([.submit], .answer(503), times: 2),
            FaultRule([.list, .job], .truncated, times: 2), FaultRule([.stop], .answer(500, executes: true), times: 1),
        ])
    }

    /// No fault is left, and whoever was away has come back.
    private func heal() async throws {
        for target in SoakPlan.Target.allCases { await pause(target, SIGCONT) }
        for target in SoakPlan.services { world.proxy.set(target.rawValue, .none) }
        for target in [SoakPlan.Target.registry1, .registry2] {
            world.proxy.set(SoakPlan.databaseLink(target), .none)
        }
        for provider in world.providers { provider.set([]) }
        try await world.environment.insist(["fleet", "undrain", "fleet-1"])
        try await world.environment.insist(["fleet", "undrain", "fleet-2"])
        for tenant in SoakWorld.tenants { try await world.environment.insist(["resume", tenant]) }
    }
}

enum Processes {
    static func children(of parent: Int32) -> [Int32] {
        ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { Int32($0) }.filter { pid in
            let fields =
                (DataFolder.read("/proc/\(pid)/stat") ?? "").split(separator: ")").last?.split(separator: " ") ?? []
            return fields.count > 1 && Int32(fields[1]) == parent
        }
    }
}
