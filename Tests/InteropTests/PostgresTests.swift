import Glibc
import OMSRuntime
import Postgres
import Testing

/// An actor that shares the connection's thread, as the store does.
private actor Store {
    let connection: PostgresConnection
    nonisolated var unownedExecutor: UnownedSerialExecutor { connection.thread.asUnownedSerialExecutor() }
    init(_ connection: PostgresConnection) { self.connection = connection }

    func countInOneTransaction() throws -> Int64? {
        try connection.assumeIsolated { connection in
            try connection.transaction { connection in
                try connection.query("INSERT INTO counted VALUES (1)")
                return try connection.query("SELECT count(*) AS n FROM counted").rows[0].int("n")
            }
        }
    }
}

@Suite(.serialized, .timeLimit(.minutes(1))) struct PostgresTests {
    private func withConnection(
        _ change: (inout PostgresConfiguration) -> Void = { _ in }, _ body: (PostgresConnection) async throws -> Void
    ) async throws {
        var configuration = try TestPostgres.shared.get().configuration
        change(&configuration)
        let thread = PinnedThread(name: "postgres")
        let connection = PostgresConnection(thread: thread)
        try await connection.connect(configuration)
        try await body(connection)
        await connection.close()
        thread.shutdown()
    }

    @Test func parametersOfEveryKindComeBackAsTheyWentIn() async throws {
        try await withConnection { connection in
            let result = try await connection.query(
                """
                SELECT $1::text AS t, $2::bigint AS i, $3::float8 AS d, $4::bool AS b, $5::bytea AS y, $6::text AS n,
                       $7::text[] AS a, array_length($7::text[], 1) AS l, $8::bigint[] AS ia
                """,
                [
                    .text("it's \u{1F600} \\ \""), .int(Int64.min), .double(0.1), .bool(true), .bytes([0, 1, 255]),
                    .null,
                    .textArray(["a,b", nil, "\"\\{}", "NULL"]), .intArray([1, -2]),
                ])
            let row = try #require(result.rows.first)
            #expect(row["t"] == "it's \u{1F600} \\ \"")
            #expect(row.int("i") == .min)
            #expect(row.double("d") == 0.1)
            #expect(row.bool("b") == true)
            #expect(row.bytes("y") == [0, 1, 255])
            #expect(row["n"] == nil)
            #expect(row["a"] == #"{"a,b",NULL,"\"\\{}","NULL"}"#)
            #expect(row.int("l") == 4)
            #expect(row["ia"] == "{1,-2}")
            #expect(result.columns.count == 9)
        }
    }

    @Test func aLargeParameterAndALargeAnswerPass() async throws {
        try await withConnection { connection in
            let text = String(repeating: "0123456789", count: 2_000_000)
            let result = try await connection.query("SELECT $1::text AS t", [.text(text)])
            #expect(result.rows.first?["t"]?.utf8.count == 20_000_000)
        }
    }

    @Test func aServerErrorHasItsSQLStateAndTheSessionLivesOn() async throws {
        try await withConnection { connection in
            await #expect { try await connection.query("SELECT 1/0") } throws: {
                guard let error = $0 as? PostgresError else { return false }
                return error.code == .server(sqlState: "22012") && !error.isRetriable
            }
            let one = try await connection.query("SELECT 1 AS one").rows.first?.int("one")
            #expect(one == 1)
        }
    }

    @Test func whatIsWrongWithTheServerMayBeTriedAgainWhatIsWrongWithTheStatementMayNot() {
        for (state, isRetriable) in [
            ("53100", true), ("53200", true), ("58030", true), ("57014", false), ("40001", true), ("23505", false),
            ("22P02", false), ("42P01", false), ("25006", true), ("57P01", true), ("42501", false), ("XX002", false),
        ] {
            #expect(
                PostgresError(code: .server(sqlState: state), message: "").isRetriable == isRetriable, "\(state)")
        }
    }

    @Test func aRefusalIsAboutTheSessionTheServerTheValuesOrEverything() {
        let expected: [(PostgresError.Blame, [String])] = [
            (.session, ["25006", "25P02", "57P01", "57P02", "57P03", "08006", "08P01"]),
            (.server, ["53100", "53200", "53300", "58030", "40001", "40P01", "55P03", "57014"]),
            (.data, ["22008", "22003", "22P05", "23502", "23514", "23505", "54000", "54001", "21000", "P0001"]),
            (.installation, ["42703", "42P01", "42501", "XX000", "XX002", "0A000", "42883", "3F000"]),
        ]
        for (blame, states) in expected {
            for state in states {
                #expect(PostgresError(code: .server(sqlState: state), message: "").blame == blame, "\(state)")
            }
        }
        #expect(PostgresError(code: .connectionLost, message: "").blame == nil)
    }

    @Test func aSessionThatIsReadOnlyIsNotKept() async throws {
        try await withConnection { connection in
            try await connection.query("SET default_transaction_read_only = on")
            await #expect { try await connection.query("CREATE TABLE never (n int)") } throws: {
                ($0 as? PostgresError)?.sqlState == "25006" && ($0 as? PostgresError)?.endsSession == true
            }
            #expect(await !connection.isConnected)
        }
        // Not as the first statement finds out, but as the session is made.
        await #expect {
            try await withConnection({
                $0.mustBeWritable = true
                $0.isReadOnly = true
            }) { _ in }
        } throws: {
            let error = $0 as? PostgresError
            return error?.code == .connectionFailed && error?.message.contains("read-only") == true
        }
    }

    @Test func ofSeveralHostsTheFirstThatServesIsTaken() async throws {
        let port = try TestPostgres.shared.get().port
        func ask(_ hosts: String, _ ports: String) async throws -> Int64? {
            var found: Int64?
            try await withConnection({
                $0.parameters["host"] = hosts
                $0.parameters["port"] = ports
                $0.mustBeWritable = true
                $0.connectTimeout = .milliseconds(500)
            }) { found = try await $0.query("SELECT inet_server_port() AS port").rows[0].int("port") }
            return found
        }
        #expect(try await ask("127.0.0.1,127.0.0.1", "\(TestPorts.free()),\(port)") == Int64(port))
        #expect(try await ask("127.0.0.1,127.0.0.1", "\(port),\(TestPorts.free())") == Int64(port))
        // One that answers nothing at all does not use up the time of the others.
        let silent = TestPorts.free()
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { Glibc.close(listener) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(silent).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        #expect(bound == 0 && listen(listener, 5) == 0)
        #expect(try await ask("127.0.0.1,127.0.0.1", "\(silent),\(port)") == Int64(port))
    }

    @Test func aTransactionCommitsOrLeavesNothing() async throws {
        try await withConnection { connection in
            try await connection.execute(script: "CREATE TEMP TABLE counted (n int); CREATE TEMP TABLE other (n int)")
            let store = Store(connection)
            #expect(try await store.countInOneTransaction() == 1)
            await #expect(throws: PostgresError.self) {
                try await connection.transaction { @Sendable connection in
                    try connection.query("INSERT INTO counted VALUES (2)")
                    try connection.query("SELECT * FROM nowhere")
                }
            }
            // An error that the body swallows must not look like a commit.
            await #expect(throws: PostgresError.self) {
                try await connection.transaction { @Sendable connection in
                    try connection.query("INSERT INTO counted VALUES (3)")
                    _ = try? connection.query("SELECT * FROM nowhere")
                }
            }
            #expect(try await store.countInOneTransaction() == 2)
        }
    }

    @Test func aPassedDeadlineClosesTheSession() async throws {
        try await withConnection { connection in
            let start = MonotonicClock.milliseconds
            await #expect { try await connection.query("SELECT pg_sleep(5)", deadline: .milliseconds(100)) } throws: {
                ($0 as? PostgresError)?.code == .timeout
            }
            #expect(MonotonicClock.milliseconds - start < 2_000)
            #expect(await !connection.isConnected)
            await #expect { try await connection.query("SELECT 1") } throws: {
                ($0 as? PostgresError)?.code == .notConnected
            }
        }
    }

    @Test func theServersOwnTimeoutKeepsTheSession() async throws {
        try await withConnection({ $0.statementTimeoutMilliseconds = 100 }) { connection in
            await #expect { try await connection.query("SELECT pg_sleep(5)") } throws: {
                ($0 as? PostgresError)?.sqlState == "57014"
            }
            #expect(await connection.isConnected)
        }
    }

    @Test func theServerEndsASilentSessionAndWithItItsLock() async throws {
        let lock = "SELECT pg_try_advisory_lock(4711) AS ok"
        try await withConnection({ $0.endSilentSessions(afterSeconds: 1) }) { silent in
            #expect(try await silent.query(lock).rows[0].bool("ok") == true)
            let began = MonotonicClock.milliseconds
            try await withConnection { other in
                // As long as it asks something now and then, it keeps what it has.
                while MonotonicClock.milliseconds - began < 2_500 {
                    try await silent.query("SELECT 1")
                    #expect(try await other.query(lock).rows[0].bool("ok") == false)
                    try await other.query("SELECT pg_sleep(0.3)")
                }
                let last = MonotonicClock.milliseconds
                try await silent.query("SELECT 1")
                // Waits for the lock inside the server: it is free when the silent session has ended.
                try await other.query("SELECT pg_advisory_lock(4711)")
                let after = MonotonicClock.milliseconds - last
                #expect((950...3_000).contains(after), "free after \(after) ms")
                await #expect {
                    try await silent.query("SELECT 1")
                } throws: {
                    ($0 as? PostgresError)?.code == .connectionLost
                }
            }
        }
    }

    @Test func aSessionThatIsSilentInATransactionEndsToo() async throws {
        try await withConnection({ $0.endSilentSessions(afterSeconds: 1) }) { silent in
            try await silent.query("BEGIN")
            try await silent.query("SELECT pg_advisory_lock(4712)")
            try await withConnection { other in
                try await other.query("SELECT pg_advisory_lock(4712)")
            }
            await #expect(throws: PostgresError.self) { try await silent.query("COMMIT") }
        }
    }

    @Test func aKilledSessionIsLostAndDuringCommitOfUnknownOutcome() async throws {
        try await withConnection { killer in
            try await withConnection { connection in
                let pid = try await connection.query("SELECT pg_backend_pid() AS pid").rows[0].int("pid") ?? 0
                try await killer.query("SELECT pg_terminate_backend($1::int)", [.int(pid)])
                await #expect { try await connection.query("SELECT 1") } throws: {
                    ($0 as? PostgresError)?.code == .connectionLost && ($0 as? PostgresError)?.isRetriable == true
                }
            }
            try await killer.execute(
                script: """
                    CREATE TABLE slow (n int);
                    CREATE FUNCTION slow_commit() RETURNS trigger LANGUAGE plpgsql AS
                        $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
                    CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED
                        FOR EACH ROW EXECUTE FUNCTION slow_commit()
                    """)
            try await withConnection { connection in
                await #expect {
                    try await connection.transaction { @Sendable in _ = try $0.query("INSERT INTO slow VALUES (1)") }
                } throws: {
                    ($0 as? PostgresError)?.code == .outcomeUnknown && ($0 as? PostgresError)?.isRetriable == false
                }
            }
        }
    }

    @Test func aFailedConnectSaysWhyButNotThePassword() async throws {
        var configuration = try TestPostgres.shared.get().configuration
        configuration.parameters["password"] = "hunter2"
        let thread = PinnedThread(name: "postgres")
        let connection = PostgresConnection(thread: thread)
        for port in [configuration.parameters["port"], "\(TestPorts.free())"] {
            configuration.parameters["port"] = port
            do {
                try await connection.connect(configuration)
                Issue.record("connected")
            } catch {
                #expect(error.code == .connectionFailed)
                #expect(!error.message.isEmpty && !error.description.contains("hunter2"))
            }
        }
        thread.shutdown()
    }

    @Test func manySmallQueriesAreQuick() async throws {
        try await withConnection { connection in
            let start = MonotonicClock.microseconds
            for number in 0..<1_000 { try await connection.query("SELECT $1::int", [.int(number)]) }
            print("postgres: \((MonotonicClock.microseconds - start) / 1_000) us per query")
        }
    }
}
