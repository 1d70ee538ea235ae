import OMSModel

/// What changed between two catalogues of a provider, in words for an operator.
enum CatalogDifference {
    private static let maxParts = 20
    private static let maxBytes = 2_000

    static func text(_ before: [ServiceDescription], _ after: [ServiceDescription]) -> String {
        let old = Dictionary(before.map { ($0.id, $0) }) { first, _ in first }
        let new = Dictionary(after.map { ($0.id, $0) }) { first, _ in first }
        var parts: [String] = []
        for id in Set(old.keys).union(new.keys).sorted() {
            switch (old[id], new[id]) {
            case (nil, .some): parts.append("\(id) added")
            case (.some, nil): parts.append("\(id) removed: running jobs finish, new ones go elsewhere")
            case (.some(let was), .some(let now)) where was != now:
                if was.available != now.available {
                    parts.append(
                        now.available
                            ? "\(id) offered again" : "\(id) withdrawn: running jobs finish, new ones go elsewhere")
                } else {
                    parts.append("\(id) changed (version \(was.version) to \(now.version))")
                }
            default: break
            }
        }
        if parts.isEmpty { return "only the order" }
        let more = parts.count > maxParts ? "; and \(parts.count - maxParts) more" : ""
        var text: String? = parts.prefix(maxParts).joined(separator: "; ")
        AnswerLimits.cut(&text, to: maxBytes)
        return (text ?? "") + more
    }
}

extension ServiceDescription {
    /// Without what is only for people: a plan does not depend on it.
    var forPlanning: ServiceDescription {
        var service = self
        service.name = nil
        service.description = nil
        service.tags = nil
        return service
    }
}
