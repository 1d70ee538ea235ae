package import OMSModel

/// Birth, goodbye or last will of a process. A reader ignores a `lost` whose `boot` is not the current one.
package struct Presence: Hashable, Codable, Sendable {
    package enum State: String, Codable, Sendable { case online, draining, offline, lost }

    package var state: State
    /// Milliseconds since 1970 at process start: a greater one is a newer incarnation.
    package var boot: Int64
    package var since: Timestamp
    package var release: String
    /// Majors of the message formats that the process speaks.
    package var protocols: [Int]

    package init(state: State, boot: Int64, since: Timestamp, release: String, protocols: [Int]) {
        self.state = state
        self.boot = boot
        self.since = since
        self.release = release
        self.protocols = protocols
    }
}

/// A command to a gateway. Safe to repeat: the registry sends it until the acknowledgement comes.
package struct GatewayControl: Hashable, Codable, Sendable {
    package enum Command: String, Codable, Sendable { case attach, detach }

    package var id: String
    package var command: Command
    package var provider: ProviderID
    /// With `attach`.
    package var spec: ProviderSpec?
    /// Version of the provider's document: a repeated attach of the same one changes nothing.
    package var version: Int

    package init(id: String, command: Command, provider: ProviderID, spec: ProviderSpec? = nil, version: Int) {
        self.id = id
        self.command = command
        self.provider = provider
        self.spec = spec
        self.version = version
    }
}

package struct GatewayAck: Hashable, Codable, Sendable {
    package var id: String
    package var provider: ProviderID
    package var version: Int
    package var boot: Int64
    package var error: Problem?

    package init(id: String, provider: ProviderID, version: Int, boot: Int64, error: Problem? = nil) {
        self.id = id
        self.provider = provider
        self.version = version
        self.boot = boot
        self.error = error
    }
}

package struct Catalog: Hashable, Codable, Sendable {
    package var gateway: NodeID
    package var fetched: Timestamp
    package var etag: String?
    /// The last fetch failed: this is what was known before.
    package var stale: Bool
    package var services: [ServiceDescription]

    package init(
        gateway: NodeID, fetched: Timestamp, etag: String? = nil, stale: Bool, services: [ServiceDescription]
    ) {
        self.gateway = gateway
        self.fetched = fetched
        self.etag = etag
        self.stale = stale
        self.services = services
    }
}

package struct Health: Hashable, Codable, Sendable {
    package enum Status: String, Codable, Sendable { case pass, warn, fail, unreachable, unknown }
    package enum Circuit: String, Codable, Sendable {
        case closed, open
        case halfOpen = "half-open"
    }

    package var status: Status
    package var checked: Timestamp
    package var latencyMilliseconds: Int?
    package var circuit: Circuit
    package var gateway: NodeID
    /// Incarnation of the gateway: when it changes, Work Managers tell it their open jobs again.
    package var boot: Int64
    package var report: ProviderStatus?
    package var error: Problem?

    package init(
        status: Status, checked: Timestamp, latencyMilliseconds: Int? = nil, circuit: Circuit, gateway: NodeID,
        boot: Int64, report: ProviderStatus? = nil, error: Problem? = nil
    ) {
        self.status = status
        self.checked = checked
        self.latencyMilliseconds = latencyMilliseconds
        self.circuit = circuit
        self.gateway = gateway
        self.boot = boot
        self.report = report
        self.error = error
    }

    enum CodingKeys: String, CodingKey {
        case status, checked, circuit, gateway, boot, report, error
        case latencyMilliseconds = "latency_ms"
    }
}
