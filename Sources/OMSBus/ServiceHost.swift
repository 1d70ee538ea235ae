import Glibc
package import Logging
package import OMSModel
package import OMSRuntime

/// What every service process does around its core: one loop, one wake-up timer, signals, an orderly end.
package enum ServiceHost {
    /// The release that presences and reports name.
    package static let release = "0.1.0"

    /// Runs a service until SIGTERM or SIGINT.
    /// - Parameter body: starts the service on the loop and returns what ends it.
    package static func run(
        _ name: String, logLevel: Logger.Level,
        _ body: @escaping @Sendable (EventLoop, Logger) async throws -> @Sendable () async -> Void
    ) async throws {
        ProcessSetup.prepare()
        ProcessSetup.keepFilesPrivate()
        Logs.bootstrap(service: name, level: logLevel)
        let logger = Logger(label: name)
        let loop = EventLoop(name: name)
        let (signals, continuation) = AsyncStream.makeStream(of: Int32.self, bufferingPolicy: .bufferingNewest(1))
        let watcher = SignalWatcher(loop: loop) { continuation.yield($0) }
        let stop = try await body(loop, logger)
        logger.notice("started", metadata: [LoggingKeys.version: "\(release)"])
        for await signal in signals {
            logger.notice("stopping", metadata: [LoggingKeys.signal: "\(signal)"])
            break
        }
        watcher.cancel()
        await stop()
        loop.shutdown()
        logger.notice("stopped")
    }

    /// This moment on both clocks.
    package static var now: Moment {
        Moment(monotonic: MonotonicClock.milliseconds, wall: Timestamp(milliseconds: WallClock.milliseconds))
    }

    /// Two processes under one name would undo each other's work for ever: the older one goes. Its `lost` says nothing
    /// against the newer one, because of the lower incarnation.
    package static func superseded(by boot: Int64, _ logger: Logger) -> Never {
        logger.error(
            "another process with this --id has started later; this one ends. Give each its own --id",
            metadata: [LoggingKeys.detail: "incarnation \(boot)"])
        exit(3)
    }

    /// Prints one sentence and ends the process: for what the operator has to mend before a start makes sense.
    package static func fail(_ name: String, _ error: any Error) -> Never {
        let text = "\(name): \(error)\n"
        _ = write(STDERR_FILENO, text, text.utf8.count)
        exit(1)
    }
}

/// The one timer of a core, on the loop.
package struct WakeTimer {
    private var timer: LoopTimer?
    private var at: Int64 = .max

    package init() {}

    /// Sets the timer anew if the core wants another time.
    package mutating func set(_ deadline: Int64, on loop: EventLoop, _ work: @escaping () -> Void) {
        if deadline == at, timer != nil { return }
        if let timer { loop.cancel(timer) }
        at = deadline
        timer = loop.schedule(at: deadline, work)
    }

    /// Call when it has fired.
    package mutating func fired() { timer = nil }

    package mutating func cancel(on loop: EventLoop) {
        if let timer { loop.cancel(timer) }
        timer = nil
    }
}
