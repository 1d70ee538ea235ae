import Glibc
@testable import OMSRuntime
import Testing

/// Echoes one pipe's bytes into a list; wants nothing else.
private final class PipeReader: PollSource {
    let descriptor: Int32
    let bytes = Locked([UInt8]())
    let onData: @Sendable () -> Void

    init(_ descriptor: Int32, onData: @escaping @Sendable () -> Void) {
        self.descriptor = descriptor
        self.onData = onData
    }

    func prepare() -> PollInterest? { PollInterest(fileDescriptor: descriptor) }

    func ready(readable: Bool, writable: Bool) {
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = read(descriptor, &buffer, buffer.count)
        bytes.withLock { $0 += buffer.prefix(max(0, count)) }
        onData()
    }
}

@Suite struct EventLoopTests {
    @Test func timersRunInOrderOfTheirDeadlinesAndNotTooEarly() async {
        let loop = EventLoop(name: "test")
        let start = MonotonicClock.milliseconds
        let order = await withCheckedContinuation { done in
            loop.post {
                // Touched on the loop's thread only.
                nonisolated(unsafe) var order: [Int] = []
                for delay in [30, 10, 20, 10] {
                    loop.schedule(after: .milliseconds(delay)) {
                        order.append(delay)
                        if order.count == 4 { done.resume(returning: order) }
                    }
                }
                let cancelled = loop.schedule(after: .milliseconds(5)) { order.append(-1) }
                loop.cancel(cancelled)
            }
        }
        #expect(order == [10, 10, 20, 30])
        #expect(MonotonicClock.milliseconds - start >= 30)
        loop.shutdown()
    }

    @Test func manyCancelledTimersLeaveNoMemoryBehind() {
        var queue = TimerQueue()
        for round in 0..<10_000 {
            let timer = queue.add(deadline: 1_000_000 + Int64(round)) {}
            queue.cancel(timer)
        }
        _ = queue.add(deadline: 5) {}
        #expect(queue.count == 1)
        #expect(queue.popDue(now: 4, notAfter: .max) == nil)
        #expect(queue.popDue(now: 5, notAfter: .max) != nil)
        #expect(queue.nextDeadline.map { $0 > 1_000_000 } ?? true)
    }

    @Test func aReadyDescriptorWakesTheLoopAndADeregisteredOneDoesNot() async {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        let (reading, writing) = (ends[0], ends[1])
        let loop = EventLoop(name: "test")
        let (signals, signal) = AsyncStream.makeStream(of: Void.self)
        let reader = PipeReader(reading) { signal.yield() }
        loop.post { loop.register(reader) }
        var iterator = signals.makeAsyncIterator()
        _ = write(writing, "abc", 3)
        await iterator.next()
        loop.post { loop.deregister(reader) }
        _ = write(writing, "d", 1)
        loop.shutdown()
        #expect(reader.bytes.withLock { $0 } == Array("abc".utf8))
        close(reading)
        close(writing)
    }

    @Test func postsFromManyThreadsAllArriveWhileTimersRun() async {
        let loop = EventLoop(name: "test")
        let count = Locked(0)
        await withTaskGroup { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<500 {
                        await withCheckedContinuation { done in
                            loop.post {
                                count.withLock { $0 += 1 }
                                loop.schedule(after: .zero) { done.resume() }
                            }
                        }
                    }
                }
            }
        }
        #expect(count.withLock { $0 } == 4_000)
        loop.shutdown()
    }

    @Test func aSignalArrivesAsAnEventOnTheLoop() async {
        let loop = EventLoop(name: "test")
        let number = await withCheckedContinuation { done in
            let watcher = SignalWatcher(loop: loop, signals: [SIGUSR2]) { done.resume(returning: $0) }
            loop.post {
                _ = watcher  // registered by now
                kill(getpid(), SIGUSR2)
            }
        }
        #expect(number == SIGUSR2)
        loop.shutdown()
    }
}
