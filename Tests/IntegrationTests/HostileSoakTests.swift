import Foundation
import HostileProvider
import Mosquitto
import OMSDev
import OMSModel
import OMSProtocol
import OMSRuntime
import Postgres
import Testing

/// The whole system with one honest and many hostile providers, and somebody who may only read and does that without
/// pause: minute after minute, nothing grows, nobody dies, nobody is hurt.
@Suite("Hostile soak", .serialized, .timeLimit(.minutes(25)))
struct HostileSoakTests {
    /// `OMS_TESTS=all OMS_SOAK_SECONDS=900 swift test --filter HostileSoakTests` for the long one.
    static let seconds = ProcessInfo.processInfo.environment["OMS_SOAK_SECONDS"].flatMap { Int($0) } ?? 25
    /// `OMS_SOAK_ONLY=poison,keys` to find out who does it.
    private static let kinds: [HostileKinds.Kind] = {
        let all = HostileKinds.transport + HostileKinds.values
        guard let only = ProcessInfo.processInfo.environment["OMS_SOAK_ONLY"]?.split(separator: ",").map(String.init)
        else { return all }
        return all.filter { only.contains($0.name) }
    }()
    private static let processes = ["oms-registry", "wm-fleet", "sp-gateway", "mosquitto"]

    @Test(
        "no process dies or grows, no job is executed twice or unrecorded, the honest tenant and the operator notice nothing"
    )
    func soak() async throws {
        var options = DevOptions()
        options.extent = .services
        options.binaryFolder = try Place.binaries
        let honest = try HostileProvider()
        let hostile = try Self.kinds.map { (kind: $0, provider: try HostileProvider(lies: $0.lies, $0.rules)) }
        defer {
            honest.stop()
            for entry in hostile { entry.provider.stop() }
        }
        try await DevEnvironment.with(options) { environment in
            let database = try await Database.open(environment.postgresConfiguration())
            let good = "FROM report.run WHERE tenant = 'good' AND state <> 'running'"
            // The time before: what the honest provider's runs take when it is alone.
            try await environment.apply(Self.documents(honest: honest.url, []))
            try await database.wait(until: "SELECT count(*) >= 10 \(good) AND state = 'succeeded'")
            let alone = try await database.percentiles(good)
            let began = try await database.number("SELECT extract(epoch FROM clock_timestamp())::bigint")
            try await environment.apply(Self.documents(honest: honest.url, hostile.map { ($0.kind, $0.provider.url) }))
            try await database.wait(
                until: "SELECT count(*) >= 5 \(good) AND state = 'succeeded' AND due > to_timestamp(\(began))")

            var pids: [String: Int32] = [:]
            for name in Self.processes { pids[name] = await environment.pid(of: name) }
            #expect(pids.count == Self.processes.count)
            var memory: [String: [Int]] = [:]
            var answers: [Int64] = []
            let reader = try await Reader.with(environment) {
                let client = try await BusConnection.open(environment.bus(.admin), kinds: [], responses: true)
                let end = MonotonicClock.milliseconds + Int64(Self.seconds) * 1000
                while MonotonicClock.milliseconds < end {
                    for _ in 0..<3 { answers.append(try await Self.ask(client)) }
                    try await database.connection.query("SELECT pg_sleep(1)")
                    for (name, pid) in pids { memory[name, default: []].append(residentKiB(pid)) }
                }
                await client.close()
            }
            for (name, pid) in pids.sorted(by: { $0.key < $1.key }) {
                #expect(await environment.pid(of: name) == pid, "\(name) died")
            }

            // The honest provider's tenant sees nothing of it.
            #expect(try await database.number("SELECT count(*) \(good) AND state <> 'succeeded'") == 0)
            let among = try await database.percentiles(good + " AND due > to_timestamp(\(began))")
            #expect(among.most < 3_000, "99 % of the honest provider's runs: \(among.most) ms")
            for (kind, _) in hostile where HostileKinds.harmless.contains(kind.name) {
                let runs = "FROM report.run WHERE tenant = 't-\(kind.name)' AND state"
                #expect(try await database.number("SELECT count(*) \(runs) = 'succeeded'") >= Self.seconds / 4)
                #expect(
                    try await database.number("SELECT count(*) \(runs) NOT IN ('running', 'succeeded')") == 0,
                    "\(kind.name) does nothing wrong but say an odd number")
            }
            // Whoever asks without pause is answered as well, if only that it is too much.
            if let reader {
                #expect(reader.questions > 0 && reader.rubbish > 0, "the reader came to nothing: \(reader)")
            }
            // Its journal is not held up by anybody's: what was executed is recorded within seconds.
            let executed = honest.log.executions.count
            try await database.wait(
                until: "SELECT count(*) >= \(executed) FROM report.job WHERE tenant = 'good' AND state = 'succeeded'",
                seconds: 10)
            for entry in hostile.map({ ($0.kind.name, $0.provider) }) + [("honest", honest)] {
                #expect(entry.1.log.doubled == [], "\(entry.0) executed twice")
            }
            // Nobody's journal stands still, and nothing that PostgreSQL refused goes round and round.
            #expect(
                try await database.number(
                    "SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM report.quarantine GROUP BY tenant) q")
                    <= 2 * Self.seconds, "a quarantine that grows faster than jobs are made")
            // Each fault that a provider keeps showing has a name.
            let nameless = try await database.connection.query(
                """
                SELECT string_agg(provider, ',') FROM report.provider_status
                WHERE provider IN ('slow-headers', 'deep', 'endless', 'garbage', 'types') AND error IS NULL
                """)
            #expect(nameless.rows.first?[0] == nil, "no error shown for \(nameless.rows.first?[0] ?? "")")
            // One that never stops keeps its one run, and says who is in the way.
            #expect(
                try await database.number("SELECT count(*) FROM report.job WHERE tenant = 't-never-stops'") <= 2,
                "overlap: skip, and one job that goes on")

            let sorted = answers.sorted()
            let median = sorted[sorted.count / 2]
            #expect(median < 200, "an operator's question takes \(median) ms")
            let jobs = try await database.number("SELECT count(*) FROM report.job")
            print(
                "hostile soak of \(Self.seconds) s with \(hostile.count) hostile providers: \(jobs) jobs; honest provider's runs: "
                    + "median \(among.median) ms, 99 % within \(among.most) ms (alone \(alone.median) and \(alone.most)); "
                    + "operator's questions: median \(median) ms, 99 % \(sorted[sorted.count * 99 / 100]) ms, "
                    + "longest \(sorted.last ?? 0) ms, \(sorted.count) asked; "
                    + "the reader: "
                    + (reader.map { "\($0.questions) questions answered, \($0.rubbish) unreadable" } ?? "none"))
            for (name, sizes) in memory.sorted(by: { $0.key < $1.key }) {
                judge(name, sizes, kept: name == "sp-gateway" ? jobs / 3 * Self.keptKiB : 0)
            }
            await database.close()
        }
    }

    /// A gateway keeps an ended job in detail for an hour, or until all of them have `Gateway.maxEndedBytes`.
    private static let keptKiB = 4

    /// Thirds: what grows for ever grows from the second to the last.
    /// - Parameter kept: KiB by which it may grow from one third to the next, since it keeps what has ended for longer.
    private func judge(_ name: String, _ sizes: [Int], kept: Int) {
        let third = max(1, sizes.count / 3)
        func mean(_ part: ArraySlice<Int>) -> Int { part.reduce(0, +) / max(1, part.count) }
        let (early, late) = (
            mean(sizes[min(third, sizes.count - 1)..<min(2 * third, sizes.count)]), mean(sizes.suffix(third))
        )
        print(
            "  \(name): resident \(sizes.first ?? 0) KiB at first, \(early) KiB in the middle third, \(late) KiB in the last, "
                + "\(sizes.max() ?? 0) at most")
        if Self.seconds >= 300 { #expect(late < early + early / 10 + 4_096 + kept, "\(name) grows") }
    }

    /// Milliseconds until the answer to a question of an operator.
    private static func ask(_ client: BusConnection) async throws -> Int64 {
        let began = MonotonicClock.milliseconds
        let id = BusConnection.uniqueID("q").text
        let request = ClientRequest(id: id, client: client.clientID, method: "tenants", params: ["limit": 10])
        try await client.send(Message(.query, .request(request)), id: id)
        // A registry that does not answer is judged by that, and by what it answers to next.
        let answer = try await Deadline.within(.seconds(5)) {
            for await case .message(let message, _) in client.events {
                if case .response(let response) = message.payload, response.id == id { return response.status }
            }
            return nil
        }
        #expect(answer == 200, "the operator's question: \(answer.map { "\($0)" } ?? "no answer within 5 s")")
        return MonotonicClock.milliseconds - began
    }

    /// 0 where it has died, which is judged at the end.
    private func residentKiB(_ pid: Int32) -> Int {
        let text = (try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)) ?? ""
        return text.firstMatch(of: /VmRSS:\s+(\d+) kB/).flatMap { Int($0.output.1) } ?? 0
    }

    private static func documents(honest: String, _ hostile: [(kind: HostileKinds.Kind, url: String)]) -> String {
        func provider(_ name: String, _ url: String) -> String {
            "kind: Provider\nname: \(name)\nspec: {base_url: \"\(url)\", poll_s: 1, max_running: 20}\n---\n"
        }
        func service(_ name: String, _ providers: String, _ kind: HostileKinds.Kind, every: Int, merge: String = "")
            -> String
        {
            """
                \(name):
                  type: count
                  frequency: {every_s: \(every)}
                  timeout_s: 5
                  max_attempts: 1
                  deadline_s: \(kind.deadlineSeconds)
                  parameters: {duration_ms: \(kind.milliseconds)}
                  providers: {\(merge.isEmpty ? "use: one" : "use: all"), only: [\(providers)]}
            \(merge)
            """
        }
        func tenant(_ name: String, _ scenario: String) -> String {
            "kind: Tenant\nname: \(name)\nspec: {scenarios: [\(scenario)]}\n---\n"
        }
        var text = provider("honest", honest) + hostile.map { provider($0.kind.name, $0.url) }.joined()
        text += "kind: Scenario\nname: good\nspec:\n  services:\n"
        text +=
            service("count", "honest", HostileKinds.Kind(name: "honest"), every: 1) + "---\n" + tenant("good", "good")
        // A scenario each: one that cannot be satisfied must not keep the others from running.
        let slower = Set(HostileKinds.values.map(\.name))
        for (kind, _) in hostile where kind.name != "most-b" {
            text += "kind: Scenario\nname: \(kind.name)\nspec:\n  services:\n"
            if kind.name == "most-a" {
                text += service(
                    "count", "most-a, most-b", kind, every: 2,
                    merge: "      merge: {strategy: mean, output: rows}\n")
            } else {
                text += service("count", kind.name, kind, every: slower.contains(kind.name) ? 2 : 1)
            }
            text += "---\n" + tenant("t-\(kind.name)", kind.name)
        }
        return text
    }
}

