import Glibc

/// Writes log lines to a descriptor without waiting for whoever reads them: a full pipe costs a tenth of a second once, and
/// then lines, which are counted and told of as soon as there is room. The loop of a service must not stand still because
/// nobody reads its log.
package final class LogSink: Sendable {
    package static let standardError = LogSink(STDERR_FILENO)

    private struct State {
        /// Since the last line that was written.
        var lost = 0
    }

    private let descriptor: Int32
    private let state = Locked(State())

    package init(_ descriptor: Int32) { self.descriptor = descriptor }

    private static let patienceMilliseconds: Int32 = 100

    /// - Parameter line: with its line feed; at most `PIPE_BUF` bytes, so that it is written whole or not at all.
    package func write(_ line: [UInt8]) {
        state.withLock { state in
            // Whoever has stalled is not waited for again, until he reads.
            guard hasRoom(waiting: state.lost == 0 ? Self.patienceMilliseconds : 0) else {
                state.lost += 1
                return
            }
            if state.lost > 0 {
                var note = LogfmtLine()
                note.append(timestamp: WallClock.milliseconds)
                note.append(key: "level", value: "warning")
                note.append(key: "msg", value: "log lines lost, whoever reads them is too slow")
                note.append(key: LoggingKeys.count, value: "\(state.lost)")
                put(note.finish())
                state.lost = 0
                guard hasRoom(waiting: 0) else {
                    state.lost = 1
                    return
                }
            }
            put(line)
        }
    }

    /// A pipe is ready when `PIPE_BUF` bytes fit; a file is always.
    private func hasRoom(waiting milliseconds: Int32) -> Bool {
        var ask = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        return poll(&ask, 1, milliseconds) > 0 && ask.revents & Int16(POLLOUT) != 0
    }

    private func put(_ line: [UInt8]) { while Glibc.write(descriptor, line, line.count) < 0, errno == EINTR {} }
}
