import OMSModel
import Testing

@testable import ReferenceProvider

/// The HTTP server itself: framing, limits, methods.
@Suite struct HTTPServerTests {
    @Test func pathsWorkWithAndWithoutTheSlashAtTheEnd() throws {
        let provider = try TestProvider()
        let client = try provider.client()
        for path in [
            "/services", "/services/", "/services/harvest", "/services/harvest/", "/jobs", "/jobs/", "/status",
        ] {
            #expect(try client.get(path).status == 200, "\(path)")
        }
        #expect(try client.post("/jobs", harvest("men-items.csv")).status == 201)
        for path in ["/", "/nothing", "/services/harvest/more", "/jobs//", "/%6aobs/x/y", "/services/%00"] {
            let answer = try client.get(path)
            #expect(answer.status == 404, "\(path)")
            #expect(answer.headers["content-type"] == "application/problem+json")
        }
        #expect(try client.get("/%73ervices").status == 200)
    }

    @Test func wrongMethodsAreToldTheRightOnes() throws {
        let provider = try TestProvider()
        let client = try provider.client()
        for (method, path, allowed) in [
            ("DELETE", "/jobs/", "GET, HEAD, POST"), ("PUT", "/status", "GET, HEAD"),
            ("POST", "/services", "GET, HEAD"),
            ("PATCH", "/jobs/\(newID())", "GET, HEAD, POST"), ("BREW", "/jobs/x", "GET, HEAD, POST"),
        ] {
            let answer = try client.request(method, path, body: [])
            #expect(answer.status == 405, "\(method) \(path)")
            #expect(answer.headers["allow"] == allowed, "\(method) \(path)")
        }
    }

    @Test func headTellsTheSameAsGetWithoutTheBody() throws {
        let client = try TestProvider().client()
        let (head, get) = (try client.request("HEAD", "/services"), try client.get("/services"))
        #expect(head.status == 200)
        #expect(head.headers["content-length"] == get.headers["content-length"])
        #expect(get.body.count == get.headers["content-length"].flatMap { Int($0) })
    }

    @Test func theCatalogueIsNotSentTwiceToWhoHasIt() throws {
        let provider = try TestProvider()
        let client = try provider.client()
        let first = try client.get("/services")
        let tag = try #require(first.headers["etag"])
        #expect(try first.decode(ServiceList.self).services.map(\.id) == ["harvest", "optimise", "recommend"])
        let second = try client.get("/services", headers: ["If-None-Match": "\"other\", W/\(tag)"])
        #expect(second.status == 304)
        #expect(second.headers["etag"] == tag)
        #expect(try client.get("/services", headers: ["If-None-Match": "\"other\""]).status == 200)
        let narrow = try TestProvider { $0.services = ["optimise"] }
        #expect(try narrow.client().get("/services").headers["etag"] != tag)
        #expect(try narrow.client().get("/services/harvest").json["type"] == "urn:oms:problem:no-such-service")
    }

    @Test func aBodyBeyondTheLimitIsRefusedBeforeItIsRead() throws {
        let provider = try TestProvider()
        let limit = 256 << 10
        let announced = try provider.client()
        try announced.send("POST /jobs/ HTTP/1.1\r\nHost: x\r\nContent-Length: \(limit + 1)\r\n\r\n")
        #expect(try announced.answer().status == 413)
        #expect(announced.isAtEnd())
        let chunked = try provider.client()
        try chunked.send("POST /jobs/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n40001\r\n")
        #expect(try chunked.answer().status == 413)
        let largest = try provider.client()
        let padding = String(repeating: " ", count: limit - 2)
        #expect(try largest.request("POST", "/jobs/", body: Array("{\(padding)}".utf8)).status == 422)
    }

    @Test func chunkedBodiesAndPipelinedRequestsAreRead() throws {
        let client = try TestProvider().client()
        try client.send(
            "POST /jobs/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "1;a=b\r\n{\r\n1\r\n}\r\n0\r\nT: 1\r\n\r\n"
                + "GET /status HTTP/1.1\r\nHost: x\r\n\r\nGET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        #expect(try client.answer().status == 422)
        #expect(try client.answer().status == 200)
        let last = try client.answer()
        #expect(last.status == 404)
        #expect(last.headers["connection"] == "close")
        #expect(client.isAtEnd())
    }

    @Test func aClientThatAsksFirstIsToldToContinue() throws {
        let client = try TestProvider().client()
        try client.send("POST /jobs/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        // The client skips the interim answer; without one it would wait here until its own timeout.
        try client.send("{}")
        #expect(try client.answer().status == 422)
    }

    @Test(arguments: [
        ("GARBAGE\r\n\r\n", 400), ("GET / HTTP/2.0\r\n\r\n", 505), ("GET /status HTTP/1.1\r\n\r\n", 400),
        ("GET  /status HTTP/1.1\r\nHost: x\r\n\r\n", 400), ("GET /status HTTP/1.1\r\nHost x\r\n\r\n", 400),
        ("GET /status HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        ("GET /status HTTP/1.1\r\nHost: x\r\nA: b\nc: d\r\n\r\n", 400),
        ("GET /status HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        ("POST /jobs/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
        ("POST /jobs/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", 400),
        ("POST /jobs/ HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        ("POST /jobs/ HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", 413),
        ("POST /jobs/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        ("POST /jobs/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        ("POST /jobs/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n", 400),
    ])
    func brokenFramingIsAnsweredAndEndsTheConnection(text: String, status: Int) throws {
        let client = try TestProvider().client()
        try client.send(text)
        let answer = try client.answer()
        #expect(answer.status == status)
        #expect(answer.headers["content-type"] == "application/problem+json")
        #expect(client.isAtEnd())
    }

    @Test func anEndlessHeadIsRefused() throws {
        let client = try TestProvider().client()
        try client.send("GET / HTTP/1.1\r\nX: " + String(repeating: "x", count: 17 << 10))
        #expect(try client.answer().status == 431)
    }

    @Test func theTokenIsRequiredWhereOneIsSet() throws {
        let directory = try TestProvider.inputs(["token": "s3cret\nsecond line\n"])
        let client = try TestProvider { $0.tokenFile = directory + "/token" }.client()
        let refused = try client.get("/status")
        #expect(refused.status == 401)
        #expect(refused.headers["www-authenticate"] == "Bearer")
        #expect(try client.get("/status", headers: ["Authorization": "Bearer s3creT"]).status == 401)
        #expect(try client.get("/status", headers: ["Authorization": "Bearer s3cret"]).status == 200)
    }

    @Test func anotherInterfaceVersionIsRefused() throws {
        let client = try TestProvider().client()
        #expect(try client.get("/status", headers: ["OMS-SP-Version": "1"]).status == 200)
        #expect(try client.get("/status", headers: ["OMS-SP-Version": "2"]).status == 412)
    }
}
