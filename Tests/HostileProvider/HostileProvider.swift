import Foundation
package import OMSModel
import OMSRuntime

/// A Service Provider whose faults are scripted; without any it is an honest one, which `oms sp verify` passes.
package final class HostileProvider: Sendable {
    fileprivate struct State {
        var book: JobBook
        var rules: [FaultRule] = []
        var catalogVersion = 1
        var startedAt = WallClock.milliseconds
        var startedMonotonic = MonotonicClock.milliseconds
        var token: String?
    }

    package let lies: Set<Lie>
    private let server: SocketServer
    private let state: Locked<State>

    /// - Parameters:
    ///   - lies: how it breaks the contract all the time.
    ///   - rules: what goes wrong with single answers; the first that fits counts.
    ///   - token: what callers must send as bearer token.
    ///   - host: the address to listen on; `0.0.0.0` makes one server out of all of 127.0.0.0/8.
    ///   - greeting: sent at once to whoever connects, as by a server of another protocol.
    package init(
        lies: Set<Lie> = [], _ rules: [FaultRule] = [], token: String? = nil, host: String = "127.0.0.1",
        greeting: [UInt8] = []
    ) throws {
        self.lies = lies
        let state = Locked(State(book: JobBook(lies: lies), rules: rules, token: token))
        self.state = state
        server = try SocketServer(host: host, greeting: greeting) { request, socket in
            Self.serve(request, socket, lies, state)
        }
    }

    package var port: Int { server.port }
    package var url: String { "http://127.0.0.1:\(port)" }

    /// What it took is begun by then, and stands in the log.
    package static let beginsWithinMilliseconds = 2 * JobBook.queuedMilliseconds

    /// What really happened, until now.
    package var log: ExecutionLog {
        state.withLock { state in
            state.book.advance(to: WallClock.milliseconds)
            return state.book.log
        }
    }

    /// What a submit would do that nobody sent: for tests of those who judge the log.
    package func submit(_ body: JSONValue, epoch: Int64?) {
        state.withLock { _ = $0.book.submit(body, epoch: epoch, key: nil, now: WallClock.milliseconds) }
    }

    /// Changes the script while it runs.
    package func set(_ rules: [FaultRule]) { state.withLock { $0.rules = rules } }

    /// What a new process on the same store would do.
    package func restart() {
        state.withLock { state in
            state.startedAt = WallClock.milliseconds
            state.startedMonotonic = MonotonicClock.milliseconds
            state.book.restart()
        }
    }

    /// What says `stopping` for ever (`Lie.neverStops`) ends after all.
    package func endStopping() { state.withLock { $0.book.endStopping(now: WallClock.milliseconds) } }

    package func stop() { server.stop() }

    // MARK: - One request

    private static func serve(
        _ request: ReceivedRequest, _ socket: PeerSocket, _ lies: Set<Lie>, _ state: Locked<State>
    ) -> Bool {
        let path = request.path.split(separator: "/").map(String.init)
        guard let route = route(request.method, path) else {
            guard let allowed = ["services": "GET", "status": "GET", "jobs": "GET, POST"][path.first ?? ""],
                path.count <= 2
            else { return FaultWriter.send(.problem(404, .notFound, "nothing is here"), socket) }
            var answer = Answer.problem(405, .badRequest, "allowed: \(allowed)")
            answer.headers["Allow"] = allowed
            return FaultWriter.send(answer, socket)
        }
        let rule = state.withLock { state -> FaultRule? in
            state.book.log.received(request, route)
            let index = state.rules.firstIndex {
                $0.routes.contains(route) && $0.times != 0 && (!$0.onlyReused || request.numberOnConnection > 0)
            }
            guard let index else { return nil }
            if let times = state.rules[index].times { state.rules[index].times = times - 1 }
            return state.rules[index]
        }
        if let rule, !rule.fault.executes { return FaultWriter.send(nil, rule.fault, socket) }
        let answer = answer(request, route, path, lies, state)
        guard let rule else { return FaultWriter.send(answer, socket) }
        return FaultWriter.send(answer, rule.fault, socket)
    }

    private static func route(_ method: String, _ path: [String]) -> Route? {
        switch (method, path.first, path.count) {
        case ("GET", "services", 1): .services
        case ("GET", "services", 2): .service
        case ("GET", "status", 1): .status
        case ("GET", "jobs", 1): .list
        case ("POST", "jobs", 1): .submit
        case ("GET", "jobs", 2): .job
        case ("POST", "jobs", 2): .stop
        default: nil
        }
    }

    private static func answer(
        _ request: ReceivedRequest, _ route: Route, _ path: [String], _ lies: Set<Lie>, _ state: Locked<State>
    ) -> Answer {
        if lies.contains(.redirectsSlash), request.path.count > 1, request.path.hasSuffix("/") != (path == ["jobs"]) {
            return Answer(status: 301, headers: ["Location": "/" + path.joined(separator: "/")])
        }
        if lies.contains(.refusesSlash), request.path.hasSuffix("/"), path != ["jobs"] {
            return .problem(404, .notFound, "nothing is here")
        }
        let answer = state.withLock { state -> Answer in
            if let token = state.token, !lies.contains(.ignoresToken),
                request.headers["authorization"] != "Bearer \(token)"
            {
                return .problem(401, .unauthorized, "the token is wrong")
            }
            if let version = request.headers["oms-sp-version"], version != "1" {
                return .problem(412, .version, "version \(version) is not spoken here")
            }
            let now = WallClock.milliseconds
            state.book.advance(to: now)
            return state.answer(request, route, path, now)
        }
        guard answer.status >= 400 else { return answer }
        if lies.contains(.plainErrors) {
            return Answer(
                status: answer.status, headers: ["Content-Type": "text/html"], body: Array("<h1>Error</h1>".utf8))
        }
        if lies.contains(.wrongProblemStatus) {
            let text = String(decoding: answer.body, as: UTF8.self)
                .replacing("\"status\":\(answer.status)", with: "\"status\":200")
            return Answer(status: answer.status, headers: answer.headers, body: Array(text.utf8))
        }
        return answer
    }
}

