import OMSModel

/// One request and what came back, short enough for a report.
package struct Exchange: Hashable, Sendable {
    package var method: String
    package var path: String
    /// nil: no answer.
    package var status: Int?
    /// The first bytes of the answer, or why there was none.
    package var text: String
    package var milliseconds: Int

    static let textBytes = 300

    package var line: String { "\(method) \(path) -> \(status.map(String.init) ?? "no answer"): \(text)" }
}

/// An answer with everything that a check looks at.
struct Reply: Sendable {
    var exchange: Exchange
    /// 0: no readable answer.
    var status: Int
    /// No byte of the request left: the provider has shown nothing of itself.
    var isUnsent = false
    /// Names in lower case.
    var headers: [(name: String, value: String)]
    var body: [UInt8]
    /// nil: the body is no JSON.
    var json: JSONValue?

    func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
    subscript(_ member: String) -> JSONValue? { json?[member] }
    var isSuccess: Bool { (200..<300).contains(status) }
    var slug: String? {
        self["type"]?.stringValue.map { $0.hasPrefix("urn:oms:problem:") ? String($0.dropFirst(16)) : $0 }
    }
}
