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
/// One `write` and no buffer: lines of several threads do not mix, and nothing is lost when the process dies. The price
/// is that a reader of stderr who stalls also stalls us.
package struct LogfmtHandler: LogHandler {
    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    private let service: String
    private let write: @Sendable ([UInt8]) -> Void

    package init(service: String, level: Logger.Level) {
        self.init(service: service, level: level) { line in _ = Glibc.write(STDERR_FILENO, line, line.count) }
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

/// Builds one line; public input cannot add lines or keys, because values that need it are quoted and escaped.
struct LogfmtLine {
    /// Longer values are cut: a log line must stay a line that people and tools can read.
    static let maximumValueBytes = 4_096

    private var bytes: [UInt8] = []

    init() { bytes.reserveCapacity(256) }

    mutating func append(timestamp milliseconds: Int64) {
        RFC3339.append(milliseconds, to: &bytes)
    }

    mutating func append(key: String, value: String) {
        bytes.append(UInt8(ascii: " "))
        for byte in key.utf8 { bytes.append(Self.isPlain(byte) ? byte : UInt8(ascii: "_")) }
        bytes.append(UInt8(ascii: "="))
        let text = value.utf8.prefix(Self.maximumValueBytes)
        if !text.isEmpty && text.allSatisfy(Self.isPlain) {
            bytes.append(contentsOf: text)
        } else {
            bytes.append(UInt8(ascii: "\""))
            var left = Self.maximumValueBytes
            for scalar in value.unicodeScalars {
                left -= UTF8.width(scalar)
                if left < 0 { break }
                appendEscaped(scalar)
            }
            bytes.append(UInt8(ascii: "\""))
        }
    }

    mutating func finish() -> [UInt8] {
        bytes.append(UInt8(ascii: "\n"))
        return bytes
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        byte > 0x20 && byte < 0x7f && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "=")
            && byte != UInt8(ascii: "\\")
    }

    /// A log is read on terminals too: what they would obey is shown as what it is. Letters of all languages stay.
    private mutating func appendEscaped(_ scalar: Unicode.Scalar) {
        switch scalar {
        case "\"", "\\": bytes += [UInt8(ascii: "\\"), UInt8(truncatingIfNeeded: scalar.value)]
        case "\n": bytes += "\\n".utf8
        case "\r": bytes += "\\r".utf8
        case "\t": bytes += "\\t".utf8
        case _ where scalar.value < 0x20 || scalar.value == 0x7F:
            let digits = Array("0123456789abcdef".utf8)
            bytes += "\\x".utf8
            bytes += [digits[Int(scalar.value >> 4)], digits[Int(scalar.value & 15)]]
        default:
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator:
                bytes += "\\u{\(String(scalar.value, radix: 16))}".utf8
            default: bytes += UTF8.encode(scalar).map { Array($0) } ?? []
            }
        }
    }
}
