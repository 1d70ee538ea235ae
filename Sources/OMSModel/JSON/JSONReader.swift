/// What a JSON text may cost at most. It is judged while it is read, in one pass over its bytes.
package struct JSONLimits: Hashable, Sendable {
    package var bytes: Int
    package var depth: Int
    /// Values of all kinds, inner ones too.
    package var nodes: Int

    package init(bytes: Int, depth: Int, nodes: Int) {
        self.bytes = bytes
        self.depth = depth
        self.nodes = nodes
    }

    /// What comes from outside (answers of providers, documents, schemas) may be nested so deeply.
    package static let borderDepth = 32
    /// Of messages between services: what was legal at the border, and what they put around it. Outputs of a job in what a
    /// new Work Manager takes over are wrapped most.
    package static let busDepth = borderDepth + 16

    /// What this program or its database has written.
    package static let own = JSONLimits(bytes: .max, depth: 512, nodes: .max)
}

/// Why something is no JSON for OMS: what is wrong and where, for a person.
package struct JSONFault: Error, Hashable, Sendable, CustomStringConvertible {
    /// In bytes from the start.
    package var offset: Int
    package var what: String

    package init(offset: Int, what: String) {
        self.offset = offset
        self.what = what
    }

    package var description: String { "\(what) (at byte \(offset))" }
}

