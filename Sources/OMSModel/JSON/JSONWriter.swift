/// Writes JSON bytes, members in the order of their names. It writes each value once, into one buffer, so the size of what
/// is sent is known as soon as it is written. It never refuses a number: JSON has no infinite ones, they become null and
/// are counted.
package final class JSONWriter {
    package enum NUL: Sendable { case escaped, replaced }

    package private(set) var bytes: [UInt8] = []
    /// How many infinite numbers or NaNs were written as null.
    package private(set) var nonFiniteNumbers = 0
    private let nul: NUL

    /// One for each value that is being written, the innermost last.
    private var frames: [Frame] = []
    /// The members that the open frames have so far.
    private var members: [Member] = []

    private struct Frame {
        enum Kind { case open, object, array, scalar }
        var kind = Kind.open
        var firstMember: Int
        var hasItems = false
        /// Containers that are filled while others are written too.
        var detached: [(name: String?, writer: JSONWriter)] = []
    }

    private struct Member {
        var name: String
        var start: Int
        var end: Int
    }

    /// - Parameter nul: `replaced` writes U+FFFD for U+0000, which PostgreSQL's jsonb cannot hold.
    package init(nul: NUL = .escaped) { self.nul = nul }

    package func write(_ value: some Encodable) throws {
        frames.append(Frame(firstMember: members.count))
        defer { members.removeSubrange(frames.removeLast().firstMember...) }
        try value.encode(to: self)
        try close()
    }

    package func write(_ value: JSONValue) {
        begin(.scalar)
        value.write(to: self)
    }

    func append(_ text: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    func append(raw more: some Sequence<UInt8>) { bytes.append(contentsOf: more) }

    // MARK: - Frames

    private func begin(_ kind: Frame.Kind) {
        guard let top = frames.indices.last, frames[top].kind == .open else { return }
        frames[top].kind = kind
        if kind == .object { bytes.append(UInt8(ascii: "{")) }
        if kind == .array { bytes.append(UInt8(ascii: "[")) }
    }

    private func close() throws {
        guard let top = frames.indices.last else { return }
        for (name, writer) in frames[top].detached {
            try writer.close()
            if let name { begin(name) } else { beginItem() }
            bytes.append(contentsOf: writer.bytes)
            nonFiniteNumbers += writer.nonFiniteNumbers
            if name != nil { endMember() }
        }
        switch frames[top].kind {
        case .open: append("{}")
        case .object:
            sortMembers(from: frames[top].firstMember)
            bytes.append(UInt8(ascii: "}"))
        case .array: bytes.append(UInt8(ascii: "]"))
        case .scalar: break
        }
    }

    private func begin(_ name: String) {
        guard let top = frames.indices.last else { return }
        if frames[top].hasItems { bytes.append(UInt8(ascii: ",")) }
        frames[top].hasItems = true
        members.append(Member(name: name, start: bytes.count, end: 0))
        write(text: name)
        bytes.append(UInt8(ascii: ":"))
    }

    private func endMember() { members[members.count - 1].end = bytes.count }

    private func beginItem() {
        guard let top = frames.indices.last else { return }
        if frames[top].hasItems { bytes.append(UInt8(ascii: ",")) }
        frames[top].hasItems = true
    }

    private func sortMembers(from first: Int) {
        let own = members[first...]
        guard let start = own.first?.start,
            zip(own, own.dropFirst()).contains(where: { !$0.name.isBefore($1.name) })
        else { return }
        // Of a member that was written twice the last one counts.
        var sorted: [Member] = []
        for member in own.enumerated().sorted(by: {
            $0.element.name.isBefore($1.element.name)
                || ($0.element.name.hasSameBytes(as: $1.element.name) && $0.offset < $1.offset)
        }) {
            if let last = sorted.last, last.name.hasSameBytes(as: member.element.name) { sorted.removeLast() }
            sorted.append(member.element)
        }
        var rearranged: [UInt8] = []
        rearranged.reserveCapacity(bytes.count - start)
        for member in sorted {
            if !rearranged.isEmpty { rearranged.append(UInt8(ascii: ",")) }
            rearranged.append(contentsOf: bytes[member.start..<member.end])
        }
        bytes.replaceSubrange(start..., with: rearranged)
    }

    fileprivate func member(_ name: String, _ write: () throws -> Void) rethrows {
        begin(.object)
        begin(name)
        try write()
        endMember()
    }

    fileprivate func item(_ write: () throws -> Void) rethrows {
        begin(.array)
        beginItem()
        try write()
    }

    fileprivate func detached(_ name: String?) -> JSONWriter {
        begin(name == nil ? .array : .object)
        let writer = JSONWriter(nul: nul)
        writer.frames.append(Frame(firstMember: 0))
        if let top = frames.indices.last { frames[top].detached.append((name, writer)) }
        return writer
    }

    // MARK: - Scalars

    fileprivate func scalar(_ write: () throws -> Void) rethrows {
        begin(.scalar)
        try write()
    }

    func write(_ flag: Bool) { append(flag ? "true" : "false") }

    func write(integer value: some FixedWidthInteger) {
        if value.magnitude < 10 {
            if value < 0 { bytes.append(UInt8(ascii: "-")) }
            bytes.append(48 + UInt8(truncatingIfNeeded: value.magnitude))
        } else {
            bytes.append(contentsOf: String(value).utf8)
        }
    }

    func write(_ value: Double) {
        guard value.isFinite else {
            nonFiniteNumbers += 1
            append("null")
            return
        }
        let text = value.description
        bytes.append(contentsOf: text.hasSuffix(".0") ? text.utf8.dropLast(2) : text.utf8[...])
    }

    func write(text: String) {
        bytes.append(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { part in
            var start = 0
            for index in 0..<part.count {
                let byte = part[index]
                guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
                bytes.append(contentsOf: UnsafeBufferPointer(rebasing: part[start..<index]))
                start = index + 1
                escape(byte)
            }
            bytes.append(contentsOf: UnsafeBufferPointer(rebasing: part[start...]))
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private func escape(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): append("\\\"")
        case UInt8(ascii: "\\"): append("\\\\")
        case 0x08: append("\\b")
        case 0x09: append("\\t")
        case 0x0A: append("\\n")
        case 0x0C: append("\\f")
        case 0x0D: append("\\r")
        case 0 where nul == .replaced: append("\u{FFFD}")
        default:
            append("\\u00")
            for digit in [byte >> 4, byte & 15] { bytes.append(digit < 10 ? 48 + digit : 87 + digit) }
        }
    }

    /// How many bytes a byte of a text takes when it is written.
    static func width(_ byte: UInt8) -> Int {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), 0x08, 0x09, 0x0A, 0x0C, 0x0D: 2
        case 0..<0x20: 6
        default: 1
        }
    }
}

