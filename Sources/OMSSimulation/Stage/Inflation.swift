package import OMSModel

/// Blows a message up to the largest that may come: at each place of a sample one after the other the longest list, the
/// longest text, the longest number, the deepest nesting, the most members. Nobody has to guess which of them costs most.
package struct Inflation {
    /// Where it was blown up, and into what.
    package struct Variant {
        package var name: String
        package var bytes: [UInt8]
    }

    /// Of the whole text.
    let size: Int
    let depth: Int
    /// What stands around the sample.
    let head: String
    let tail: String

    package init(size: Int, depth: Int, head: String = "", tail: String = "") {
        (self.size, self.depth, self.head, self.tail) = (size, depth, head, tail)
    }

    private static let hole = "@@hole@@"
    private static let holeBytes = Array("\"@@hole@@\"".utf8)

    package func each(of sample: JSONValue, _ body: (Variant) throws -> Void) throws {
        try visit(sample, path: "", depth: head.isEmpty ? 0 : 1, within: { $0 }, whole: sample, body)
    }

    private func visit(
        _ value: JSONValue, path: String, depth: Int, within: (JSONValue) -> JSONValue, whole: JSONValue,
        _ body: (Variant) throws -> Void
    ) throws {
        let text = try JSON.encode(within(.string(Self.hole)))
        let before = Array(head.utf8) + text.prefix(upTo(text))
        let after = text.dropFirst(upTo(text) + Self.holeBytes.count) + Array(tail.utf8)
        let room = size - before.count - after.count
        for (name, filler) in try fillers(of: value, room: room, depth: self.depth - depth) {
            try body(Variant(name: "\(path.isEmpty ? "/" : path) \(name)", bytes: before + filler + after))
        }
        switch value {
        case .array(let items):
            guard let first = items.first else { return }
            try visit(
                first, path: path + "/0", depth: depth + 1,
                within: { within(.array([$0] + items.dropFirst())) }, whole: whole, body)
        case .object(let members):
            for key in members.keys.sorted() {
                guard let member = members[key] else { continue }
                try visit(
                    member, path: path + "/" + key, depth: depth + 1,
                    within: {
                        var members = members
                        members[key] = $0
                        return within(.object(members))
                    }, whole: whole, body)
            }
        default: break
        }
    }

    private func upTo(_ text: [UInt8]) -> Int {
        var index = 0
        while index + Self.holeBytes.count <= text.count {
            if text[index..<index + Self.holeBytes.count].elementsEqual(Self.holeBytes) { return index }
            index += 1
        }
        return text.count
    }

    private func fillers(of value: JSONValue, room: Int, depth: Int) throws -> [(String, [UInt8])] {
        var all: [(String, [UInt8])] = [
            ("zeros", Self.list("0", room)), ("empty objects", Self.list("{}", room)),
            ("members", Self.members(room) { _ in Array("0".utf8) }),
            ("control characters", Self.quoted("\\u0001", room)), ("quotes", Self.quoted("\\\"", room)),
            ("letters", Self.quoted("é", room)), ("combined", Self.quoted("e\u{301}", room)),
            ("digits", Array(repeating: UInt8(ascii: "7"), count: max(1, room))),
            ("fraction", Array("0.".utf8) + Array(repeating: UInt8(ascii: "7"), count: max(1, room - 2))),
        ]
        if depth > 1 {
            let inner = depth - 1
            all.append(
                (
                    "nested lists",
                    Self.list(String(repeating: "[", count: inner) + String(repeating: "]", count: inner), room)
                ))
            all.append(
                (
                    "nested objects",
                    Self.list(
                        String(repeating: #"{"a":"#, count: inner) + "0" + String(repeating: "}", count: inner), room)
                ))
        }
        switch value {
        case .array(let items):
            if let first = items.first { all.append(("rows", Self.rows(room) { Self.changed(first, $0) })) }
        case .object(let members):
            if let first = members.keys.min(), let value = members[first] {
                all.append(
                    (
                        "entries",
                        Self.members(room) { (try? JSON.encode(Self.changed(value, $0))) ?? [] }
                    ))
            }
        default: break
        }
        return all
    }

    private static func list(_ item: String, _ room: Int) -> [UInt8] {
        let item = Array(item.utf8)
        var result = Array("[".utf8) + item
        result.reserveCapacity(max(room, 16))
        while result.count + item.count + 2 <= room {
            result.append(UInt8(ascii: ","))
            result += item
        }
        return result + Array("]".utf8)
    }

    private static func quoted(_ part: String, _ room: Int) -> [UInt8] {
        let part = Array(part.utf8)
        var result = Array("\"".utf8)
        while result.count + part.count + 1 <= room { result += part }
        return result + Array("\"".utf8)
    }

    private static func members(_ room: Int, _ value: (Int) -> [UInt8]) -> [UInt8] {
        var result = Array("{".utf8)
        var count = 0
        while true {
            let member = Array("\"k\(count)\":".utf8) + value(count)
            guard count == 0 || result.count + member.count + 2 <= room else { break }
            if count > 0 { result.append(UInt8(ascii: ",")) }
            result += member
            count += 1
        }
        return result + Array("}".utf8)
    }

    private static func rows(_ room: Int, _ row: (Int) -> JSONValue) -> [UInt8] {
        var result = Array("[".utf8)
        var count = 0
        while let next = try? JSON.encode(row(count)), count == 0 || result.count + next.count + 2 <= room {
            if count > 0 { result.append(UInt8(ascii: ",")) }
            result += next
            count += 1
        }
        return result + Array("]".utf8)
    }

    /// The same with other identifiers, as equal rows would be taken for one.
    private static func changed(_ value: JSONValue, _ number: Int) -> JSONValue {
        switch value {
        case .string(let text) where text.utf8.count == 36 && text.utf8.dropFirst(8).first == UInt8(ascii: "-"):
            let digits = String(number, radix: 16)
            return .string(text.prefix(36 - digits.count) + digits)
        case .array(let items): return .array(items.map { changed($0, number) })
        case .object(let members):
            var result = JSONObject()
            for (key, member) in members {
                if case .string(let text) = member, key == "id" || key == "name", text.utf8.count != 36 {
                    result[key] = .string("\(text)-\(number)")
                } else {
                    result[key] = changed(member, number)
                }
            }
            return .object(result)
        default: return value
        }
    }
}