/// Reads JSON (RFC 8259). Of doubled members the last wins; lone surrogates and wrong UTF-8 become U+FFFD; a number keeps
/// all its digits (`JSONNumber`). Nothing is read twice, so the time grows with the bytes alone.
package enum JSONReader {
    /// - Throws: `JSONFault`
    package static func read(_ bytes: [UInt8], _ limits: JSONLimits) throws(JSONFault) -> JSONValue {
        try read(bytes, limits, isLenient: false).value
    }

    /// As `read`, for what foreign programs write: a byte order mark, control characters inside texts, `NaN` and
    /// `Infinity` (as texts) are taken, and what is nested too deeply is left out, with a text in its place.
    /// - Returns: the value, and how many inner ones were left out.
    package static func readLeniently(
        _ bytes: [UInt8], _ limits: JSONLimits
    ) throws(JSONFault) -> (value: JSONValue, leftOut: Int) {
        try read(bytes, limits, isLenient: true)
    }

    private static func read(
        _ bytes: [UInt8], _ limits: JSONLimits, isLenient: Bool
    ) throws(JSONFault) -> (value: JSONValue, leftOut: Int) {
        guard bytes.count <= limits.bytes else {
            throw JSONFault(offset: limits.bytes, what: "\(bytes.count) bytes, at most \(limits.bytes)")
        }
        // The closure does not throw, since typed errors do not pass through it.
        let result = bytes.withUnsafeBufferPointer { bytes -> Result<(JSONValue, Int), JSONFault> in
            var scanner = JSONScanner(bytes: bytes, limits: limits, isLenient: isLenient)
            do throws(JSONFault) {
                return .success((try scanner.document(), scanner.leftOut))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }
}

struct JSONScanner {
    let bytes: UnsafeBufferPointer<UInt8>
    let limits: JSONLimits
    let isLenient: Bool
    var at = 0
    private var nodes = 0
    private(set) var leftOut = 0

    init(bytes: UnsafeBufferPointer<UInt8>, limits: JSONLimits, isLenient: Bool) {
        self.bytes = bytes
        self.limits = limits
        self.isLenient = isLenient
    }

    func fault(_ what: String, at offset: Int? = nil) -> JSONFault { JSONFault(offset: offset ?? at, what: what) }

    mutating func document() throws(JSONFault) -> JSONValue {
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
            guard isLenient else { throw fault("a byte order mark; JSON is written without one") }
            at = 3
        }
        if bytes.count >= 2,
            bytes[0] == 0 || bytes[1] == 0 || bytes.starts(with: [0xFE, 0xFF])
                || bytes.starts(with: [0xFF, 0xFE])
        {
            throw fault("this is UTF-16 or UTF-32; JSON is written in UTF-8")
        }
        skipSpace()
        guard at < bytes.count else { throw fault("it is empty, JSON is expected") }
        let value = try value(0)
        skipSpace()
        guard at == bytes.count else { throw fault("more follows behind the end of the JSON") }
        return value
    }

    @inline(__always)
    private mutating func skipSpace() {
        while at < bytes.count {
            switch bytes[at] {
            case 0x20, 0x0A, 0x0D, 0x09: at += 1
            default: return
            }
        }
    }

    private mutating func value(_ depth: Int) throws(JSONFault) -> JSONValue {
        nodes += 1
        guard nodes <= limits.nodes else { throw fault("more than \(limits.nodes) values") }
        guard at < bytes.count else { throw ended }
        switch bytes[at] {
        case UInt8(ascii: "{"): return try nested(depth) ? .object(object(depth + 1)) : tooDeep
        case UInt8(ascii: "["): return try nested(depth) ? .array(array(depth + 1)) : tooDeep
        case UInt8(ascii: "\""): return .string(try text())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        case UInt8(ascii: "t") where word("true"): return .bool(true)
        case UInt8(ascii: "f") where word("false"): return .bool(false)
        case UInt8(ascii: "n") where word("null"): return .null
        case UInt8(ascii: "N") where isLenient && word("NaN"): return .string("NaN")
        case UInt8(ascii: "I") where isLenient && word("Infinity"): return .string("Infinity")
        default: throw unexpected("a value")
        }
    }

    private mutating func object(_ depth: Int) throws(JSONFault) -> JSONObject {
        at += 1
        skipSpace()
        if take("}") { return JSONObject() }
        var members = JSONObject()
        while true {
            guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") else {
                throw at < bytes.count && bytes[at] == UInt8(ascii: "}")
                    ? fault("a comma with nothing behind it") : unexpected("the name of a member in double quotes")
            }
            let name = try text()
            skipSpace()
            guard take(":") else { throw unexpected("a colon") }
            skipSpace()
            members[name] = try value(depth)
            skipSpace()
            if take(",") {
                skipSpace()
                continue
            }
            if take("}") { return members }
            throw unexpected("a comma or '}'")
        }
    }

    private mutating func array(_ depth: Int) throws(JSONFault) -> [JSONValue] {
        at += 1
        skipSpace()
        if take("]") { return [] }
        var items: [JSONValue] = []
        while true {
            if at < bytes.count, bytes[at] == UInt8(ascii: "]") { throw fault("a comma with nothing behind it") }
            items.append(try value(depth))
            skipSpace()
            if take(",") {
                skipSpace()
                continue
            }
            if take("]") { return items }
            throw unexpected("a comma or ']'")
        }
    }

    @inline(__always)
    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard at < bytes.count, bytes[at] == UInt8(truncatingIfNeeded: character.value) else { return false }
        at += 1
        return true
    }

    private mutating func word(_ word: StaticString) -> Bool {
        let length = word.utf8CodeUnitCount
        guard bytes.count - at >= length else { return false }
        for index in 0..<length where bytes[at + index] != word.utf8Start[index] { return false }
        at += length
        return true
    }

    // MARK: - What is wrong

    private var ended: JSONFault { fault("it ends before the JSON does") }

    private func unexpected(_ what: String) -> JSONFault {
        guard at < bytes.count else { return ended }
        let byte = bytes[at]
        let found = (0x21...0x7E).contains(byte) ? "'\(Unicode.Scalar(byte))'" : "byte 0x\(String(byte, radix: 16))"
        return fault("\(what) is expected, not \(found)")
    }

    private var tooDeep: JSONValue { .string("(left out: nested deeper than \(limits.depth) levels)") }

    /// - Returns: false if the value here is nested too deeply and was passed over.
    private mutating func nested(_ depth: Int) throws(JSONFault) -> Bool {
        if depth < limits.depth { return true }
        guard isLenient else { throw fault("nested deeper than \(limits.depth) levels") }
        var open = 0
        while at < bytes.count {
            switch bytes[at] {
            case UInt8(ascii: "\""):
                try passText()
                continue
            case UInt8(ascii: "{"), UInt8(ascii: "["): open += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"): open -= 1
            default: break
            }
            at += 1
            if open == 0 {
                leftOut += 1
                return false
            }
        }
        throw ended
    }
}