extension Database {
    /// Milliseconds of runs: half of them, and 99 %, are done within these.
    fileprivate func percentiles(_ runs: String) async throws -> (median: Int, most: Int) {
        func within(_ share: String) -> String {
            "SELECT coalesce(1000 * percentile_cont(\(share)) WITHIN GROUP (ORDER BY run_s), 0)::int \(runs)"
        }
        return (try await number(within("0.5")), try await number(within("0.99")))
    }
}

/// A user who may only read, at full tilt: questions without pause, session after session, and messages that nobody
/// can read.
private struct Reader {
    struct Tally: Sendable {
        /// That were answered, and messages that were taken by the broker.
        var questions = 0
        var rubbish = 0
    }

    /// - Returns: what the reader got done; nil if there was none.
    static func with(_ environment: DevEnvironment, _ body: () async throws -> Void) async throws -> Tally? {
        let endpoint = environment.bus(.monitor)
        let only = ProcessInfo.processInfo.environment["OMS_SOAK_ONLY"]?.split(separator: ",").map(String.init)
        guard only?.contains("reader") ?? true else {
            try await body()
            return nil
        }
        let tally = Locked(Tally())
        let tasks =
            (0..<2).map { _ in
                Task {
                    await repeated {
                        let answered = try await questions(endpoint)
                        tally.withLock { $0.questions += answered }
                    }
                }
            } + [
                Task {
                    await repeated {
                        let sent = try await rubbish(endpoint)
                        tally.withLock { $0.rubbish += sent }
                    }
                }
            ]
        defer { for task in tasks { task.cancel() } }
        try await body()
        return tally.withLock { $0 }
    }

