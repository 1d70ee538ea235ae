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
    /// Of a cell, in columns; the whole text is in `-o json`.
    private static let maxCell = 300

    static func render(_ rows: [JSONValue]) -> TerminalText {
        let objects = rows.compactMap(\.objectValue)
        guard !objects.isEmpty else { return "(none)" }
        let keys = Set(objects.flatMap(\.keys)).sorted {
            (order.firstIndex(of: $0) ?? order.count, $0) < (order.firstIndex(of: $1) ?? order.count, $1)
        }
        var lines = [keys.map { TerminalText(line: $0.uppercased()).cut(maxNested) }]
        for object in objects { lines.append(keys.map { cell(object[$0]) }) }
        let widths = keys.indices.map { column in lines.map { $0[column].columns }.max() ?? 0 }
        return lines.map { line in
            line.enumerated().map { column, cell in
                column == line.count - 1 ? cell : cell.padded(widths[column] + 2)
            }.joined()
        }.joined(separator: "\n")
    }

    static func cell(_ value: JSONValue?) -> TerminalText {
        switch value {
        case nil, .null?: return "-"
        case .string(let text)?: return text.isEmpty ? "-" : TerminalText(line: text).cut(maxCell)
        case .bool(let flag)?: return flag ? "yes" : "no"
        case .array?, .object?:
            return TerminalText(line: JSONText.render(value ?? .null, pretty: false)).cut(maxNested)
        case let number?: return TerminalText(line: JSONText.render(number, pretty: false)).cut(maxNested)
        }
    }
}
