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

    /// Whom a refusal is about.
    package enum Blame: Sendable {
        /// The session: it is read-only, its transaction is broken, the server is going down or coming up. A new session may
        /// lead to a server that takes everything.
        case session
        /// The server, for now: no space, no memory, too many connections, a lock, a deadlock.
        case server
        /// The values of this very statement: the next one may pass.
        case data
        /// What all statements of this kind have in common: a table or column that is missing, a right that was taken away,
        /// an index that is broken. Nothing passes before somebody has mended it.
        case installation
    }

    /// Nil: nobody refused anything, there was no answer.
    package var blame: Blame? {
        guard let state = sqlState else { return nil }
        if Self.endOfSession.contains(state) || state.hasPrefix("08") { return .session }
        if ["40001", "40P01", "55P03"].contains(state) || state.hasPrefix("53") || state.hasPrefix("58") {
            return .server
        }
        // 57014, the statement's time: says that a piece is large or the server slow, and of a single fact nothing at all.
        if state == Self.tookTooLong { return .server }
        return Self.aboutValues.contains { state.hasPrefix($0) } ? .data : .installation
    }

    /// `query_canceled`, here by statement_timeout.
    package static let tookTooLong = "57014"
    /// read_only_sql_transaction, the three of a broken transaction, and the five of a server that ends its sessions.
    private static let endOfSession: Set<String> = [
        "25006", "25P01", "25P02", "25P03", "57P01", "57P02", "57P03", "57P04", "57P05",
    ]
    /// Cardinality, values, constraints, a view's check, limits of the program, and what a trigger raises.
    private static let aboutValues = ["21", "22", "23", "44", "54", "P0001"]

    /// Whether the whole transaction may be tried again as it is, on a new session if this one is gone.
    package var isRetriable: Bool {
        switch code {
        case .connectionFailed, .connectionLost, .timeout, .notConnected: true
        case .outcomeUnknown: false
        case .server(let state): state != Self.tookTooLong && (blame == .session || blame == .server)
        }
    }

    /// Whether the session is gone, so that the caller must connect again.
    package var endsSession: Bool {
        if case .server = code { blame == .session } else { true }
    }

    package var description: String {
        "postgres \(code): \(message)" + (detail.map { " (\($0))" } ?? "")
    }
}