// MARK: - Encoder

extension JSONWriter: Encoder {
    package var codingPath: [any CodingKey] { [] }
    package var userInfo: [CodingUserInfoKey: Any] { [:] }

    package func container<Key: CodingKey>(keyedBy: Key.Type) -> KeyedEncodingContainer<Key> {
        begin(.object)
        return KeyedEncodingContainer(MemberWriter<Key>(writer: self))
    }

    package func unkeyedContainer() -> any UnkeyedEncodingContainer {
        begin(.array)
        return ItemWriter(writer: self)
    }

    package func singleValueContainer() -> any SingleValueEncodingContainer { ScalarWriter(writer: self) }
}

private struct MemberWriter<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let writer: JSONWriter
    var codingPath: [any CodingKey] { [] }

    func encodeNil(forKey key: Key) { writer.member(key.stringValue) { writer.append("null") } }
    func encode(_ value: Bool, forKey key: Key) { writer.member(key.stringValue) { writer.write(value) } }
    func encode(_ value: String, forKey key: Key) { writer.member(key.stringValue) { writer.write(text: value) } }
    func encode(_ value: Double, forKey key: Key) { writer.member(key.stringValue) { writer.write(value) } }
    func encode(_ value: Float, forKey key: Key) { writer.member(key.stringValue) { writer.write(Double(value)) } }
    func encode(_ value: Int, forKey key: Key) { integer(value, key) }
    func encode(_ value: Int8, forKey key: Key) { integer(value, key) }
    func encode(_ value: Int16, forKey key: Key) { integer(value, key) }
    func encode(_ value: Int32, forKey key: Key) { integer(value, key) }
    func encode(_ value: Int64, forKey key: Key) { integer(value, key) }
    func encode(_ value: UInt, forKey key: Key) { integer(value, key) }
    func encode(_ value: UInt8, forKey key: Key) { integer(value, key) }
    func encode(_ value: UInt16, forKey key: Key) { integer(value, key) }
    func encode(_ value: UInt32, forKey key: Key) { integer(value, key) }
    func encode(_ value: UInt64, forKey key: Key) { integer(value, key) }
    func encode(_ value: some Encodable, forKey key: Key) throws {
        try writer.member(key.stringValue) { try writer.write(value) }
    }

    private func integer(_ value: some FixedWidthInteger, _ key: Key) {
        writer.member(key.stringValue) { writer.write(integer: value) }
    }

    func nestedContainer<Other: CodingKey>(keyedBy type: Other.Type, forKey key: Key) -> KeyedEncodingContainer<Other> {
        writer.detached(key.stringValue).container(keyedBy: type)
    }
    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        writer.detached(key.stringValue).unkeyedContainer()
    }
    func superEncoder() -> any Encoder { writer.detached("super") }
    func superEncoder(forKey key: Key) -> any Encoder { writer.detached(key.stringValue) }
}

