package struct PostgresError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Code: Sendable, Equatable {
        /// No session came about.
        case connectionFailed
        /// The session ended; the open transaction, if any, is rolled back.
        case connectionLost
        /// The caller's deadline passed. The session is closed, for a late answer could no longer be told apart.
        case timeout
        /// The server refused the statement; the session lives on.
        case server(sqlState: String)
        /// The session ended during COMMIT: only reading back tells whether the transaction happened.
        case outcomeUnknown
        /// Used without a session.
        case notConnected
    }

    package var code: Code
    package var message: String
    package var detail: String?

    package init(code: Code, message: String, detail: String? = nil) {
        self.code = code
        self.message = message
        self.detail = detail
    }

    package var sqlState: String? {
        if case .server(let state) = code { state } else { nil }
    }

    /// Whether the whole transaction may be tried again as it is, on a new session if this one is gone.
    package var isRetriable: Bool {
        switch code {
        case .connectionFailed, .connectionLost, .timeout, .notConnected: true
        case .outcomeUnknown: false
        // Serialization failure, deadlock, lock not available, a server that is shutting down or
        // starting; and what is wrong with the server and not with the statement: no resources (a full disk,
        // no memory, too many connections), or its system's errors.
        case .server(let state):
            ["40001", "40P01", "55P03", "57P01", "57P02", "57P03"].contains(state)
                || state.hasPrefix("53") || state.hasPrefix("58")
        }
    }

    /// Whether the session is gone, so that the caller must connect again.
    package var endsSession: Bool {
        if case .server = code { false } else { true }
    }

    package var description: String {
        "postgres \(code): \(message)" + (detail.map { " (\($0))" } ?? "")
    }
}
