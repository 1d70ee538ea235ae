import Glibc
import OMSRuntime

/// Standard output: lines that scroll, and on a terminal a block below them that is redrawn.
final class Console: Sendable {
    private struct State {
        var block: [String] = []
        var drawnLines = 0
        var lastDraw: Int64 = 0
    }

    let isTerminal = isatty(STDOUT_FILENO) == 1
    private let state = Locked(State())

    func line(_ text: String) {
        state.withLock { state in
            Self.write(Self.erase(&state) + text + "\n")
            draw(&state)
        }
    }

    /// Shown on terminals only, at most five times a second.
    func show(block: [String]) {
        guard isTerminal else { return }
        state.withLock { state in
            state.block = block
            guard MonotonicClock.milliseconds - state.lastDraw >= 200 else { return }
            Self.write(Self.erase(&state))
            draw(&state)
        }
    }

    /// Leaves nothing of the block behind.
    func endBlock() {
        state.withLock { state in
            state.block = []
            Self.write(Self.erase(&state))
        }
    }

    private func draw(_ state: inout State) {
        guard isTerminal, !state.block.isEmpty else { return }
        var size = winsize()
        let known = ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0
        let width = known && size.ws_col > 0 ? Int(size.ws_col) : 80
        // A block higher than the screen could not be erased again.
        let height = known && size.ws_row > 4 ? Int(size.ws_row) - 2 : 40
        let lines = [String(repeating: "-", count: min(width, 60))] + state.block.prefix(height - 1)
        Self.write(lines.map { $0.prefix(width - 1) + "\n" }.joined())
        state.drawnLines = lines.count
        state.lastDraw = MonotonicClock.milliseconds
    }

    private static func erase(_ state: inout State) -> String {
        defer { state.drawnLines = 0 }
        return state.drawnLines > 0 ? "\u{1B}[\(state.drawnLines)A\u{1B}[J" : ""
    }

    private static func write(_ text: String) {
        let bytes = Array(text.utf8)
        var start = 0
        while start < bytes.count {
            let count = bytes[start...].withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if count <= 0 && errno != EINTR { return }  // a closed pipe: there is nobody to tell
            start += max(0, count)
        }
    }
}
