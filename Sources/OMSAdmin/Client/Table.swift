import OMSModel

/// Rows of flat objects as aligned columns.
enum Table {
    /// Columns that come first, in this order; the others follow by name.
    private static let order = [
        "tenant", "kind", "name", "id", "service", "type", "state", "status", "outcome", "provider", "scenario",
        "subject",
        "code", "text", "why", "run", "job", "attempt", "progress", "epoch", "generation", "due", "started", "finished",
    ]

    /// Nested values are for `-o json`; a table shows how they begin.
    private static let maxNested = 60

    static func render(_ rows: [JSONValue]) -> String {
        let objects = rows.compactMap(\.objectValue)
        guard !objects.isEmpty else { return "(none)" }
        let keys = Set(objects.flatMap(\.keys)).sorted {
            (order.firstIndex(of: $0) ?? order.count, $0) < (order.firstIndex(of: $1) ?? order.count, $1)
        }
        var lines = [keys.map { $0.uppercased() }]
        for object in objects { lines.append(keys.map { cell(object[$0]) }) }
        let widths = keys.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        return lines.map { line in
            var text = ""
            for (column, cell) in line.enumerated() {
                text +=
                    column == line.count - 1
                    ? cell : cell + String(repeating: " ", count: widths[column] - cell.count + 2)
            }
            return text
        }.joined(separator: "\n")
    }

    static func cell(_ value: JSONValue?) -> String {
        switch value {
        case nil, .null?: return "-"
        case .string(let text)?: return text.isEmpty ? "-" : text.replacing("\n", with: " ")
        case .bool(let flag)?: return flag ? "yes" : "no"
        case .int(let number)?: return "\(number)"
        case .double(let number)?: return "\(number)"
        case .number(let number)?: return "\(number)"
        case .array?, .object?:
            let text = JSONText.render(value ?? .null, pretty: false)
            return text.count <= maxNested ? text : text.prefix(maxNested) + "..."
        }
    }
}

enum JSONText {
    static func render(_ value: JSONValue, pretty: Bool = true) -> String {
        value.text(pretty: pretty)
    }
}
