package import OMSModel

/// The difference between two configurations of a tenant, and what it takes to put the new one in force.
///
/// Running runs keep the plan that they began with, so nearly every change can be made while the Work Manager runs
/// (*hot*). A replacement is needed only where what runs by the old plan must not run beside the new one.
package struct PlanChange: Hashable, Sendable {
    package enum Rule: String, Hashable, Sendable { case hot, replace }

    package struct Field: Hashable, Sendable {
        /// `harvest` or, for the whole configuration, nil.
        package var service: ServiceID?
        /// As in the documents: `output_source`, `frequency`, `added`, `removed`.
        package var field: String
        package var rule: Rule
        /// Why it needs a replacement.
        package var why: String?
    }

    package var fields: [Field]

    package var isEmpty: Bool { fields.isEmpty }
    package var needsReplacement: Bool { fields.contains { $0.rule == .replace } }

    /// `harvest: frequency, timeout_s; recommend: providers`.
    package var text: String {
        var byService: [String: [String]] = [:]
        for field in fields { byService[field.service?.text ?? "tenant", default: []].append(field.field) }
        return byService.sorted { $0.key < $1.key }
            .map { "\($0.key): \($0.value.joined(separator: ", "))" }.joined(separator: "; ")
    }

    package var replacementReason: String {
        fields.filter { $0.rule == .replace }
            .map { "\($0.service.map { "\($0): " } ?? "")\($0.field): \($0.why ?? "")" }.joined(separator: "; ")
    }

    /// The fields whose change needs a replacement, and why. Everything else is hot.
    static let replacing: [String: String] = [
        "type": "another kind of work under the same name",
        "output_source": "what runs still writes to the old place",
    ]

    /// - Parameter old: nil: nothing ran before, and nothing has to end.
    package init(from old: WorkManagerConfig?, to new: WorkManagerConfig) {
        fields = []
        guard let old else { return }
        if old.scenario != new.scenario {
            fields.append(Field(service: nil, field: "scenario", rule: .hot))
        }
        let before = Dictionary(old.services.map { ($0.id, $0) }) { first, _ in first }
        let after = Dictionary(new.services.map { ($0.id, $0) }) { first, _ in first }
        for id in Set(before.keys).union(after.keys).sorted() {
            switch (before[id], after[id]) {
            case (nil, _?): fields.append(Field(service: id, field: "added", rule: .hot))
            case (_?, nil): fields.append(Field(service: id, field: "removed", rule: .hot))
            case (let a?, let b?):
                for name in Self.differences(a, b) {
                    fields.append(
                        Field(
                            service: id, field: name, rule: Self.replacing[name] == nil ? .hot : .replace,
                            why: Self.replacing[name]))
                }
            case (nil, nil): break
            }
        }
    }

    /// Names of the members that differ, from the plans' own encoding: a new field needs no line here.
    private static func differences(_ a: ServicePlan, _ b: ServicePlan) -> [String] {
        if a == b { return [] }
        let (a, b) = (JSONValue(encoding: a).objectValue ?? [:], JSONValue(encoding: b).objectValue ?? [:])
        return Set(a.keys).union(b.keys).filter { a[$0] != b[$0] && $0 != "anchor" && $0 != "earlier" }.sorted()
    }
}
