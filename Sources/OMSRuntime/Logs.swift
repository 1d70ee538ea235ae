import Glibc
package import Logging

/// Sets up logging for a process: one logfmt line per event on stderr.
package enum Logs {
    /// Call once, before the first logger is made.
    package static func bootstrap(service: String, level: Logger.Level) {
        LoggingSystem.bootstrap { _ in LogfmtHandler(service: service, level: level) }
    }
}

/// Writes `2026-01-01T00:00:00.000Z level=notice service=sp-gateway msg="text" key=value` with one `write` per line.
///
/// One `write` and no buffer: lines of several threads do not mix, and nothing is lost when the process dies. A line is never
/// longer than a pipe takes whole, and a reader of stderr who stalls loses lines (`LogSink`), but does not stall us.
package struct LogfmtHandler: LogHandler {
    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    private let service: String
    private let write: @Sendable ([UInt8]) -> Void

    package init(service: String, level: Logger.Level) {
        self.init(service: service, level: level) { line in LogSink.standardError.write(line) }
    }

    /// - Parameter write: Receives whole lines, the line feed included.
    package init(service: String, level: Logger.Level, write: @escaping @Sendable ([UInt8]) -> Void) {
        logLevel = level
        self.service = service
        self.write = write
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var line = LogfmtLine()
        line.append(timestamp: WallClock.milliseconds)
        line.append(key: "level", value: event.level.rawValue)
        line.append(key: "service", value: service)
        line.append(key: "msg", value: event.message.description)
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { _, new in new } }
        if let own = event.metadata { all.merge(own) { _, new in new } }
        for (key, value) in all.sorted(by: { $0.key < $1.key }) { line.append(key: key, value: value.description) }
        write(line.finish())
    }
}

/// Builds one line; public input cannot add lines or keys, nor reach a terminal as anything but text: values that need it
/// are quoted and escaped, and a line stays below `maximumBytes`.
struct LogfmtLine {
    /// Longer values are cut: a log line must stay a line that people and tools can read.
    static let maximumValueBytes = 2_048
    /// What a pipe takes whole or not at all (`PIPE_BUF`): a line is never torn, and never waits for room.
    static let maximumBytes = 4_096
    private static let cutMark = "..."

    private var bytes: [UInt8] = []

    init() { bytes.reserveCapacity(256) }

    mutating func append(timestamp milliseconds: Int64) {
        RFC3339.append(milliseconds, to: &bytes)
    }

    mutating func append(key: String, value: String) {
        // The key, the quotes, the mark and the line feed.
        let room = Self.maximumBytes - bytes.count - key.utf8.count - 8
        guard room > 16 else { return }
        bytes.append(UInt8(ascii: " "))
        for byte in key.utf8 { bytes.append(Self.isPlain(byte) ? byte : UInt8(ascii: "_")) }
        bytes.append(UInt8(ascii: "="))
        let limit = min(room, Self.maximumValueBytes)
        if !value.isEmpty, value.utf8.count <= limit, value.utf8.allSatisfy(Self.isPlain) {
            bytes.append(contentsOf: value.utf8)
            return
        }
        bytes.append(UInt8(ascii: "\""))
        let end = bytes.count + limit
        for scalar in value.unicodeScalars {
            let before = bytes.count
            appendEscaped(scalar)
            if bytes.count > end {
                bytes.removeLast(bytes.count - before)
                bytes += Self.cutMark.utf8
                break
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    mutating func finish() -> [UInt8] {
        bytes.append(UInt8(ascii: "\n"))
        return bytes
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        byte > 0x20 && byte < 0x7f && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "=")
            && byte != UInt8(ascii: "\\")
    }

    private mutating func appendEscaped(_ scalar: Unicode.Scalar) {
        switch scalar {
        case "\"", "\\": bytes += [UInt8(ascii: "\\"), UInt8(scalar.value)]
        case "\n": bytes += "\\n".utf8
        case "\r": bytes += "\\r".utf8
        case "\t": bytes += "\\t".utf8
        default:
            if scalar.value < 0x80, scalar.value >= 0x20, scalar.value != 0x7f {
                bytes.append(UInt8(scalar.value))
            } else if scalar.value < 0x80 {
                bytes += "\\x".utf8
                append(hexadecimal: scalar.value, digits: 2)
            } else if Self.isUnseen(scalar) {
                bytes += "\\u{".utf8
                append(hexadecimal: scalar.value, digits: 1)
                bytes.append(UInt8(ascii: "}"))
            } else {
                bytes += UTF8.encode(scalar).map { Array($0) } ?? []
            }
        }
    }

    /// Control characters of the upper half, line and paragraph separators, and what turns the direction of writing: they do
    /// something to a terminal or to the eye instead of being seen.
    private static func isUnseen(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned, .privateUse: true
        default: false
        }
    }

    private mutating func append(hexadecimal value: UInt32, digits: Int) {
        let text = String(value, radix: 16)
        bytes += String(repeating: "0", count: max(0, digits - text.utf8.count)).utf8
        bytes += text.utf8
    }
}
