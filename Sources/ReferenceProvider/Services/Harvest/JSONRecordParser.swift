import OMSModel

/// JSON records, fed in chunks: one array of objects, or objects one after the other (JSON lines).
///
/// Finds the end of each top-level object by counting braces outside strings, and decodes the object when it is
/// complete, so that a file of any size needs the memory of one record.
struct JSONRecordParser {
    static let maximumRecordBytes = 1 << 20

    private var record: [UInt8] = []
    private var records = 0
    private var depth = 0
    private var isInString = false
    private var isEscaped = false
    private var isArray = false
    private var isClosed = false
    /// In an array, a comma stands between two objects and nowhere else.
    private var needsComma = false
    private var sawComma = false
    private var sawAnything = false

    mutating func feed(_ bytes: [UInt8], _ emit: (JSONObject) throws -> Void) throws {
        for byte in bytes {
            if depth > 0 { try takeInside(byte, emit) } else { try takeBetween(byte) }
        }
    }

    func finish() throws {
        if depth > 0 { throw fail("is cut off: a closing '}' is missing") }
        if isArray && !isClosed { throw fail("is missing: the array has no closing ']'") }
    }

    private mutating func takeInside(_ byte: UInt8, _ emit: (JSONObject) throws -> Void) throws {
        record.append(byte)
        if record.count > Self.maximumRecordBytes { throw fail("is longer than \(Self.maximumRecordBytes) bytes") }
        if isInString {
            if isEscaped {
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                isInString = false
            }
            return
        }
        switch byte {
        case UInt8(ascii: "\""): isInString = true
        case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
        case UInt8(ascii: "}"), UInt8(ascii: "]"):
            depth -= 1
            if depth == 0 { try endRecord(emit) }
        default: break
        }
    }

    private mutating func takeBetween(_ byte: UInt8) throws {
        switch byte {
        case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"): return
        case _ where isClosed: throw fail("follows the end of the array")
        case UInt8(ascii: "[") where !sawAnything: isArray = true
        case UInt8(ascii: "]") where isArray && !sawComma: isClosed = true
        case UInt8(ascii: ",") where isArray && needsComma:
            needsComma = false
            sawComma = true
        case UInt8(ascii: "{") where !(isArray && needsComma):
            record.append(byte)
            depth = 1
            sawComma = false
        default: throw fail("does not begin: expected an object, that is '{'")
        }
        sawAnything = true
    }

    private mutating func endRecord(_ emit: (JSONObject) throws -> Void) throws {
        guard let value = try? JSONText.parse(record), let members = value.objectValue else {
            throw fail("is no valid JSON object")
        }
        records += 1
        needsComma = true
        record.removeAll(keepingCapacity: true)
        try emit(members)
    }

    private func fail(_ reason: String) -> CSVParser.Failure { .init(row: records + 1, reason: reason) }
}
