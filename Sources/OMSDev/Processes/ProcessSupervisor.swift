import CSystem
import Glibc
package import OMSRuntime

package enum SupervisorEvent: Sendable {
    case started(name: String, pid: Int32, restarts: Int)
    /// Nobody asked it to end.
    case died(name: String, status: ChildExit, restartAfter: Duration?)
    /// It ended as it was asked to.
    case stopped(name: String, status: ChildExit)
    /// A restart failed: the next one comes after a while.
    case restartFailed(name: String, reason: String)
}

/// Starts programs, watches them, restarts those that die, and stops them in order.
///
/// Children never outlive it: the kernel sends each its death signal when the thread of `loop`, which forked it, ends,
/// be it by `shutdown` or because this whole process was killed.
package actor ProcessSupervisor {
    package nonisolated let loop: EventLoop
    package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.executor }

    private var children: [Child] = []
    private let onEvent: @Sendable (SupervisorEvent) -> Void

    /// - Parameter onEvent: Called on the loop's thread.
    package init(loop: EventLoop, onEvent: @escaping @Sendable (SupervisorEvent) -> Void = { _ in }) {
        self.loop = loop
        self.onEvent = onEvent
    }

    // MARK: Starting

    package func start(_ spec: ChildSpec) throws {
        if let old = child(spec.name) {
            guard old.state == .ended else { throw DevError("\(spec.name) is already running") }
            children.removeAll { $0 === old }
        }
        let child = Child(spec)
        try spawn(child)
        children.append(child)
    }

    /// Runs a program that ends by itself.
    package func run(_ spec: ChildSpec, deadline: Duration) async throws -> ChildExit {
        var spec = spec
        spec.restart = .never
        try start(spec)
        defer { children.removeAll { $0.spec.name == spec.name && $0.state == .ended } }
        guard let status = await waitForExit(spec.name, deadline: deadline) else {
            await stop(spec.name)
            throw DevError("\(spec.name) did not end within \(deadline); its output is in \(spec.logFile)")
        }
        return status
    }

    private func spawn(_ child: Child) throws {
        let process = try Spawn.spawn(child.spec)
        child.state = .running
        child.pid = process.pid
        child.startedAt = MonotonicClock.milliseconds
        let name = child.spec.name
        let watch = ExitWatch(process.descriptor) { [weak self] in self?.assumeIsolated { $0.ended(name) } }
        child.watch = watch
        loop.register(watch)
        onEvent(.started(name: child.spec.name, pid: process.pid, restarts: child.restarts))
    }

    // MARK: Ends

    private func ended(_ name: String) {
        guard let child = child(name), let pid = child.pid else { return }
        // What it left in its process group, before its number is free for others.
        Glibc.kill(-pid, SIGKILL)
        var (code, signal): (Int32, Int32) = (0, 0)
        guard oms_reap(pid, &code, &signal) == 1 else { return }
        let status = signal == 0 ? ChildExit(code: code) : ChildExit(signal: signal)
        if let watch = child.watch { loop.deregister(watch) }
        child.watch = nil
        child.pid = nil
        child.lastExit = status
        let wasStopping = child.state == .stopping
        child.state = .ended
        if let timer = child.timer { loop.cancel(timer) }
        child.timer = nil

        if wasStopping {
            onEvent(.stopped(name: name, status: status))
        } else {
            child.deaths += 1
            restartLater(child, status)
        }
        let waiters = child.exitWaiters
        child.exitWaiters = [:]
        for waiter in waiters.values { waiter.resume(returning: status) }
    }

    private func restartLater(_ child: Child, _ status: ChildExit?) {
        guard child.spec.restart == .always else {
            if let status { onEvent(.died(name: child.spec.name, status: status, restartAfter: nil)) }
            return
        }
        if MonotonicClock.milliseconds - child.startedAt >= 10_000 { child.nextDelay = Child.firstDelay }
        let delay = child.nextDelay
        child.nextDelay = min(child.spec.longestRestartDelay, delay * 2)
        child.state = .backingOff
        if let status { onEvent(.died(name: child.spec.name, status: status, restartAfter: delay)) }
        child.timer = loop.schedule(after: delay) { self.restart(child) }
    }

    private func restart(_ child: Child) {
        child.timer = nil
        child.restarts += 1
        do {
            try spawn(child)
        } catch {
            onEvent(.restartFailed(name: child.spec.name, reason: "\(error)"))
            restartLater(child, nil)
        }
    }

    // MARK: Stopping

    /// Returns when the child is gone; it gets SIGKILL after its own stop steps.
    package func stop(_ name: String) async {
        guard let child = child(name) else { return }
        switch child.state {
        case .ended: return
        case .backingOff:
            if let timer = child.timer { loop.cancel(timer) }
            child.timer = nil
            child.state = .ended
        case .running:
            child.state = .stopping
            escalate(child, child.spec.stop[...])
            await exit(of: child)
        case .stopping: await exit(of: child)
        }
    }

    /// Later stages first, the children of one stage together.
    package func stopAll() async {
        for stage in Set(children.map(\.spec.stage)).sorted(by: >) {
            let names = children.filter { $0.spec.stage == stage }.reversed().map(\.spec.name)
            await withTaskGroup(of: Void.self) { group in
                for name in names { group.addTask { await self.stop(name) } }
            }
        }
    }

    private func escalate(_ child: Child, _ steps: ArraySlice<ChildSpec.StopStep>) {
        guard child.state == .stopping, let pid = child.pid else { return }
        guard let step = steps.first else {
            Glibc.kill(pid, SIGKILL)  // cannot be refused; the end comes through the watch
            return
        }
        Glibc.kill(pid, step.signal)
        child.timer = loop.schedule(after: step.patience) { self.escalate(child, steps.dropFirst()) }
    }

    private func exit(of child: Child) async {
        guard child.pid != nil else { return }
        _ = await withCheckedContinuation { child.addExitWaiter($0) }
    }

    // MARK: Questions

    package func pid(of name: String) -> Int32? { child(name)?.pid }

    /// Names and process numbers of what runs now, in order of start.
    package var running: [(name: String, pid: Int32)] {
        children.compactMap { child in child.pid.map { (child.spec.name, $0) } }
    }

    package func restarts(of name: String) -> Int { child(name)?.restarts ?? 0 }

    /// How often it ended unasked, and how the last time.
    package func deaths(of name: String) -> (count: Int, last: ChildExit?) {
        guard let child = child(name) else { return (0, nil) }
        return (child.deaths, child.lastExit)
    }

    package func setRestart(_ restart: ChildSpec.Restart, of name: String) { child(name)?.spec.restart = restart }

    /// Sends a signal; false when the child does not run.
    @discardableResult
    package func kill(_ name: String, _ signal: Int32) -> Bool {
        guard let pid = child(name)?.pid else { return false }
        return Glibc.kill(pid, signal) == 0
    }

    /// Nil when the child still runs at the deadline.
    package func waitForExit(_ name: String, deadline: Duration) async -> ChildExit? {
        guard let child = child(name) else { return nil }
        guard child.pid != nil else { return child.lastExit }
        return await withCheckedContinuation { continuation in
            let number = child.addExitWaiter(continuation)
            // The timer is left to run out when the exit comes first: it then finds no waiter.
            loop.schedule(after: deadline) { child.exitWaiters.removeValue(forKey: number)?.resume(returning: nil) }
        }
    }

    private func child(_ name: String) -> Child? { children.first { $0.spec.name == name } }
}

