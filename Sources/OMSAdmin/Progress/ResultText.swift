import OMSModel
import OMSProtocol

/// A result for people.
enum ResultText {
    private static let maxRows = 20

    static func render(_ result: ServiceResult) -> String {
        var lines = [
            "\(result.service) (\(result.type)): \(result.state.rawValue), "
                + "finished \(result.finished), due \(result.due)"
                + ((result.revision ?? 1) > 1 ? ", revision \(result.revision ?? 1)" : ""),
            "providers: "
                + result.providers.map { contribution in
                    "\(contribution.provider) \(contribution.outcome.rawValue)"
                        + (contribution.error?.detail.map { " (\($0))" } ?? "")
                }.joined(separator: ", ") + "; merged by \(result.strategy.rawValue)",
        ]
        for (name, output) in result.outputs.sorted(by: { $0.key < $1.key }) {
            let value = output["value"] ?? output
            if let rows = value.arrayValue, !rows.isEmpty, rows.allSatisfy({ $0.objectValue != nil }) {
                lines.append("\(name):")
                lines += Table.render(Array(rows.prefix(maxRows))).split(separator: "\n").map { "  \($0)" }
                if rows.count > maxRows { lines.append("  ... and \(rows.count - maxRows) more") }
            } else {
                lines.append("\(name): \(value.stringValue ?? JSONText.render(value, pretty: false))")
            }
        }
        return lines.joined(separator: "\n")
    }
}
