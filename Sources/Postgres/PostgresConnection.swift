import CLibPQ
import Glibc
package import OMSRuntime

package struct PostgresConfiguration: Sendable {
    /// libpq keywords: host, port, dbname, user, password, sslmode and so on. Never logged. `host` and `port` may be lists,
    /// separated by commas: they are tried in this order, the one that was used last first.
    package var parameters: [String: String]
    package var applicationName: String
    /// For each host.
    package var connectTimeout: Duration = .seconds(5)
    /// Only a server that takes writes will do: neither one in recovery nor one that is set to read-only.
    package var mustBeWritable = false
    /// The server refuses every change in this session.
    package var isReadOnly = false
    /// The server's own limits, somewhat below the caller's deadlines: they end the statement and keep the session.
    package var statementTimeoutMilliseconds = 10_000
    package var lockTimeoutMilliseconds = 5_000
    package var idleInTransactionTimeoutMilliseconds = 30_000
    /// Nil: PostgreSQL keeps a session whose client is silent.
    package private(set) var silentSessionSeconds: Int?

    package init(parameters: [String: String], applicationName: String) {
        self.parameters = parameters
        self.applicationName = applicationName
    }

    /// PostgreSQL itself is to end the session when nothing comes from the client for so long, whatever the reason: the
    /// process is stopped, its machine or the link is gone. Who holds something by the session must then say something
    /// more often than that, or lose it.
    package mutating func endSilentSessions(afterSeconds seconds: Int) {
        silentSessionSeconds = seconds
        // A session that carries out a statement or waits for a lock is not silent to PostgreSQL.
        statementTimeoutMilliseconds = min(statementTimeoutMilliseconds, seconds * 1000)
        lockTimeoutMilliseconds = min(lockTimeoutMilliseconds, seconds * 1000)
        idleInTransactionTimeoutMilliseconds = min(idleInTransactionTimeoutMilliseconds, seconds * 1000)
    }

    /// The parameters for one host after the other.
    var endpoints: [[String: String]] {
        func list(_ name: String) -> [String] {
            (parameters[name] ?? "").split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        }
        let (hosts, ports) = (list("host"), list("port"))
        guard hosts.count > 1 else { return [parameters] }
        return hosts.enumerated().map { index, host in
            var one = parameters
            one["host"] = host
            one["port"] = ports.count == 1 ? ports[0] : ports.indices.contains(index) ? ports[index] : ""
            return one
        }
    }

    /// For the server's side of the session.
    var serverSettings: String {
        var settings = [
            ("statement_timeout", statementTimeoutMilliseconds), ("lock_timeout", lockTimeoutMilliseconds),
            ("idle_in_transaction_session_timeout", idleInTransactionTimeoutMilliseconds),
        ]
        if isReadOnly { settings.append(("default_transaction_read_only", 1)) }
        if let seconds = silentSessionSeconds {
            settings += [
                ("idle_session_timeout", seconds * 1000),
                // One that sends an answer is neither idle nor stopped by a time-out: only TCP can give it up, with what
                // is not acknowledged or not taken (a stopped process whose window is full).
                ("tcp_user_timeout", seconds * 1000),
                ("tcp_keepalives_idle", max(1, seconds / 3)), ("tcp_keepalives_interval", max(1, seconds / 6)),
                ("tcp_keepalives_count", 3),
                // A statement whose client is known to be gone is not carried to its end.
                ("client_connection_check_interval", max(1, seconds / 3) * 1000),
            ]
        }
        return settings.map { "-c \($0.0)=\($0.1)" }.joined(separator: " ")
    }
}

