package import Logging
package import OMSCore
import OMSModel
package import OMSProtocol
package import OMSRuntime
package import Postgres

/// A session of its own for questions, on a thread of its own: it can change nothing, gives up soon, and whatever is asked
/// of it, no journal and no command waits. It is opened when somebody asks and works on a server that takes no writes, too:
/// just then people ask.
package actor Questions {
    package nonisolated let thread: PinnedThread
    package nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    private let configuration: PostgresConfiguration
    private let database: PostgresConnection
    private let reply: @Sendable (Int, StoreReply) -> Void
    private static let statementMilliseconds = 2_000

    /// - Parameter reply: called on this actor's thread.
    package init(
        _ asker: Asker, configuration: PostgresConfiguration, logger: Logger,
        reply: @escaping @Sendable (Int, StoreReply) -> Void
    ) {
        var configuration = configuration
        configuration.isReadOnly = true
        configuration.mustBeWritable = false
        configuration.applicationName += " \(asker.rawValue)"
        configuration.statementTimeoutMilliseconds = Self.statementMilliseconds
        configuration.lockTimeoutMilliseconds = Self.statementMilliseconds
        configuration.connectTimeout = .seconds(2)
        self.configuration = configuration
        self.reply = reply
        thread = PinnedThread(name: "questions")
        database = PostgresConnection(thread: thread) { notice in
            logger.debug("postgres notice", metadata: [LoggingKeys.detail: "\(notice)"])
        }
    }

    /// Legal from any thread; returns at once. There is exactly one answer.
    package nonisolated func ask(_ ticket: Int, _ request: ClientRequest) {
        thread.post { self.assumeIsolated { $0.reply(ticket, $0.answer(request)) } }
    }

    /// Ends the session and the thread. Not from this one's own thread.
    package nonisolated func shutdown() {
        thread.post { self.assumeIsolated { actor in actor.database.assumeIsolated { $0.close() } } }
        thread.shutdown()
    }

    private func answer(_ request: ClientRequest) -> StoreReply {
        let configuration = configuration
        do {
            return try database.assumeIsolated { database in
                // An idle session may have ended meanwhile, which only its use tells: a question is safe to repeat.
                let wasConnected = database.isConnected
                if !wasConnected { try database.connect(configuration) }
                do {
                    return try Store.query(database, request)
                } catch let error as PostgresError where wasConnected && error.endsSession && error.code != .timeout {
                    try database.connect(configuration)
                    return try Store.query(database, request)
                }
            }
        } catch let error as PostgresError where error.sqlState == PostgresError.tookTooLong {
            return .failed(
                Problem(
                    .busy,
                    "the answer took longer than \(Self.statementMilliseconds / 1000) s; ask for one tenant or fewer rows, or "
                        + "ask the views of schema report with psql", status: 503, retryable: true))
        } catch let error as PostgresError where error.sqlState != nil {
            return .failed(Problem(.internal, "the database refused: \(error)", status: 500))
        } catch let problem as Problem {
            return .failed(problem)
        } catch {
            return .failed(
                Problem(.unavailable, "the database is not available: \(error)", status: 503, retryable: true))
        }
    }
}
