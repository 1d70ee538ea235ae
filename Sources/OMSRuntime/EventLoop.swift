import Glibc

/// What a `PollSource` wants to be told about; it is always told about incoming data.
package struct PollInterest: Sendable {
    package var fileDescriptor: Int32
    package var wantsRead: Bool
    package var wantsWrite: Bool

    package init(fileDescriptor: Int32, wantsRead: Bool = true, wantsWrite: Bool = false) {
        self.fileDescriptor = fileDescriptor
        self.wantsRead = wantsRead
        self.wantsWrite = wantsWrite
    }
}

/// Something with a file descriptor, served by an `EventLoop`. Both methods are called on the loop's thread only.
package protocol PollSource: AnyObject, Sendable {
    /// Called before each sleep: the place to flush what the jobs of this turn produced. Nil: nothing to wait for now.
    func prepare() -> PollInterest?
    /// An error or a hang-up counts as readable, so that the next read reports it.
    func ready(readable: Bool, writable: Bool)
}

/// A thread that sleeps in `poll()` over registered file descriptors and one-shot timers, and runs actors pinned to it.
///
/// A service's shell actor, its bus client and its timers share one loop, so that a message goes from the socket to the
/// state machine and back without a thread switch.
///
/// `@unchecked Sendable`: `core` is touched on the loop's thread only, which every method but `post` and `shutdown`
/// checks.
package final class EventLoop: @unchecked Sendable {
    package let thread: PinnedThread
    private let core: EventLoopCore

    package init(name: String) {
        core = EventLoopCore()
        thread = PinnedThread(name: name, sleeper: core)
    }

    /// For `nonisolated var unownedExecutor` of actors that live on this loop.
    package var executor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    package var isCurrent: Bool { thread.isCurrent }

    /// Runs `work` on the loop's thread. Legal from any thread.
    package func post(_ work: @escaping @Sendable () -> Void) { thread.post(work) }

    /// Runs what is enqueued and joins the thread; timers that are not due are dropped. Legal from any other thread.
    package func shutdown() { thread.shutdown() }

    package func register(_ source: some PollSource) {
        thread.checkIsolated()
        core.register(source)
    }

    package func deregister(_ source: some PollSource) {
        thread.checkIsolated()
        core.deregister(source)
    }

    /// Runs `work` once, on the loop's thread, not before `delay` has passed.
    ///
    /// `work` need not be Sendable: it is made, kept and called on this one thread.
    @discardableResult
    package func schedule(after delay: Duration, _ work: @escaping () -> Void) -> LoopTimer {
        schedule(at: MonotonicClock.milliseconds + delay.roundedUpMilliseconds, work)
    }

    /// - Parameter deadline: In milliseconds of `MonotonicClock`.
    @discardableResult
    package func schedule(at deadline: Int64, _ work: @escaping () -> Void) -> LoopTimer {
        thread.checkIsolated()
        return core.timers.add(deadline: deadline, work)
    }

    /// A timer that already ran, or was cancelled, is ignored.
    package func cancel(_ timer: LoopTimer) {
        thread.checkIsolated()
        core.timers.cancel(timer)
    }
}

/// The part of the loop that its thread owns.
///
/// `@unchecked Sendable`: only `wake` is called from other threads, and it touches nothing but the constant eventfd.
final class EventLoopCore: Sleeper, @unchecked Sendable {
    var timers = TimerQueue()
    private var sources: [any PollSource] = []
    private var polled: [any PollSource] = []
    private var descriptors: [pollfd] = []
    private var hasResults = false
    private let wakeup = EventFD()

    func register(_ source: any PollSource) {
        guard !sources.contains(where: { $0 === source }) else { return }
        sources.append(source)
    }

    func deregister(_ source: any PollSource) {
        sources.removeAll { $0 === source }
    }

    func wake() { wakeup.signal() }

    func turn() {
        dispatch()
        let now = MonotonicClock.milliseconds
        // Only what is due now: a timer that a timer sets to "at once" waits for the next turn, so no fd starves.
        let latest = timers.lastIdentifier
        while let work = timers.popDue(now: now, notAfter: latest) { work() }
        collect()
    }

    func sleep(atMost limit: Duration?) {
        var timeout: Int64 = limit.map(\.roundedUpMilliseconds) ?? -1
        if let deadline = timers.nextDeadline {
            let left = max(0, deadline - MonotonicClock.milliseconds)
            timeout = timeout < 0 ? left : min(timeout, left)
        }
        // EINTR and other failures look like an empty turn: the flags of all descriptors are still zero.
        let count = poll(&descriptors, nfds_t(descriptors.count), Int32(clamping: timeout))
        hasResults = count > 0
        if hasResults && descriptors[0].revents != 0 { wakeup.clear() }
    }

    private func dispatch() {
        guard hasResults else { return }
        hasResults = false
        // Index by index, not by iterator: a source may register or deregister others; `polled` stays as it is.
        for index in polled.indices {
            let events = Int32(descriptors[index + 1].revents)
            guard events != 0 else { continue }
            let source = polled[index]
            // A job or an earlier source may have deregistered it since the poll.
            guard sources.contains(where: { $0 === source }) else { continue }
            source.ready(
                readable: events & (Int32(POLLIN) | Int32(POLLERR) | Int32(POLLHUP) | Int32(POLLNVAL)) != 0,
                writable: events & Int32(POLLOUT) != 0)
        }
    }

    private func collect() {
        polled.removeAll(keepingCapacity: true)
        descriptors.removeAll(keepingCapacity: true)
        descriptors.append(pollfd(fd: wakeup.fileDescriptor, events: Int16(POLLIN), revents: 0))
        for source in sources {
            guard let interest = source.prepare() else { continue }
            let events = (interest.wantsRead ? POLLIN : 0) | (interest.wantsWrite ? POLLOUT : 0)
            descriptors.append(pollfd(fd: interest.fileDescriptor, events: Int16(events), revents: 0))
            polled.append(source)
        }
    }
}
