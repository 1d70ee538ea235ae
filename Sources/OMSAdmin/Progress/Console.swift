import Glibc
import OMSModel
import OMSRuntime

/// Standard output: lines that scroll, and on a terminal a block below them that is redrawn.
final class Console: Sendable {
    private struct State {
        var block: [TerminalText] = []
        var drawnLines = 0
        var lastDraw: Int64 = 0
    }

    let isTerminal = isatty(STDOUT_FILENO) == 1
    private let state = Locked(State())

    func line(_ text: TerminalText) {
        state.withLock { state in
            Terminal.print(Self.erase(&state) + text)
            draw(&state)
        }
    }

    /// Shown on terminals only, at most five times a second; made only then, for it grows with the tenants.
    func show(block: () -> [TerminalText]) {
        guard isTerminal else { return }
        state.withLock { state in
            guard MonotonicClock.milliseconds - state.lastDraw >= 200 else { return }
            state.block = block()
            Terminal.print(unended: Self.erase(&state))
            draw(&state)
        }
    }

    /// Leaves nothing of the block behind.
    func endBlock() {
        state.withLock { state in
            state.block = []
            Terminal.print(unended: Self.erase(&state))
        }
    }

    private func draw(_ state: inout State) {
        guard isTerminal, !state.block.isEmpty else { return }
        var size = winsize()
        let known = ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0
        let width = known && size.ws_col > 0 ? Int(size.ws_col) : 80
        // A block higher than the screen could not be erased again.
        let height = known && size.ws_row > 4 ? Int(size.ws_row) - 2 : 40
        let rule = TerminalText(line: String(repeating: "-", count: min(width, 60)))
        let lines = [rule] + state.block.prefix(height - 1)
        Terminal.print(lines.map { $0.cut(width - 1) }.joined(separator: "\n"))
        state.drawnLines = lines.count
        state.lastDraw = MonotonicClock.milliseconds
    }

    private static func erase(_ state: inout State) -> TerminalText {
        defer { state.drawnLines = 0 }
        guard state.drawnLines > 0 else { return "" }
        return "\u{1B}[\(state.drawnLines)A\u{1B}[J"
    }
}
