import Foundation
import Logging
import OMSModel
import OMSRuntime
import Testing

@testable import ReferenceProvider

/// harvest over http, from a real server.
@Suite struct DownloadTests {
    private static func fileServer(_ answer: @escaping @Sendable (HTTPRequest) -> HTTPResponse) throws -> HTTPServer {
        let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let server = try HTTPServer(host: "127.0.0.1", port: 0, name: "files", log: log, handler: answer)
        server.start()
        return server
    }

    private static func request(_ server: HTTPServer, _ path: String) -> JobRequest {
        var request = harvest("x")
        request.config.dataSource = DataLocation(uri: "http://127.0.0.1:\(server.port)\(path)")
        return request
    }

    @Test func aDownloadIsHarvestedLikeAFile() throws {
        let file = try Data(contentsOf: URL(filePath: TestProvider.exampleData + "/men-bts.csv.gz"))
        let server = try Self.fileServer { request in
            request.path == "/men-bts.csv.gz"
                ? HTTPResponse(status: 200, body: Array(file)) : HTTPResponse(status: 404)
        }
        defer { server.stop() }
        let provider = try TestProvider { $0.allowedPrivate = ["127.0.0.0/8"] }
        let job = try provider.run(Self.request(server, "/men-bts.csv.gz?signature=1"))
        #expect(job.output("rows") == 10_000)
        #expect(job.output("bytes") == 162_220)
        let missing = try provider.run(Self.request(server, "/other.csv"))
        #expect(missing.error?.slug == "input-unavailable")
        #expect(missing.error?.detail?.contains("status 404") == true)
    }

    @Test func privateAddressesAreContactedOnlyWhenAllowed() throws {
        let calls = Locked(0)
        let server = try Self.fileServer { _ in
            calls.withLock { $0 += 1 }
            return HTTPResponse(status: 200)
        }
        defer { server.stop() }
        let job = try TestProvider().run(Self.request(server, "/a.csv"))
        #expect(job.error?.slug == "input-unavailable")
        #expect(job.error?.detail?.contains("--allow-private") == true)
        #expect(calls.withLock { $0 } == 0)
    }

    @Test func aSlowDownloadStopsAtOnce() throws {
        let release = Monitor(false)
        let reached = Monitor(false)
        let server = try Self.fileServer { _ in
            reached.change { $0 = true }
            let _: Bool? = release.wait(until: MonotonicClock.milliseconds + 10_000) { $0 ? true : nil }
            return HTTPResponse(status: 200)
        }
        defer {
            release.change { $0 = true }
            server.stop()
        }
        let provider = try TestProvider { $0.allowedPrivate = ["127.0.0.1"] }
        let request = Self.request(server, "/a.csv")
        let client = try provider.client()
        #expect(try client.post("/jobs/", request).status == 201)
        let called: Bool? = reached.wait(until: MonotonicClock.milliseconds + 10_000) { $0 ? true : nil }
        try #require(called == true)
        let began = MonotonicClock.milliseconds
        #expect(try client.post("/jobs/\(request.id)", JobAction(action: "stop")).status == 202)
        #expect(try provider.end(of: request.id).state == .stopped)
        #expect(MonotonicClock.milliseconds - began < 5000)
    }

    @Test(arguments: ["http://", "http:///a.csv", "http://user:secret@host/a.csv", "https://host/a.csv#x"])
    func unusableURLsAreRefused(uri: String) throws {
        var request = harvest("x")
        request.config.dataSource = DataLocation(uri: uri, type: "text/csv")
        let answer = try TestProvider().client().post("/jobs/", request)
        #expect(answer.status == 422)
        #expect(try answer.decode(Problem.self).errors?.map(\.pointer) == ["/config/data_source/uri"])
    }
}
