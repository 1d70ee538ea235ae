import OMSModel
import OMSProtocol

/// What `oms dev --once --json` writes.
enum OnceReport {
    static func json(_ collector: ChainCollector) -> JSONValue {
        var tenants: JSONObject = [:]
        for tenant in collector.expected.keys {
            tenants[tenant.text] = .object(members(of: collector.chain(of: tenant) ?? [:]))
        }
        return ["tenants": .object(tenants)]
    }

    private static func members(of chain: [ServiceID: ServiceResult]) -> JSONObject {
        var members: JSONObject = [:]
        for (_, result) in chain.sorted(by: { $0.key < $1.key }) {
            let outputs = result.outputs.mapValues { $0["value"] ?? $0 }
            switch result.type.text {
            case "harvest":
                var rows = members["harvested_rows"]?.objectValue ?? [:]
                rows[outputs["source"]?.stringValue ?? result.service.text] = outputs["rows"] ?? .null
                members["harvested_rows"] = .object(rows)
            case "recommend":
                members["ranking"] = [
                    "providers": .array(
                        result.providers.map {
                            ["provider": .string($0.provider.text), "outcome": .string($0.outcome.rawValue)]
                        }),
                    "items": outputs["ranking"] ?? .null,
                ]
            case "optimise": members["comparison"] = .object(outputs)
            default: members[result.service.text] = .object(outputs)
            }
        }
        return members
    }
}
