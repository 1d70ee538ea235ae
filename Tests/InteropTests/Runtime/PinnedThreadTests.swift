import Glibc
// @testable and not plain import: the sanitizer run compiles this file in another package, where `package` ends.
@testable import OMSRuntime
import Testing

/// An actor that notices when it runs anywhere but on its thread.
private actor Counter {
    let thread: PinnedThread
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }
    private(set) var value = 0
    private(set) var strays = 0

    init(_ thread: PinnedThread) { self.thread = thread }

    func add() {
        value += 1
        if !thread.isCurrent { strays += 1 }
    }

    func addAfterSuspension() async {
        await Task.yield()
        add()
    }
}

/// Ends on its thread.
private actor LastHolder {
    let thread: PinnedThread
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    init(_ thread: PinnedThread) { self.thread = thread }

    isolated deinit { thread.checkIsolated() }
}

@Suite struct PinnedThreadTests {
    @Test func manyCallersAreServedOneByOneOnTheThread() async {
        let thread = PinnedThread(name: "test")
        let counter = Counter(thread)
        await withTaskGroup { group in
            for _ in 0..<16 {
                group.addTask {
                    for _ in 0..<250 {
                        await counter.add()
                        await counter.addAfterSuspension()
                    }
                }
            }
        }
        #expect(await counter.value == 8_000)
        #expect(await counter.strays == 0)
        thread.shutdown()
    }

    @Test func postedWorkRunsInOrderAndEntersTheActorWithoutAHop() async {
        let thread = PinnedThread(name: "test")
        let counter = Counter(thread)
        let seen = Locked([Int]())
        for number in 0..<1_000 {
            thread.post {
                counter.assumeIsolated { $0.add() }
                seen.withLock { $0.append(number) }
            }
        }
        #expect(await counter.value == 1_000)
        #expect(seen.withLock { $0 } == Array(0..<1_000))
        thread.shutdown()
    }

    @Test func aForeignThreadIsNotIsolated() {
        let thread = PinnedThread(name: "test")
        #expect(!thread.isCurrent)
        #expect(thread.isIsolatingCurrentContext() == false)
        thread.shutdown()
    }

    @Test func shutdownRunsWhatIsEnqueuedAndJoins() {
        for _ in 0..<50 {
            let thread = PinnedThread(name: "test")
            let count = Locked(0)
            for _ in 0..<100 { thread.post { count.withLock { $0 += 1 } } }
            thread.shutdown()
            #expect(count.withLock { $0 } == 100)
            thread.shutdown()
        }
    }

    @Test func aCallAfterShutdownStillReturns() async {
        let thread = PinnedThread(name: "test")
        let counter = Counter(thread)
        thread.shutdown()
        await counter.add()
        await counter.addAfterSuspension()
        #expect(await counter.value == 2)
        #expect(await counter.strays == 0)
    }

    /// An actor that is the last to hold its thread ends on a successor of that thread, which then goes first.
    @Test func theEndOfAnActorMayBeTheEndOfItsThread() async {
        await withTaskGroup { group in
            // More at once than cores, so that the one who starts the successor is interrupted now and then.
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<500 {
                        let counter = LastHolder(PinnedThread(name: "test"))
                        counter.thread.shutdown()
                    }
                }
            }
        }
    }

    @Test func anIdleThreadLetsGoOfEverythingAfterShutdown() {
        weak var released: PinnedThread?
        do {
            let thread = PinnedThread(name: "test")
            released = thread
            thread.shutdown()
        }
        #expect(released == nil)
    }
}
