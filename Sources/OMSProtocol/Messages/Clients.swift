package import OMSModel

/// A question or command of a client. The answer goes to `client/{client}/response` with the same id.
package struct ClientRequest: Hashable, Codable, Sendable {
    package var id: String
    package var client: NodeID
    package var method: String
    package var params: JSONValue

    package init(id: String, client: NodeID, method: String, params: JSONValue) {
        self.id = id
        self.client = client
        self.method = method
        self.params = params
    }
}

extension ClientRequest {
    /// Of the documents in one request, in bytes.
    package static let partBytes = 240_000

    /// The same as several requests, if its documents do not fit into one: each but the last is answered with 202, the last
    /// one as this one would be. A single document that is too large stays so, and is refused by the sender.
    package var parts: [ClientRequest] {
        guard case .object(var rest) = params, let documents = rest["documents"]?.arrayValue, documents.count > 1,
            MessageSize.bytes(self) > MessageSize.maxData
        else { return [self] }
        rest["documents"] = nil
        let room = min(Self.partBytes, MessageSize.maxData - 1_024 - JSONValue.object(rest).encodedBytes)
        let parts = MessageParts.split(documents, bytes: max(room, 1_000))
        return parts.enumerated().map { number, part in
            let isLast = number == parts.count - 1
            var params: JSONObject = isLast ? rest : [:]
            params["documents"] = .array(Array(part))
            params["upload"] = ["id": .string(id), "part": .int(Int64(number)), "of": .int(Int64(parts.count))]
            return ClientRequest(
                id: isLast ? id : "\(id)-\(number)", client: client, method: method, params: .object(params))
        }
    }
}

package struct ClientResponse: Hashable, Codable, Sendable {
    package var id: String
    /// As in HTTP: 200, 202 (more parts are to come), 400, 404, 409, 413, 503.
    package var status: Int
    package var result: JSONValue?
    package var error: Problem?

    package init(id: String, status: Int, result: JSONValue? = nil, error: Problem? = nil) {
        self.id = id
        self.status = status
        self.result = result
        self.error = error
    }
}

/// One thing that happened, for people and logs.
package struct OperatorEvent: Hashable, Codable, Sendable {
    /// Dotted and stable, for example `wm.bootstrapped`.
    package var kind: String
    package var tenant: TenantID?
    package var text: String

    package init(kind: String, tenant: TenantID? = nil, text: String) {
        self.kind = kind
        self.tenant = tenant
        self.text = text
    }

    /// Whether somebody should look at it: what the log says as a warning. Everything else is the course of things.
    package var isTrouble: Bool { Self.troubles.contains(kind) }

    package static let troubles: Set<String> = [
        "database.behind", "database.lost", "database.refuses", "database.unavailable", "epoch.ahead",
        "epoch.implausible", "fleet.lost", "gateway.lost", "history.not-pruned", "job.not-given-up", "job.sign-of-life",
        "journal.set-aside", "operation.forced", "provider.fail", "provider.quarantined", "provider.refused",
        "provider.unreachable", "provider.warn", "registry.in-doubt", "registry.set-aside", "tenant.crash-loop",
        "tenant.fleet-lost",
        "tenant.forced", "tenant.heartbeats-missed", "tenant.message-too-large", "tenant.no-fleet",
        "tenant.no-scenario", "tenant.refused", "tenant.unknown", "tenant.waits-for-jobs", "tenant.waits-for-proof",
        "tenant.waits-for-seal", "wm.crashed", "wm.differs",
    ]
}
