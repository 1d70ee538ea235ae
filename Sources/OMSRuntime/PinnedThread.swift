import CSystem
import Glibc

/// How a `PinnedThread` waits when it has nothing to do. All but `wake()` run on that thread only.
package protocol Sleeper: Sendable {
    /// Work of each turn that is not a job: ready descriptors, due timers. Runs before the thread decides to sleep.
    func turn()
    /// Waits until there is work, at most `limit` (nil: no limit of the caller's), or until `wake()`.
    func sleep(atMost limit: Duration?)
    /// Ends the current or, if none is under way, the next `sleep`. Legal from any thread.
    func wake()
}

extension Sleeper {
    package func turn() {}
}

/// A serial executor over one thread of its own, which alternates running jobs and sleeping in its `Sleeper`.
///
/// It serves actors whose state only one thread may touch (a C library's handle): give such an actor
/// `unownedExecutor = thread.asUnownedSerialExecutor()`. Code that already runs on the thread, such as a poll callback,
/// enters the actor with `assumeIsolated`, without a hop.
///
/// `@unchecked Sendable`: all mutable state is in `Locked`; `sleeper` is itself Sendable and never changes.
package final class PinnedThread: SerialExecutor, @unchecked Sendable {
    private enum Item {
        case job(UnownedJob)
        case work(@Sendable () -> Void)
    }

    private enum Phase {
        /// The thread is running items or about to look for more. Can transition to `asleep`, `ended`.
        case awake
        /// The thread is in, or about to enter, `sleeper.sleep`. Can transition to `awake`.
        case asleep
        /// No thread exists: after `shutdown`. Can transition to `awake` when a late item starts a successor.
        case ended
    }

    private struct State {
        var items: [Item] = []
        var phase = Phase.awake
        var isStopping = false
        var handle: pthread_t?
    }

    package let name: String
    private let sleeper: any Sleeper
    private let state = Locked(State())

    /// Starts the thread. It lives until `shutdown()`, and keeps this object alive so long.
    package init(name: String, sleeper: any Sleeper) {
        self.name = name
        self.sleeper = sleeper
        let handle = start()
        state.withLock { $0.handle = handle }
    }

    package convenience init(name: String) { self.init(name: name, sleeper: ConditionSleeper()) }

    /// Whether the caller runs on this thread.
    package var isCurrent: Bool {
        pthread_getspecific(Self.currentKey) == UnsafeMutableRawPointer(Unmanaged.passUnretained(self).toOpaque())
    }

    /// Runs `work` on the thread, after everything enqueued before it. The cheap hop: no Task, no continuation.
    package func post(_ work: @escaping @Sendable () -> Void) { append(.work(work)) }

    package func enqueue(_ job: consuming ExecutorJob) { append(.job(UnownedJob(job))) }

    package func checkIsolated() {
        precondition(isCurrent, "not on thread \(name)")
    }

    package func isIsolatingCurrentContext() -> Bool? { isCurrent }

    /// Runs what is enqueued, ends the thread and joins it. Idempotent; not from the thread itself.
    package func shutdown() {
        precondition(!isCurrent, "a thread cannot join itself")
        let (handle, mustWake) = state.withLock { state -> (pthread_t?, Bool) in
            state.isStopping = true
            defer { state.handle = nil }
            let mustWake = state.phase == .asleep
            if mustWake { state.phase = .awake }
            return (state.handle, mustWake)
        }
        if mustWake { sleeper.wake() }
        if let handle { pthread_join(handle, nil) }
    }

    private func append(_ item: Item) {
        // The item may be the end of the actor that holds this object. Once the thread can see it, nobody else may.
        let own = Unmanaged.passRetained(self)
        defer { own.release() }
        let (mustWake, mustStart) = state.withLock { state -> (Bool, Bool) in
            state.items.append(item)
            switch state.phase {
            case .awake: return (false, false)
            case .asleep:
                // One wake is enough: whoever comes next finds `awake`.
                state.phase = .awake
                return (true, false)
            case .ended:
                state.phase = .awake
                return (false, true)
            }
        }
        if mustWake { sleeper.wake() }
        // An actor used after the shutdown must not lose its continuation: a successor runs the job and ends again.
        // Still one thread at a time, so the actor stays serial.
        if mustStart { pthread_detach(start()) }
    }

    private func start() -> pthread_t {
        var handle = pthread_t()
        // The retained reference belongs to the thread, which takes it over in its first line.
        let argument = Unmanaged.passRetained(self).toOpaque()
        let code = pthread_create(
            &handle, nil,
            { argument in
                guard let argument else { preconditionFailure("pthread_create passes on what it was given") }
                Unmanaged<PinnedThread>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, argument)
        precondition(code == 0, "cannot create thread \(name): errno \(code)")  // nothing can run without it
        return handle
    }

    private func run() {
        pthread_setspecific(Self.currentKey, Unmanaged.passUnretained(self).toOpaque())
        oms_name_thread(String(name.prefix(15)))  // the kernel takes no more
        var batch: [Item] = []
        while true {
            state.withLock { swap(&$0.items, &batch) }
            for item in batch { run(item) }
            batch.removeAll(keepingCapacity: true)
            sleeper.turn()
            let next = state.withLock { state -> Phase in
                guard state.items.isEmpty else { return .awake }
                state.phase = state.isStopping ? .ended : .asleep
                return state.phase
            }
            switch next {
            case .awake: sleeper.sleep(atMost: .zero)  // look at the file descriptors even under a flood of jobs
            case .asleep:
                sleeper.sleep(atMost: nil)
                state.withLock { $0.phase = .awake }
            case .ended: return
            }
        }
    }

    private func run(_ item: Item) {
        switch item {
        case .job(let job): job.runSynchronously(on: asUnownedSerialExecutor())
        case .work(let work): work()
        }
    }

    /// Which PinnedThread the calling thread is, if any.
    private static let currentKey: pthread_key_t = {
        var key = pthread_key_t()
        let code = pthread_key_create(&key, nil)
        precondition(code == 0, "out of thread-local keys")
        return key
    }()
}

/// Waits on a condition variable: for threads that only run jobs.
///
/// `@unchecked Sendable`: `isAwake` is touched only under `mutex`; both pointers never change.
package final class ConditionSleeper: Sleeper, @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var isAwake = false

    package init() {
        mutex.initialize(to: pthread_mutex_t())
        condition.initialize(to: pthread_cond_t())
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    package func sleep(atMost limit: Duration?) {
        if limit == .zero { return }  // nothing but `wake` can bring work here
        pthread_mutex_lock(mutex)
        while !isAwake { pthread_cond_wait(condition, mutex) }
        isAwake = false
        pthread_mutex_unlock(mutex)
    }

    package func wake() {
        pthread_mutex_lock(mutex)
        isAwake = true
        pthread_cond_signal(condition)
        pthread_mutex_unlock(mutex)
    }
}
