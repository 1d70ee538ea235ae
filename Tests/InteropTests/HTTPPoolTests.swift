import Curl
import Glibc
import OMSRuntime
import Testing

@Suite(.serialized, .timeLimit(.minutes(1))) struct HTTPPoolTests {
    private static func ok(_ body: String, extra: String = "") -> String {
        "HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\(extra)\r\n\(body)"
    }

    private func pool(_ change: (inout HTTPPoolConfiguration) -> Void = { _ in }) -> HTTPPool {
        ProcessSetup.prepare()
        var configuration = HTTPPoolConfiguration()
        configuration.addressPolicy = AddressPolicy(allowedPrivate: [CIDR("127.0.0.0/8")].compactMap { $0 })
        change(&configuration)
        return HTTPPool(configuration)
    }

    private func answer(_ outcome: HTTPOutcome) throws -> HTTPResponse {
        switch outcome {
        case .answered(let response): return response
        case .failed(let failure): throw failure
        }
    }

    private func failure(_ outcome: HTTPOutcome) throws -> HTTPFailure {
        switch outcome {
        case .answered(let response): throw TestFailure("answered \(response.status)")
        case .failed(let failure): return failure
        }
    }

    @Test(arguments: ["job", ""])
    func aPostOnADyingReusedConnectionIsNotSentAgain(body: String) async throws {
        let server = RawServer { _, number in number == 0 ? ([Self.ok("first")], false) : nil }
        let pool = pool()
        let post = HTTPRequest(method: "POST", url: server.url, body: Array(body.utf8))
        let warmUp = HTTPRequest(url: server.url)
        #expect(try answer(await pool.send(warmUp)).status == 200)
        let outcome = await pool.send(post)
        let posts = server.requests.withLock { $0.filter { $0.hasPrefix("POST") }.count }
        #expect(posts == 1)
        if body.isEmpty {
            // A new connection, so nothing could be sent twice.
            #expect(try answer(outcome).status == 200)
        } else {
            let failure = try failure(outcome)
            #expect(failure.phase == .maybeSent)
            #expect(failure.kind == .reset)
            #expect(failure.curlCode == 65)
        }
        pool.shutdown()
    }

    @Test func retryAfterIsReadAsSecondsOrAsADate() async throws {
        let cases: [(String, ClosedRange<Int>)] = [
            ("7", 7...7), (Self.httpDate(afterSeconds: 90), 80...91), (Self.httpDate(afterSeconds: -90), 0...0),
        ]
        for (given, expected) in cases {
            let server = RawServer { _, _ in ([Self.ok("", extra: "Retry-After: \(given)\r\n")], false) }
            let pool = pool()
            let header = try answer(await pool.send(HTTPRequest(url: server.url))).header("retry-after")
            // A moment that has passed stays a date, which is no number of seconds to wait.
            #expect(expected.contains(Int(header ?? "") ?? 0), "\(given) became \(header ?? "nothing")")
            pool.shutdown()
        }
    }

    /// IMF-fixdate.
    private static func httpDate(afterSeconds seconds: Int) -> String {
        var time = time_t(WallClock.milliseconds / 1000) + seconds
        var parts = tm()
        gmtime_r(&time, &parts)
        var text = [CChar](repeating: 0, count: 64)
        let count = strftime(&text, text.count, "%a, %d %b %Y %H:%M:%S GMT", &parts)
        return String(decoding: text[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    @Test func requestAndAnswerPassUnchangedAndConnectionsAreReused() async throws {
        let server = RawServer { _, _ in ([Self.ok("answer", extra: "X-Name:  Value \r\n")], false) }
        let pool = pool()
        for _ in 0..<2 {
            let request = HTTPRequest(
                method: "PUT", url: server.url, headers: [("Idempotency-Key", "k"), ("Content-Type", "a/b")],
                body: Array("body".utf8))
            let response = try answer(await pool.send(request))
            #expect(response.body == Array("answer".utf8))
            #expect(response.header("x-name") == "Value")
        }
        let request = try #require(server.requests.withLock { $0.last })
        #expect(request.hasPrefix("PUT /x HTTP/1.1\r\n"))
        #expect(request.contains("Idempotency-Key: k\r\n") && request.contains("Content-Type: a/b\r\n"))
        #expect(request.hasSuffix("\r\n\r\nbody") && !request.contains("Expect"))
        let start = MonotonicClock.microseconds
        for _ in 0..<500 { _ = try answer(await pool.send(HTTPRequest(method: "POST", url: server.url, body: [1]))) }
        print("http: \((MonotonicClock.microseconds - start) / 500) us per request on one connection")
        pool.shutdown()
    }

    @Test func aBodyInOneByteChunksIsRead() async throws {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        let server = RawServer { _, _ in ([head] + "hello".map { "1\r\n\($0)\r\n" } + ["0\r\n\r\n"], false) }
        let pool = pool()
        #expect(try answer(await pool.send(HTTPRequest(url: server.url))).body == Array("hello".utf8))
        pool.shutdown()
    }

    @Test func tooLargeBodiesAndHeadersAreCutOff() async throws {
        let chunk = "400\r\n\(String(repeating: "x", count: 1_024))\r\n"
        let server = RawServer { request, _ in
            request.contains("header")
                ? (
                    [
                        Self.ok(
                            "", extra: String(repeating: "X-Y: \(String(repeating: "y", count: 100))\r\n", count: 100))
                    ], true
                )
                : (
                    ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"] + Array(repeating: chunk, count: 100),
                    true
                )
        }
        let pool = pool()
        var request = HTTPRequest(url: server.url)
        request.maxBodyBytes = 10_000
        request.maxHeaderBytes = 5_000
        let body = try failure(await pool.send(request))
        #expect(body.kind == .tooLarge && body.phase == .maybeSent)
        #expect(body.message == "the answer is larger than 10000 bytes")
        request.headers = [("x", "header")]
        let header = try failure(await pool.send(request))
        #expect(header.kind == .tooLarge && header.message == "the answer's header is larger than 5000 bytes")
        pool.shutdown()
    }

    @Test func whatIsNoHTTPIsNamed() async throws {
        let server = RawServer { _, _ in (["\0\u{1B}[31mgarbage\r\n\r\n"], true) }
        let pool = pool()
        let answer = try failure(await pool.send(HTTPRequest(url: server.url)))
        #expect(answer.kind == .malformed && answer.message.hasPrefix("the answer is no HTTP/1.1: "))
        pool.shutdown()
    }

    @Test func aRedirectIsAnAnswerNotAnOrder() async throws {
        let server = RawServer { _, _ in
            (["HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n"], false)
        }
        let pool = pool()
        let response = try answer(await pool.send(HTTPRequest(url: server.url)))
        #expect(response.status == 302 && response.header("location") == "/other")
        #expect(server.requests.withLock { $0.count } == 1)
        pool.shutdown()
    }

    @Test func aSilentServerTimesOutAndAClosedPortIsNotSent() async throws {
        let server = RawServer { _, _ in ([], false) }
        let pool = pool()
        var request = HTTPRequest(method: "POST", url: server.url, body: [1])
        request.timeoutMilliseconds = 150
        let start = MonotonicClock.milliseconds
        let timeout = try failure(await pool.send(request))
        #expect(timeout.kind == .timeout && timeout.phase == .maybeSent)
        #expect(timeout.message.wholeMatch(of: /no complete answer after [0-9]+ ms/) != nil, "\(timeout.message)")
        #expect((140..<1_000).contains(MonotonicClock.milliseconds - start))
        request.url = "http://127.0.0.1:\(TestPorts.free())/"
        let refused = try failure(await pool.send(request))
        #expect(refused.kind == .connect && refused.phase == .notSent)
        pool.shutdown()
    }

    @Test(arguments: [
        "http://127.0.0.1:PORT/", "http://localhost:PORT/", "http://0x7f.1:PORT/", "http://2130706433:PORT/",
        "http://[::ffff:127.0.0.1]:PORT/", "http://0.0.0.0:PORT/", "http://169.254.169.254/",
    ])
    func privateAddressesAreRefusedUnlessAllowed(url: String) async throws {
        let server = RawServer { _, _ in ([Self.ok("")], false) }
        let pool = pool { $0.addressPolicy = AddressPolicy() }
        let failure = try failure(
            await pool.send(HTTPRequest(url: url.replacing("PORT", with: "\(server.port)"))))
        #expect(failure.kind == .policy && failure.phase == .notSent)
        #expect(server.requests.withLock { $0.isEmpty })
        pool.shutdown()
    }

    @Test(arguments: [
        ("8.8.8.8", true), ("100.63.255.255", true), ("100.64.0.1", false), ("172.15.0.1", true), ("172.31.0.1", false),
        ("10.9.9.9", true), ("192.168.1.1", false), ("224.0.0.1", false), ("2606:4700::1", true), ("::1", false),
        ("::ffff:10.9.0.1", true), ("::ffff:192.168.0.1", false), ("fd00::1", false), ("fe80::1", false),
        ("2002:7f00:1::", false),
    ])
    func addressesAreJudgedByRange(address: String, allowed: Bool) throws {
        let policy = AddressPolicy(allowedPrivate: [try #require(CIDR("10.9.0.0/16"))])
        #expect(policy.allows(try #require(CIDR(address)).bytes) == allowed)
        #expect(CIDR("10.0.0.0/33") == nil && CIDR("x") == nil && CIDR("10.0.0.0/") == nil)
    }

    @Test func badRequestsOverflowAndShutdownAreReported() async throws {
        let server = RawServer { _, _ in ([], false) }
        let pool = pool { $0.maxPending = 2 }
        let injected = HTTPRequest(url: server.url, headers: [("X", "a\r\nY: b")])
        #expect(try failure(await pool.send(injected)).kind == .malformed)
        #expect(try failure(await pool.send(HTTPRequest(url: "file:///etc/passwd"))).phase == .notSent)
        let outcomes = Locked([HTTPFailure.Kind]())
        let ids = (0..<3).map { _ in
            pool.start(HTTPRequest(url: server.url)) { outcome in
                if case .failed(let failure) = outcome { outcomes.withLock { $0.append(failure.kind) } }
            }
        }
        pool.cancel(ids[0])
        pool.shutdown()
        #expect(outcomes.withLock { $0 } == [.other, .cancelled, .cancelled])
        #expect(try failure(await pool.send(HTTPRequest(url: server.url))).kind == .cancelled)
        #expect(pool.pending == 0)
    }

    @Test func plainHTTPStaysInsideTheAllowedBlocks() throws {
        let policy = AddressPolicy(allowedPrivate: [try #require(CIDR("10.0.0.0/8"))], requiresTLSOutside: true)
        #expect(policy.allows([10, 1, 2, 3], overTLS: false))
        #expect(policy.allows([93, 184, 216, 34], overTLS: true))
        #expect(!policy.allows([93, 184, 216, 34], overTLS: false))
        #expect(!policy.allows([192, 168, 0, 1], overTLS: true))
    }
}