/// Touched on the supervisor's loop only.
private final class Child {
    enum State {
        /// Can transition to `ended`, `backingOff`, `stopping`.
        case running
        /// It died and will be started again. Can transition to `running`, `ended`.
        case backingOff
        /// It was asked to end. Can transition to `ended`.
        case stopping
        /// Not started yet, or over. Can transition to `running`.
        case ended
    }

    static let firstDelay: Duration = .milliseconds(200)

    var spec: ChildSpec
    var state = State.ended
    var pid: Int32?
    var watch: ExitWatch?
    var timer: LoopTimer?
    var startedAt: Int64 = 0
    var nextDelay = firstDelay
    var restarts = 0
    var deaths = 0
    var lastExit: ChildExit?
    var exitWaiters: [Int: CheckedContinuation<ChildExit?, Never>] = [:]
    private var lastWaiter = 0

    init(_ spec: ChildSpec) { self.spec = spec }

    @discardableResult
    func addExitWaiter(_ waiter: CheckedContinuation<ChildExit?, Never>) -> Int {
        lastWaiter += 1
        exitWaiters[lastWaiter] = waiter
        return lastWaiter
    }
}

/// Tells, on the loop's thread, that a child has ended.
private final class ExitWatch: PollSource {
    private let descriptor: Int32
    private let onExit: @Sendable () -> Void

    init(_ descriptor: Int32, onExit: @escaping @Sendable () -> Void) {
        self.descriptor = descriptor
        self.onExit = onExit
    }

    deinit { close(descriptor) }

    func prepare() -> PollInterest? { PollInterest(fileDescriptor: descriptor) }

    func ready(readable: Bool, writable: Bool) { onExit() }
}
