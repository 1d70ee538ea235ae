import OMSModel
import OMSProtocol

/// A result for people.
enum ResultText {
    private static let maxRows = 20

    /// Of a value that is no table, in columns.
    private static let maxValue = 2_000

    static func render(_ result: ServiceResult) -> TerminalText {
        let providers = result.providers.map { contribution -> TerminalText in
            let why: TerminalText = contribution.error?.detail.map { " (\($0))" } ?? ""
            return "\(contribution.provider) \(contribution.outcome.rawValue)\(why)"
        }
        let revision: TerminalText = (result.revision ?? 1) > 1 ? ", revision \(result.revision ?? 1)" : ""
        var lines: [TerminalText] = [
            "\(result.service) (\(result.type)): \(result.state.rawValue), finished \(result.finished), due \(result.due)\(revision)",
            "providers: \(providers.joined(separator: ", ")); merged by \(result.strategy.rawValue)",
        ]
        for (name, output) in result.outputs.sorted(by: { $0.key < $1.key }) {
            let value = output["value"] ?? output
            if let rows = value.arrayValue, !rows.isEmpty, rows.allSatisfy({ $0.objectValue != nil }) {
                lines.append("\(name):")
                lines += Table.render(Array(rows.prefix(maxRows))).lines.map { "  \($0)" }
                if rows.count > maxRows { lines.append("  ... and \(rows.count - maxRows) more") }
            } else {
                let text = TerminalText(line: value.stringValue ?? JSONText.render(value, pretty: false))
                lines.append("\(name): \(text.cut(maxValue))")
            }
        }
        return lines.joined(separator: "\n")
    }
}