private struct ItemWriter: UnkeyedEncodingContainer {
    let writer: JSONWriter
    var count = 0
    var codingPath: [any CodingKey] { [] }

    init(writer: JSONWriter) { self.writer = writer }

    mutating func encodeNil() {
        count += 1
        writer.item { writer.append("null") }
    }
    mutating func encode(_ value: some Encodable) throws {
        count += 1
        try writer.item { try writer.write(value) }
    }
    mutating func nestedContainer<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        count += 1
        return writer.detached(nil).container(keyedBy: type)
    }
    mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
        count += 1
        return writer.detached(nil).unkeyedContainer()
    }
    mutating func superEncoder() -> any Encoder {
        count += 1
        return writer.detached(nil)
    }
}

private struct ScalarWriter: SingleValueEncodingContainer {
    let writer: JSONWriter
    var codingPath: [any CodingKey] { [] }

    func encodeNil() { writer.scalar { writer.append("null") } }
    func encode(_ value: Bool) { writer.scalar { writer.write(value) } }
    func encode(_ value: String) { writer.scalar { writer.write(text: value) } }
    func encode(_ value: Double) { writer.scalar { writer.write(value) } }
    func encode(_ value: Float) { writer.scalar { writer.write(Double(value)) } }
    func encode(_ value: Int) { writer.scalar { writer.write(integer: value) } }
    func encode(_ value: Int8) { writer.scalar { writer.write(integer: value) } }
    func encode(_ value: Int16) { writer.scalar { writer.write(integer: value) } }
    func encode(_ value: Int32) { writer.scalar { writer.write(integer: value) } }
    func encode(_ value: Int64) { writer.scalar { writer.write(integer: value) } }
    func encode(_ value: UInt) { writer.scalar { writer.write(integer: value) } }
    func encode(_ value: UInt8) { writer.scalar { writer.write(integer: value) } }
    func encode(_ value: UInt16) { writer.scalar { writer.write(integer: value) } }
    func encode(_ value: UInt32) { writer.scalar { writer.write(integer: value) } }
    func encode(_ value: UInt64) { writer.scalar { writer.write(integer: value) } }
    func encode(_ value: some Encodable) throws { try writer.scalar { try writer.write(value) } }
}