extension HostileProvider.State {
    mutating func answer(
        _ request: ReceivedRequest, _ route: Route, _ path: [String], _ now: Int64
    ) -> Answer {
        let lies = book.lies
        let epoch = request.headers["oms-epoch"].flatMap { Int64($0) }
        switch route {
        case .services:
            if lies.contains(.catalogChanges) { catalogVersion += 1 }
            let etag = "\"v\(catalogVersion)\""
            if request.headers["if-none-match"] == etag, !lies.contains(.ignoresETag) {
                return Answer(status: 304, headers: ["ETag": etag])
            }
            return .json(200, JobForm.catalogue(version: catalogVersion), ["ETag": etag])
        case .service:
            guard path[1] == JobForm.service else {
                return .problem(404, lies.contains(.wrongSlugs) ? .notFound : .noSuchService, "no '\(path[1])'")
            }
            return .json(200, JobForm.description(version: catalogVersion))
        case .status: return .json(200, status(now))
        case .list: return book.list(request.query, now: now)
        case .job: return book.read(path[1], now: now)
        case .submit, .stop:
            if request.headers["oms-epoch"] != nil, epoch.map({ $0 < 0 }) ?? true {
                return .problem(400, .badRequest, "OMS-Epoch must be an integer from 0")
            }
            if request.body.count > 256 << 10, !lies.contains(.acceptsHugeBody) {
                return .problem(413, .tooLarge, "at most 256 KiB")
            }
            if request.body.starts(with: Array(repeating: UInt8(ascii: "["), count: 64)),
                lies.contains(.failsOnDeepBody)
            {
                return .problem(500, .internal, "stack overflow")
            }
            guard let body = try? JSONDecoder().decode(JSONValue.self, from: Data(request.body)) else {
                return .problem(lies.contains(.failsOnBadJSON) ? 500 : 400, .badRequest, "the body is not JSON")
            }
            if route == .submit {
                return book.submit(body, epoch: epoch, key: request.headers["idempotency-key"], now: now)
            }
            guard body["action"]?.stringValue == "stop" else {
                return .problem(422, .badRequest, "action must be stop", errors: ["/action": "must be stop"])
            }
            return book.stop(path[1], epoch: epoch, now: now)
        }
    }

    private func status(_ now: Int64) -> JSONValue {
        let lies = book.lies
        let counts = book.counts(tenant: nil, service: nil)
        func count(_ states: JobState...) -> JSONValue { .int(states.reduce(0) { $0 + Int64(counts[$1] ?? 0) }) }
        func ended(_ states: JobState...) -> JSONValue {
            .int(states.reduce(0) { $0 + Int64(book.endedToday[$1] ?? 0) })
        }
        let offset = JobBook.offset(of: lies)
        var status: JSONObject = [
            "status": "pass", "version": "1", "time": .string(Timestamp(milliseconds: now + offset).description),
            "started_at": .string(
                Timestamp(milliseconds: (lies.contains(.alwaysRestarted) ? now : startedAt) + offset).description),
            "uptime_s": .int((MonotonicClock.milliseconds - startedMonotonic) / 1000), "accepting": true,
            "features": ["fencing", "tombstones"],
            "jobs": [
                "queued": count(.queued), "running": count(.running, .stopping),
                "executed_today": lies.contains(.hugeFigures)
                    ? 3_000_000_000 : lies.contains(.wrongFigures) ? 1_000_000 : ended(.succeeded, .failed, .stopped),
                "succeeded_today": ended(.succeeded), "failed_today": ended(.failed), "stopped_today": ended(.stopped),
                "max_running": 1000,
            ],
        ]
        if !lies.contains(.noRetention) { status["retention_s"] = 86_400 }
        if lies.contains(.fractions) {
            status["uptime_s"] = .double(Double(MonotonicClock.milliseconds - startedMonotonic) / 1000)
        }
        return .object(status)
    }
}
