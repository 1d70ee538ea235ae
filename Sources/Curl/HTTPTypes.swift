package struct HTTPRequest: Sendable {
    package var method: String
    package var url: String
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]?
    package var connectTimeoutMilliseconds = 2_000
    /// For everything: waiting for a free connection, resolving, connecting, sending, receiving.
    package var timeoutMilliseconds = 10_000
    package var maxBodyBytes = 1 << 20
    package var maxHeaderBytes = 32 << 10

    package init(
        method: String = "GET", url: String, headers: [(name: String, value: String)] = [], body: [UInt8]? = nil
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
    }
}

package struct HTTPResponse: Sendable {
    package var status: Int
    /// In the order received, names in lower case.
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]
    package var timings: HTTPTimings

    /// The first header of this (lower-case) name.
    package func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
}

/// Microseconds from the start of the transfer.
package struct HTTPTimings: Sendable {
    /// 0 for a reused connection.
    package var connected: Int64
    package var firstByte: Int64
    package var total: Int64
}

package struct HTTPFailure: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Phase: Sendable {
        /// No byte of the request left: sending it again is safe.
        case notSent
        /// The server may have acted on the request: only asking it tells.
        case maybeSent
    }

    package enum Kind: Sendable {
        case resolve
        case connect
        /// The address is not one we may talk to.
        case policy
        case tls
        case timeout
        case reset
        case tooLarge
        case malformed
        case cancelled
        case other
    }

    package var phase: Phase
    package var kind: Kind
    package var message: String
    /// libcurl's CURLcode; 0 when the failure is ours.
    package var curlCode: Int

    package var description: String { "http \(kind) (\(phase)): \(message)" }
}

package enum HTTPOutcome: Sendable {
    case answered(HTTPResponse)
    case failed(HTTPFailure)
}

package struct HTTPPoolConfiguration: Sendable {
    package var addressPolicy = AddressPolicy()
    package var allowsPlainHTTP = true
    package var maxConnections = 256
    package var maxConnectionsPerHost = 64
    /// Requests under way or waiting for a connection; more are refused at once.
    package var maxPending = 10_000
    /// Below the servers' keep-alive time, so that a connection is rarely found dead when it is used again.
    package var maxIdleSeconds = 30
    package var maxLifetimeSeconds = 300
    /// A transfer slower than one byte per second for so long is given up.
    package var lowSpeedSeconds = 30

    package init() {}
}
