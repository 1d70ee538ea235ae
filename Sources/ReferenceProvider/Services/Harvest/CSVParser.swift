/// RFC 4180, fed in chunks: quoted fields with `""`, line feeds inside quotes, CRLF or LF, a last line without an end,
/// a byte order mark at the start.
struct CSVParser {
    private enum State {
        /// At the start of a field. Can transition to `plain`, `quoted`, `carriageReturn`.
        case start
        /// In a field without quotes. Can transition to `start`, `carriageReturn`.
        case plain
        /// Inside quotes. Can transition to `quote`.
        case quoted
        /// After a quote inside quotes: the end, or the first half of `""`. Can transition to `quoted`, `start`,
        /// `carriageReturn`.
        case quote
        /// After CR, which only LF may follow. Can transition to `start`.
        case carriageReturn
    }

    struct Failure: Error, Hashable {
        /// Counted from 1, the header included.
        var row: Int
        var reason: String
    }

    static let maximumRowBytes = 1 << 20

    private var state = State.start
    private var field: [UInt8] = []
    private var row: [String] = []
    private var rowBytes = 0
    private var rows = 0
    private var bytesSeen = 0

    /// - Parameter emit: Called with each complete row.
    mutating func feed(_ bytes: [UInt8], _ emit: ([String]) throws -> Void) throws {
        for byte in bytes {
            bytesSeen += 1
            if bytesSeen <= 3, skipsByteOrderMark(byte) { continue }
            rowBytes += 1
            if rowBytes > Self.maximumRowBytes { throw fail("is longer than \(Self.maximumRowBytes) bytes") }
            try take(byte, emit)
        }
    }

    /// Ends the last line.
    mutating func finish(_ emit: ([String]) throws -> Void) throws {
        switch state {
        case .quoted: throw fail("ends inside quotes; a closing '\"' is missing")
        case .carriageReturn: try endRow(emit)
        case .start where row.isEmpty: break
        case .start, .plain, .quote: try endRow(emit)
        }
    }

    private mutating func take(_ byte: UInt8, _ emit: ([String]) throws -> Void) throws {
        switch (state, byte) {
        case (.quoted, UInt8(ascii: "\"")): state = .quote
        case (.quoted, _): field.append(byte)
        case (.quote, UInt8(ascii: "\"")):
            field.append(byte)
            state = .quoted
        case (.carriageReturn, UInt8(ascii: "\n")): try endRow(emit)
        case (.carriageReturn, _): throw fail("has a carriage return without a line feed; quote the field")
        case (_, UInt8(ascii: ",")): endField()
        case (_, UInt8(ascii: "\n")): try endRow(emit)
        case (_, UInt8(ascii: "\r")): state = .carriageReturn
        case (.start, UInt8(ascii: "\"")): state = .quoted
        case (.quote, _): throw fail("has text after a closing quote; write a quote inside a field as \"\"")
        case (.plain, UInt8(ascii: "\"")): throw fail("has a quote inside an unquoted field; quote the whole field")
        case (.start, _), (.plain, _):
            field.append(byte)
            state = .plain
        }
    }

    private mutating func endField() {
        row.append(String(decoding: field, as: UTF8.self))
        field.removeAll(keepingCapacity: true)
        state = .start
    }

    private mutating func endRow(_ emit: ([String]) throws -> Void) throws {
        endField()
        rows += 1
        rowBytes = 0
        let complete = row
        row.removeAll(keepingCapacity: true)
        try emit(complete)
    }

    private func fail(_ reason: String) -> Failure { Failure(row: rows + 1, reason: reason) }

    /// The mark is EF BB BF; a file that begins with one or two of these bytes otherwise is not UTF-8 anyway.
    private mutating func skipsByteOrderMark(_ byte: UInt8) -> Bool {
        let mark: [UInt8] = [0xef, 0xbb, 0xbf]
        guard byte == mark[bytesSeen - 1] else {
            bytesSeen = mark.count
            return false
        }
        return true
    }
}
