extension JSONValue {
    /// As JSON text, members in the order of their names.
    package var bytes: [UInt8] {
        let writer = JSONWriter()
        writer.write(self)
        return writer.bytes
    }

    package func text(pretty: Bool = false) -> String {
        let writer = JSONWriter()
        write(to: writer, indentation: pretty ? 0 : nil)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    /// Exactly `bytes.count`, without writing.
    package var encodedBytes: Int {
        switch self {
        case .null: 4
        case .bool(let flag): flag ? 4 : 5
        case .int(let value): Self.digits(value)
        case .double(let value):
            value.isFinite ? { $0.hasSuffix(".0") ? $0.utf8.count - 2 : $0.utf8.count }(value.description) : 4
        case .number(let number): number.literal.utf8.count
        case .string(let text): text.encodedBytes
        case .array(let items): items.reduce(2 + max(0, items.count - 1)) { $0 + $1.encodedBytes }
        case .object(let members): members.encodedBytes
        }
    }

    private static func digits(_ value: Int64) -> Int {
        var count = value < 0 ? 2 : 1
        var rest = value.magnitude / 10
        while rest > 0 {
            count += 1
            rest /= 10
        }
        return count
    }

    func write(to writer: JSONWriter) { write(to: writer, indentation: nil) }

    /// - Parameter indentation: nil: in one line.
    private func write(to writer: JSONWriter, indentation: Int?) {
        func newLine(_ more: Int) {
            guard let indentation else { return }
            writer.append("\n")
            for _ in 0..<indentation + more { writer.append("  ") }
        }
        let inner = indentation.map { $0 + 1 }
        switch self {
        case .null: writer.append("null")
        case .bool(let flag): writer.write(flag)
        case .int(let value): writer.write(integer: value)
        case .double(let value): writer.write(value)
        case .number(let number): writer.write(literal: number)
        case .string(let text): writer.write(text: text)
        case .array(let items):
            writer.append("[")
            for (index, item) in items.enumerated() {
                if index > 0 { writer.append(",") }
                newLine(1)
                item.write(to: writer, indentation: inner)
            }
            if !items.isEmpty { newLine(0) }
            writer.append("]")
        case .object(let members):
            writer.append("{")
            for (index, (name, value)) in members.sortedByName.enumerated() {
                if index > 0 { writer.append(",") }
                newLine(1)
                writer.write(text: name)
                if indentation == nil { writer.append(":") } else { writer.append(" : ") }
                value.write(to: writer, indentation: inner)
            }
            if !members.isEmpty { newLine(0) }
            writer.append("}")
        }
    }
}

extension JSONObject {
    /// In the order of the bytes of the names: the same in every run.
    package var sortedByName: [(key: String, value: JSONValue)] { sorted { $0.key.isBefore($1.key) } }

    /// Exactly as many bytes as are written.
    package var encodedBytes: Int {
        reduce(2 + Swift.max(0, count - 1)) { $0 + $1.key.encodedBytes + 1 + $1.value.encodedBytes }
    }
}

extension String {
    /// As a JSON text, with its quotes and escapes.
    package var encodedBytes: Int { utf8.reduce(2) { $0 + JSONWriter.width($1) } }
}

extension JSONWriter {
    func write(literal number: JSONNumber) { append(raw: number.literal.utf8) }
}
