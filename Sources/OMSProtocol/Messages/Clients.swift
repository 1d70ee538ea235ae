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

package struct ClientResponse: Hashable, Codable, Sendable {
    package var id: String
    /// As in HTTP: 200, 400, 404, 409, 503.
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
}
