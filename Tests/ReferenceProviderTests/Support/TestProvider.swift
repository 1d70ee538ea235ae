import Foundation
import Logging
import OMSModel
import OMSRuntime
import Testing

@testable import ReferenceProvider

/// A real provider on a free port, with directories of its own.
final class TestProvider {
    let directory: URL
    private(set) var provider: ReferenceProvider
    private(set) var options: ReferenceProviderOptions
    private var isRunning = true

    static let exampleData = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "examples/open-bandit/data").path

    init(_ configure: (inout ReferenceProviderOptions) throws -> Void = { _ in }) throws {
        directory = FileManager.default.temporaryDirectory.appending(path: "reference-sp-\(UUID().uuidString)")
        let store = directory.appending(path: "store")
        try FileManager.default.createDirectory(at: store, withIntermediateDirectories: true)
        options = ReferenceProviderOptions(
            name: "test", dataRoot: Self.exampleData, storeRoot: store.path,
            stateFile: directory.appending(path: "state.db").path)
        try configure(&options)
        provider = try ReferenceProvider(options, log: Self.log)
    }

    deinit {
        stop()
        try? FileManager.default.removeItem(at: directory)
    }

    func stop(graceMilliseconds: Int = 0) {
        if isRunning { provider.stop(graceMilliseconds: graceMilliseconds) }
        isRunning = false
    }

    func start() throws {
        provider = try ReferenceProvider(options, log: Self.log)
        isRunning = true
    }

    /// A directory for inputs of the test's own; use as data root.
    static func inputs(_ files: [String: String]) throws -> String {
        let directory = FileManager.default.temporaryDirectory.appending(path: "reference-sp-in-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        for (name, text) in files { try Data(text.utf8).write(to: directory.appending(path: name)) }
        return directory.path
    }

    var storePath: String { options.storeRoot }

    func client() throws -> HTTPTestClient { try HTTPTestClient(port: provider.port, of: self) }

    /// Waits for the change, not by asking again and again.
    func wait(for id: JobID, seconds: Int64 = 20, until condition: (ProviderJob) -> Bool) throws -> ProviderJob {
        let job = try provider.engine.monitor.wait(until: MonotonicClock.milliseconds + seconds * 1000) { state in
            try state.store.job(id).flatMap { condition($0) ? $0 : nil }
        }
        return try #require(job, "job \(id) did not get there within \(seconds) s")
    }

    func end(of id: JobID) throws -> ProviderJob { try wait(for: id) { $0.state.isTerminal } }

    /// Submits over HTTP, expects 201 and waits for the end.
    func run(_ request: JobRequest) throws -> ProviderJob {
        let answer = try client().post("/jobs/", request)
        try #require(answer.status == 201, "\(String(decoding: answer.body, as: UTF8.self))")
        return try end(of: request.id)
    }

    private static let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}

private let counter = Locked(0)

func newID() -> JobID {
    let number = counter.withLock { count -> Int in
        count += 1
        return count
    }
    return JobID(time: Timestamp(milliseconds: WallClock.milliseconds), of: "test", "\(number)")
}

func harvest(
    _ file: String, source: String = "random", table: String = "log", store: String = "log.db", pace: Int = 0,
    more: JSONObject = [:], type: String? = nil
) -> JobRequest {
    var parameters: JSONObject = ["table": .string(table), "source": .string(source)]
    if pace > 0 { parameters["pace_ms"] = .int(Int64(pace)) }
    parameters.merge(more) { _, new in new }
    return JobRequest(
        id: newID(), service: "harvest", tenant: "acme",
        config: ServiceConfig(
            dataSource: DataLocation(uri: "file:///\(file)", type: type),
            outputSource: DataLocation(uri: "sqlite:///\(store)"),
            parameters: .object(parameters)))
}

func analysis(_ service: ServiceID, store: String = "log.db", _ parameters: JSONObject) -> JobRequest {
    JobRequest(
        id: newID(), service: service, tenant: "acme",
        config: ServiceConfig(
            dataSource: DataLocation(uri: "sqlite:///\(store)"),
            parameters: .object(parameters.merging(["table": "log"]) { own, _ in own })))
}

extension ProviderJob {
    func output(_ name: String) -> JSONValue? { outputs?[name]?["value"] }
}