/// One session with PostgreSQL, pinned to a thread of its own.
///
/// The methods are synchronous: they wait in `poll()`, on this actor's thread, with a deadline. An actor that shares the
/// thread runs whole transactions through `assumeIsolated` without a suspension inside. Connecting again after a loss,
/// with a back-off, is the caller's.
package actor PostgresConnection {
    package nonisolated let thread: PinnedThread
    package nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    private let notices: NoticeReceiver
    private var session: OpaquePointer?
    /// While a COMMIT is on its way, a lost session means an unknown outcome.
    private var isCommitting = false
    private var isInTransaction = false
    /// Of the configuration's endpoints the one that led to a session last.
    private var lastEndpoint = 0

    /// - Parameter onNotice: The server's notices and warnings, called on the thread.
    package init(thread: PinnedThread, onNotice: @escaping @Sendable (String) -> Void = { _ in }) {
        self.thread = thread
        notices = NoticeReceiver(onNotice)
    }

    isolated deinit { PQfinish(session) }

    package var isConnected: Bool { session != nil }

    /// Opens the session; a former one is closed first. Of several hosts the first that gives one is taken: one by one and not
    /// by libpq, for which a host that does not answer would use up the time of all.
    package func connect(_ configuration: PostgresConfiguration) throws(PostgresError) {
        close()
        let endpoints = configuration.endpoints
        var failures: [String] = []
        for offset in endpoints.indices {
            let index = (lastEndpoint + offset) % endpoints.count
            do {
                try connect(configuration, endpoints[index])
                lastEndpoint = index
                return
            } catch {
                if endpoints.count == 1 { throw error }
                failures.append(error.message)
            }
        }
        throw PostgresError(code: .connectionFailed, message: failures.joined(separator: "; "))
    }

    private func connect(
        _ configuration: PostgresConfiguration, _ endpoint: [String: String]
    ) throws(PostgresError) {
        let deadline = MonotonicClock.milliseconds + configuration.connectTimeout.roundedUpMilliseconds
        guard let started = start(configuration, endpoint) else {
            throw PostgresError(code: .connectionFailed, message: "out of memory")
        }
        do {
            try finishConnecting(started, deadline: deadline)
        } catch {
            PQfinish(started)
            throw error
        }
        PQsetnonblocking(started, 1)
        PQsetNoticeProcessor(
            started,
            { context, text in
                guard let context, let text else { return }
                // The receiver lives as long as this actor, which finishes the session in its deinit.
                Unmanaged<NoticeReceiver>.fromOpaque(context).takeUnretainedValue().receive(String(cString: text))
            }, Unmanaged.passUnretained(notices).toOpaque())
        session = started
        guard configuration.mustBeWritable else { return }
        do {
            try proveWritable()
        } catch {
            close()
            throw error
        }
    }

    /// libpq asks too (`target_session_attrs`); what it means by read-write is its version's.
    private func proveWritable() throws(PostgresError) {
        let row = try query(
            "SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only') = 'on' AS readonly",
            deadline: .seconds(5)
        ).rows.first
        if row?.bool("standby") != false {
            throw PostgresError(
                code: .connectionFailed,
                message: "the server is a replica in recovery and takes no writes; name the primary too (--pg-host A,B)"
            )
        }
        if row?.bool("readonly") != false {
            throw PostgresError(
                code: .connectionFailed,
                message:
                    "the server is read-only (default_transaction_read_only); take that back, or name another server")
        }
    }

    package func close() {
        PQfinish(session)  // nil is allowed
        session = nil
        isInTransaction = false
        isCommitting = false
    }

    /// Runs one statement with `$1`-style parameters.
    @discardableResult
    package func query(
        _ sql: String, _ parameters: [PGValue] = [], deadline: Duration = .seconds(15)
    ) throws(PostgresError) -> PGResult {
        let limit = MonotonicClock.milliseconds + deadline.roundedUpMilliseconds
        let session = try current()
        let values = parameters.map(\.wire)
        let sent = withPointers(to: values) { pointers in
            PQsendQueryParams(session, sql, Int32(pointers.count), nil, pointers.baseAddress, nil, nil, 0)
        }
        guard sent == 1 else { throw lost("cannot send") }
        return try collect(session, limit)
    }

    /// Runs several statements without parameters, such as a migration; returns the last one's rows.
    @discardableResult
    package func execute(script: String, deadline: Duration = .seconds(60)) throws(PostgresError) -> PGResult {
        let limit = MonotonicClock.milliseconds + deadline.roundedUpMilliseconds
        let session = try current()
        guard PQsendQuery(session, script) == 1 else { throw lost("cannot send") }
        return try collect(session, limit)
    }

    /// Commits when `body` returns, rolls back when it throws. Within another one it is a part of that one.
    package func transaction<Value>(
        deadline: Duration = .seconds(15), _ body: (isolated PostgresConnection) throws -> Value
    ) throws -> Value {
        if isInTransaction { return try body(self) }
        try query("BEGIN", deadline: deadline)
        isInTransaction = true
        defer {
            isInTransaction = false
            isCommitting = false
        }
        let value: Value
        do {
            value = try body(self)
        } catch {
            if session != nil {
                // When even this fails the session is of no use, and closing it rolls back as well.
                do { try query("ROLLBACK", deadline: deadline) } catch { close() }
            }
            throw error
        }
        isCommitting = true
        let sessionAtCommit = try current()
        try query("COMMIT", deadline: deadline)
        // COMMIT of a failed transaction answers ROLLBACK, without an error: the caller swallowed a server error.
        guard PQtransactionStatus(sessionAtCommit) == PQTRANS_IDLE, lastCommand == "COMMIT" else {
            throw PostgresError(code: .server(sqlState: "25P02"), message: "the transaction had failed before COMMIT")
        }
        return value
    }

    /// The command tag of the last statement.
    private var lastCommand = ""

    // MARK: Waiting

    private func collect(_ session: OpaquePointer, _ limit: Int64) throws(PostgresError) -> PGResult {
        var last = PGResult.empty
        var failure: PostgresError?
        try flush(session, limit)
        while true {
            while PQisBusy(session) == 1 {
                try wait(session, POLLIN, limit)
                guard PQconsumeInput(session) == 1 else { throw lost("connection lost") }
            }
            guard let result = PQgetResult(session) else { break }  // NULL: the statement is complete
            defer { PQclear(result) }
            switch PQresultStatus(result) {
            case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY:
                lastCommand = String(cString: PQcmdStatus(result))
                last = PGResult(copying: result)
            case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
                throw lost("COPY is not offered here")  // only closing leaves this state
            default:
                failure = failure ?? Self.error(of: result)
            }
        }
        if PQstatus(session) == CONNECTION_BAD { throw lost(failure?.message ?? "connection lost") }
        if let failure {
            // What the server says of the session and not of the statement: used again it would say the same for ever.
            if failure.endsSession {
                defer { close() }
                if isCommitting { throw PostgresError(code: .outcomeUnknown, message: failure.description) }
            }
            throw failure
        }
        return last
    }

    private func flush(_ session: OpaquePointer, _ limit: Int64) throws(PostgresError) {
        while true {
            switch PQflush(session) {
            case 0: return
            case 1:
                // Read too: a server that waits for us to take its output takes no input.
                let events = try wait(session, POLLIN | POLLOUT, limit)
                if events & POLLIN != 0 && PQconsumeInput(session) != 1 { throw lost("connection lost") }
            default: throw lost("connection lost")
            }
        }
    }

    @discardableResult
    private func wait(_ session: OpaquePointer, _ events: Int32, _ limit: Int64) throws(PostgresError) -> Int32 {
        guard let ready = Self.poll(PQsocket(session), events, limit) else {
            throw lost("no answer before the deadline", code: .timeout)
        }
        return ready
    }

    /// The events that came, or nil when the deadline passed.
    private static func poll(_ descriptor: Int32, _ events: Int32, _ limit: Int64) -> Int32? {
        while true {
            let left = limit - MonotonicClock.milliseconds
            if left <= 0 { return nil }
            var polled = pollfd(fd: descriptor, events: Int16(events), revents: 0)
            let count = Glibc.poll(&polled, 1, Int32(clamping: left))
            if count > 0 { return Int32(polled.revents) }
            if count < 0 && errno != EINTR { return events }  // the next call of libpq reports what is wrong
        }
    }

    // MARK: Connecting

    private func start(_ configuration: PostgresConfiguration, _ endpoint: [String: String]) -> OpaquePointer? {
        var parameters = endpoint
        if configuration.mustBeWritable, parameters["target_session_attrs"] == nil {
            parameters["target_session_attrs"] = "read-write"
        }
        parameters["application_name"] = configuration.applicationName
        parameters["client_encoding"] = "UTF8"
        parameters["tcp_user_timeout"] = "10000"
        parameters["keepalives_idle"] = "10"
        parameters["keepalives_interval"] = "5"
        parameters["keepalives_count"] = "3"
        parameters["options"] = configuration.serverSettings
        let pairs = parameters.sorted { $0.key < $1.key }
        return withPointers(to: pairs.map { Array($0.key.utf8) + [0] } + [nil]) { keys in
            withPointers(to: pairs.map { Array($0.value.utf8) + [0] } + [nil]) { values in
                PQconnectStartParams(keys.baseAddress, values.baseAddress, 0)
            }
        }
    }

    private func finishConnecting(_ session: OpaquePointer, deadline: Int64) throws(PostgresError) {
        guard PQstatus(session) != CONNECTION_BAD else { throw Self.connectFailure(session) }
        var events = POLLOUT
        while true {
            // The socket may be another one each time: libpq tries one address after the other.
            guard Self.poll(PQsocket(session), events, deadline) != nil else {
                throw PostgresError(code: .connectionFailed, message: "no answer before the deadline")
            }
            switch PQconnectPoll(session) {
            case PGRES_POLLING_OK: return
            case PGRES_POLLING_READING: events = POLLIN
            case PGRES_POLLING_WRITING: events = POLLOUT
            default: throw Self.connectFailure(session)
            }
        }
    }

    private static func connectFailure(_ session: OpaquePointer) -> PostgresError {
        PostgresError(code: .connectionFailed, message: trimmed(PQerrorMessage(session)))
    }

    // MARK: Errors

    private func current() throws(PostgresError) -> OpaquePointer {
        guard let session else { throw PostgresError(code: .notConnected, message: "not connected") }
        return session
    }

    /// Closes the session and makes the error that says so.
    private func lost(_ message: String, code: PostgresError.Code = .connectionLost) -> PostgresError {
        let text = session.map { Self.trimmed(PQerrorMessage($0)) } ?? ""
        let code = isCommitting ? .outcomeUnknown : code
        PQfinish(session)
        session = nil
        return PostgresError(code: code, message: message, detail: text.isEmpty ? nil : text)
    }

    private static func error(of result: OpaquePointer) -> PostgresError {
        func field(_ code: Character) -> String? {
            PQresultErrorField(result, Int32(code.asciiValue ?? 0)).map { String(cString: $0) }
        }
        // The letters are PG_DIAG_SQLSTATE, _MESSAGE_PRIMARY, _MESSAGE_DETAIL: macros Swift leaves out.
        guard let state = field("C") else {
            return PostgresError(code: .connectionLost, message: trimmed(PQresultErrorMessage(result)))
        }
        return PostgresError(code: .server(sqlState: state), message: field("M") ?? "", detail: field("D"))
    }

    private static func trimmed(_ text: UnsafePointer<CChar>?) -> String {
        guard let text else { return "" }
        return String(cString: text).split(separator: "\n").joined(separator: "; ")
    }
}

/// Where libpq's notices go.
private final class NoticeReceiver: Sendable {
    let receive: @Sendable (String) -> Void
    init(_ receive: @escaping @Sendable (String) -> Void) { self.receive = receive }
}

/// Calls `body` with C strings (nil for nil) that live as long as the call.
private func withPointers<Result>(
    to values: [[UInt8]?], _ body: (UnsafeBufferPointer<UnsafePointer<CChar>?>) -> Result
) -> Result {
    // One block for all values and not one allocation each: batches have thousands of parameters.
    var joined: [UInt8] = []
    joined.reserveCapacity(values.reduce(0) { $0 + ($1?.count ?? 0) })
    let offsets = values.map { value -> Int? in
        guard let value else { return nil }
        defer { joined += value }
        return joined.count
    }
    return joined.withUnsafeBytes { bytes in
        let start = bytes.bindMemory(to: CChar.self).baseAddress
        // A value has at least its NUL, so where there is an offset there is a base address.
        let pointers = offsets.map { offset in offset.flatMap { start?.advanced(by: $0) } }
        return pointers.withUnsafeBufferPointer { body($0) }
    }
}
