import Curl
import Foundation
package import Logging
import OMSModel
import OMSRuntime
import SQLite

/// How to run a provider; `reference-sp`'s flags, one to one.
package struct ReferenceProviderOptions: Sendable {
    package var name: String
    package var host = "127.0.0.1"
    /// 0: any free one.
    package var port = 0
    /// Where `file:` URIs are rooted.
    package var dataRoot: String
    /// Where `sqlite:` URIs are rooted.
    package var storeRoot: String
    /// The file of the provider's own jobs.
    package var stateFile: String
    package var services = ReferenceProvider.serviceIDs
    package var recommendMethod = "empirical-bayes"
    package var maxRunning = 4
    package var maxQueued = 200
    package var retentionSeconds = 86_400
    /// A file whose first line callers must send as bearer token.
    package var tokenFile: String?
    /// Private address ranges that http(s) inputs may come from; without one, public addresses only.
    package var allowedPrivate: [String] = []

    package init(name: String, dataRoot: String, storeRoot: String, stateFile: String) {
        self.name = name
        self.dataRoot = dataRoot
        self.storeRoot = storeRoot
        self.stateFile = stateFile
    }
}

/// A provider cannot start: one sentence that names the flag and the remedy.
package struct ReferenceProviderError: Error, CustomStringConvertible {
    package var description: String
}

/// A Service Provider with three real services: harvest, recommend, optimise (docs/reference/reference-sp.md).
package final class ReferenceProvider: Sendable {
    package static let serviceIDs = ["harvest", "recommend", "optimise"]
    package static let recommendMethods = RankingMethod.allCases.map(\.rawValue)

    package let port: Int
    let engine: JobEngine
    private let server: HTTPServer
    private let log: Logger

    /// Opens everything and starts serving.
    ///
    /// - Throws: `ReferenceProviderError`.
    package init(_ options: ReferenceProviderOptions, log: Logger) throws {
        self.log = log
        func refuse(_ text: String) -> ReferenceProviderError { ReferenceProviderError(description: text) }
        guard ProviderID(options.name) != nil else {
            throw refuse("--name '\(options.name)' is not a name; \(nameRule)")
        }
        guard (0...65_535).contains(options.port) else { throw refuse("--port must be 0 to 65535") }
        guard (1...64).contains(options.maxRunning) else { throw refuse("--max-running must be 1 to 64") }
        guard (1...31_536_000).contains(options.retentionSeconds) else {
            throw refuse("--retention must be 1 to 31536000 seconds")
        }
        guard (1...100_000).contains(options.maxQueued) else { throw refuse("--max-queued must be 1 to 100000") }
        try Self.checkDirectory(options.dataRoot, "--data-root", R_OK | X_OK, "readable")
        try Self.checkDirectory(options.storeRoot, "--store-root", R_OK | W_OK | X_OK, "writable")
        let token = try options.tokenFile.map(Self.readToken)
        let ranges = try options.allowedPrivate.map { text in
            guard let range = CIDR(text) else {
                throw refuse("--allow-private '\(text)' is no address range; write it like 10.0.0.0/8 or ::1")
            }
            return range
        }
        let downloads = Downloads(allowedPrivate: ranges)
        do {
            engine = try JobEngine(
                statePath: options.stateFile, services: try Self.catalogue(options),
                limits: .init(
                    maxRunning: options.maxRunning, maxQueued: options.maxQueued,
                    retentionSeconds: options.retentionSeconds),
                roots: DataRoots(data: options.dataRoot, store: options.storeRoot),
                downloads: downloads, log: log)
        } catch let error as SQLiteError {
            throw refuse("--state '\(options.stateFile)': \(error.message); name a file in a writable directory")
        } catch let problem as Problem {
            throw refuse(
                "--state '\(options.stateFile)': \(problem.detail ?? problem.slug); move the file away to begin anew")
        }
        let api = try ProviderAPI(engine: engine, token: token, log: log)
        do {
            server = try HTTPServer(
                host: options.host, port: options.port, name: "reference-sp/\(options.name)", log: log
            ) { api.respond(to: $0) }
        } catch let failure as HTTPServer.ListenFailure {
            throw refuse(failure.reason)
        }
        port = server.port
        engine.start()
        server.start()
    }

    /// Takes no new jobs, waits for running ones, records those that do not end in time (the next start runs them
    /// again), and ends the HTTP server last, so that callers can read how it went. Blocks; not for a Swift task.
    package func stop(graceMilliseconds: Int = 10_000) {
        log.notice("stopping")
        let left = engine.drain(graceMilliseconds: graceMilliseconds)
        server.stop()
        engine.downloads.shutdown()
        log.notice("stopped", metadata: ["count": "\(left)"])
    }

    private static func catalogue(_ options: ReferenceProviderOptions) throws -> ServiceCatalogue {
        guard let method = RankingMethod(rawValue: options.recommendMethod) else {
            throw ReferenceProviderError(
                description: "--recommend-method '\(options.recommendMethod)' is unknown; choose one of "
                    + recommendMethods.joined(separator: ", "))
        }
        let all: [any Service] = [HarvestService(), RecommendService(defaultMethod: method), OptimiseService()]
        for id in options.services where !serviceIDs.contains(id) {
            throw ReferenceProviderError(
                description:
                    "--services names '\(id)', which is unknown; choose from \(serviceIDs.joined(separator: ","))")
        }
        let chosen = all.filter { options.services.contains($0.description.id.text) }
        if chosen.isEmpty {
            throw ReferenceProviderError(description: "--services is empty; name at least one service")
        }
        return ServiceCatalogue(chosen)
    }

    private static func checkDirectory(_ path: String, _ flag: String, _ mode: Int32, _ word: String) throws {
        var info = stat()
        guard stat(path, &info) == 0, info.st_mode & S_IFMT == S_IFDIR else {
            throw ReferenceProviderError(description: "\(flag) '\(path)' is not a directory; create it or name another")
        }
        guard access(path, mode) == 0 else {
            throw ReferenceProviderError(
                description: "\(flag) '\(path)' is not \(word); change its permissions or name another")
        }
    }

    private static func readToken(_ path: String) throws -> String {
        guard let data = FileManager.default.contents(atPath: path), data.count <= 4096 else {
            throw ReferenceProviderError(description: "--token-file '\(path)' cannot be read; name a readable file")
        }
        let token = String(decoding: data, as: UTF8.self).prefix { !$0.isNewline }
        guard !token.isEmpty else {
            throw ReferenceProviderError(
                description: "--token-file '\(path)' is empty; put the token into its first line")
        }
        return String(token)
    }
}
