import OMSRuntime
import Postgres

/// What is done inside the running server.
extension PostgresServer {
    func configuration(
        port: Int, password: Secret, user: String, database: String = database, _ applicationName: String
    ) -> PostgresConfiguration {
        PostgresConfiguration(
            parameters: [
                "host": "127.0.0.1", "port": "\(port)", "dbname": database, "user": user, "password": password.value,
                "sslmode": "disable",
            ], applicationName: applicationName)
    }

    /// Waits for the server, then makes the database and the login role for reports.
    func setUp(_ environment: DevEnvironment) async throws {
        let administration = configuration(
            port: environment.postgresPort, password: password, user: Self.owner, database: "postgres", "oms-dev")
        try await withConnection { connection in
            _ = try await environment.waitUntil(Self.childName, "accepted connections") { () async throws -> Bool? in
                do {
                    try await connection.connect(administration)
                    return true
                } catch let error as PostgresError {
                    if error.message.contains("password authentication failed") {
                        throw DevError(
                            "PostgreSQL refuses the kept password in \(password.file); "
                                + "remove the data folder \(folder.path)"
                        )
                    }
                    return nil
                }
            }
            if try await connection.query("SELECT 1 FROM pg_database WHERE datname = $1", [.text(Self.database)]).rows
                .isEmpty
            {
                try await connection.execute(script: "CREATE DATABASE \(Self.database)")
            }
            if try await connection.query("SELECT 1 FROM pg_roles WHERE rolname = $1", [.text(Self.reporter)]).rows
                .isEmpty
            {
                try await connection.execute(script: "CREATE ROLE \(Self.reporter) LOGIN")
            }
            // The settings do not come with membership in the group role, so they are the login role's own. The
            // password is hexadecimal, so it needs no quoting.
            try await connection.execute(
                script: """
                    ALTER ROLE \(Self.reporter) PASSWORD '\(reporterPassword.value)';
                    ALTER ROLE \(Self.reporter) SET default_transaction_read_only = on;
                    ALTER ROLE \(Self.reporter) SET statement_timeout = '60s';
                    ALTER ROLE \(Self.reporter) SET search_path = report;
                    ALTER ROLE \(Self.reporter) SET temp_file_limit = '1GB';
                    ALTER ROLE \(Self.reporter) CONNECTION LIMIT 10;
                    """)
        }
        try folder.write(
            "127.0.0.1:\(environment.postgresPort):\(Self.database):\(Self.reporter):\(reporterPassword.value)\n",
            to: "secrets/pgpass")
    }

    /// Lets the reporter read what the registry's migrations offer to `oms_report`.
    func grantReporting(_ environment: DevEnvironment) async throws {
        let target = configuration(port: environment.postgresPort, password: password, user: Self.owner, "oms-dev")
        try await withConnection { connection in
            try await connection.connect(target)
            let granted = try await Attempts.until(deadline: environment.options.startDeadline) {
                () async throws -> Bool? in
                guard try await !connection.query("SELECT 1 FROM pg_roles WHERE rolname = 'oms_report'").rows.isEmpty
                else {
                    return nil
                }
                try await connection.execute(script: "GRANT oms_report TO \(Self.reporter)")
                return true
            }
            if granted == nil {
                throw DevError(
                    "the registry is up but has not made the role 'oms_report'; "
                        + "its log is \(folder.log(DevEnvironment.registryName))"
                )
            }
        }
    }

    private func withConnection(_ body: (PostgresConnection) async throws -> Void) async throws {
        let thread = PinnedThread(name: "dev-postgres")
        let connection = PostgresConnection(thread: thread)
        func end() async {
            await connection.close()
            HelperThread.run(name: "dev-postgres-end") { thread.shutdown() }
        }
        do {
            try await body(connection)
        } catch {
            await end()
            throw error
        }
        await end()
    }
}
