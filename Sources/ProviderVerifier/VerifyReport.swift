package import OMSModel

/// What `oms sp verify` found.
package struct VerifyReport: Sendable {
    package enum Outcome: String, Sendable, CaseIterable { case pass, warn, fail, skipped }

    package struct Item: Sendable {
        package var rule: VerifyRule
        package var outcome: Outcome
        /// Why it is not `pass`.
        package var reason: String?
        /// What showed it.
        package var exchanges: [Exchange]
    }

    package var baseURL: String
    package var items: [Item]
    /// Why the probing could not go on, or could not begin.
    package var aborted: String?
    package var requests: Int
    /// What was proved of the provider; the registry may store it.
    package var capabilities: JSONObject

    package func outcome(of id: String) -> Outcome? { items.first { $0.rule.id == id }?.outcome }
    package var failed: [String] { items.filter { $0.outcome == .fail }.map(\.rule.id) }
    package var warned: [String] { items.filter { $0.outcome == .warn }.map(\.rule.id) }

    /// 0 conforms, 1 does not, 2 could not be found out.
    package var exitCode: Int32 {
        if !failed.isEmpty { return 1 }
        return aborted == nil ? 0 : 2
    }

    package var text: String {
        var lines = ["Service Provider interface, version 1: \(TerminalText(line: baseURL))", ""]
        for item in items {
            let mark = item.outcome.rawValue.uppercased().padded(8)
            let reason = item.reason.map { ": \(TerminalText(line: $0))" } ?? ""
            lines.append("\(mark)\(item.rule.id.padded(13)) section \(item.rule.section.padded(4)) \(item.rule.text)")
            if item.outcome != .pass {
                lines.append("        \(item.outcome == .skipped ? "not probed" : "broken")\(reason)")
            }
            if item.outcome == .fail || item.outcome == .warn {
                for exchange in item.exchanges { lines.append("        \(TerminalText(line: exchange.line).text)") }
            }
        }
        lines.append("")
        if let aborted { lines.append("Could not go on: \(TerminalText(line: aborted))") }
        let counts = Outcome.allCases.map { outcome in "\(items.count { $0.outcome == outcome }) \(outcome.rawValue)" }
        lines.append("\(counts.joined(separator: ", ")); \(requests) requests")
        lines.append(exitCode == 0 ? "It conforms." : exitCode == 1 ? "It does not conform." : "Not found out.")
        return lines.joined(separator: "\n")
    }

    package var json: JSONValue {
        [
            "base_url": .string(baseURL), "verdict": .string(["pass", "fail", "unknown"][Int(exitCode)]),
            "aborted": aborted.map { .string($0) } ?? .null, "requests": .int(Int64(requests)),
            "capabilities": .object(capabilities),
            "rules": .array(
                items.map { item in
                    var members: JSONObject = [
                        "id": .string(item.rule.id), "level": .string(item.rule.level.rawValue),
                        "section": .string(item.rule.section), "text": .string(item.rule.text),
                        "outcome": .string(item.outcome.rawValue),
                    ]
                    if let reason = item.reason { members["reason"] = .string(reason) }
                    if !item.exchanges.isEmpty {
                        members["exchanges"] = .array(
                            item.exchanges.map {
                                [
                                    "method": .string($0.method), "path": .string($0.path),
                                    "status": $0.status.map { .int(Int64($0)) } ?? .null, "body": .string($0.text),
                                    "milliseconds": .int(Int64($0.milliseconds)),
                                ]
                            })
                    }
                    return .object(members)
                }),
        ]
    }
}

extension String {
    fileprivate func padded(_ width: Int) -> String {
        self + String(repeating: " ", count: Swift.max(0, width - count))
    }
}