    /// A failure is the aim: the next attempt follows, a moment later.
    private static func repeated(_ body: () async throws -> Void) async {
        while !Task.isCancelled {
            do { try await body() } catch { try? await Task.sleep(for: .milliseconds(100)) }
        }
    }

    /// One session: fifty questions at once, all answers read.
    private static func questions(_ endpoint: BusEndpoint) async throws -> Int {
        let answered = Locked(0)
        let client = try await BusConnection.open(endpoint, kinds: [], responses: true)
        do {
            for number in 0..<50 {
                let request = ClientRequest(
                    id: "r\(number)", client: client.clientID, method: "jobs", params: ["limit": 200])
                try await client.send(Message(.query, .request(request)), id: "r\(number)")
            }
            _ = try await Deadline.within(.seconds(3)) {
                for await case .message in client.events {
                    let count = answered.withLock { count in
                        count += 1
                        return count
                    }
                    if count >= 50 { break }
                }
                return true
            }
        } catch {
            await client.close()
            throw error
        }
        await client.close()
        return answered.withLock { $0 }
    }

    /// Messages to the one topic that a reader may write to: no JSON, JSON of many arrays, an envelope of nonsense.
    private static func rubbish(_ endpoint: BusEndpoint) async throws -> Int {
        let loop = EventLoop(name: "rubbish")
        let client = MQTTClient(
            loop: loop,
            configuration: MQTTConfiguration(
                host: endpoint.host, port: endpoint.port, clientID: BusConnection.uniqueID("rubbish").text,
                username: endpoint.user, password: endpoint.password)
        ) { _ in }
        await client.start()
        defer { HelperThread.run(name: "rubbish-end") { loop.shutdown() } }
        try await client.waitUntilConnected(deadline: .seconds(3))
        var sent = 0
        let nested = String(repeating: "[", count: 4_000) + String(repeating: "]", count: 4_000)
        for text in ["", "{", "\u{1B}]0;hello\u{07}\r\nlevel=error", nested, #"{"specversion":"1.0","data":1e999}"#] {
            for _ in 0..<10 {
                try await client.publish(MQTTMessage(topic: "oms/query", payload: Array(text.utf8)))
                sent += 1
            }
        }
        await client.disconnect()
        return sent
    }
}

private enum Deadline {
    /// nil when it was not done in time.
    static func within<Value: Sendable>(
        _ limit: Duration, _ body: @escaping @Sendable () async -> Value?
    ) async throws -> Value? {
        await withTaskGroup(of: Value?.self) { group in
            group.addTask { await body() }
            group.addTask {
                try? await Task.sleep(for: limit)
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }
}
