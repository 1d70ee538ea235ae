import HostileProvider

/// Who is in the hostile soak besides the honest provider.
enum HostileKinds {
    struct Kind {
        var name: String
        var lies: Set<Lie> = []
        var rules: [FaultRule] = []
        /// Its jobs run for so long.
        var milliseconds = 200
        var deadlineSeconds = 15
    }

    /// Bad transport and broken promises.
    static let transport: [Kind] = [
        Kind(name: "slow-body", rules: [FaultRule([.list, .job, .submit], .slowBody(milliseconds: 1_000))]),
        Kind(name: "slow-headers", rules: [FaultRule(Set(Route.allCases), .slowHeaders(milliseconds: 1_000))]),
        Kind(name: "tiny-chunks", rules: [FaultRule(Set(Route.allCases), .tinyChunks)]),
        Kind(name: "huge", rules: [FaultRule([.list, .job, .submit], .hugeBody(bytes: 8 << 20))]),
        Kind(name: "deep", rules: [FaultRule([.list, .job], .deepJSON(depth: 50_000))]),
        Kind(name: "endless", rules: [FaultRule([.list, .status], .endlessHeaders)]),
        Kind(name: "garbage", rules: [FaultRule([.status, .submit], .garbage)]),
        Kind(name: "closes", rules: [FaultRule([.submit], .closeAfterExecuting)]),
        Kind(name: "truncates", rules: [FaultRule([.list, .submit], .truncated)]),
        Kind(name: "errors", rules: [FaultRule([.submit], .answer(500, executes: true))]),
        Kind(name: "full", rules: [FaultRule([.submit], .answer(429, headers: ["Retry-After": "1"]))]),
        Kind(name: "forgets", lies: [.forgetsAtOnce]), Kind(name: "falls", lies: [.stateFalls, .terminalChanges]),
        Kind(name: "types", lies: [.wrongTypes]), Kind(name: "ids", lies: [.wrongID]),
        Kind(name: "clock", lies: [.clockAhead, .updatedFarFuture]),
        Kind(name: "catalogs", lies: [.catalogChanges, .ignoresETag]), Kind(name: "restarts", lies: [.alwaysRestarted]),
    ]

    /// Numbers, sizes, texts and times that no contract has.
    static let values: [Kind] = [
        Kind(name: "keeps-for-ever", rules: [retention("9223372036854775807")]),
        Kind(name: "keeps-nothing", rules: [retention("-1")]),
        Kind(name: "hurries", rules: [FaultRule([.submit, .list], .answer(429, headers: ["Retry-After": "0"]))]),
        Kind(name: "odd-rows", lies: [.oddRows]),
        Kind(name: "surrogates", rules: [FaultRule(jobs, adding(#""message":"\ud83d","#))]),
        Kind(
            name: "latin",
            rules: [
                FaultRule(
                    jobs,
                    .replacingBytes(
                        "\"revision\":",
                        with: Array("\"message\":\"".utf8) + [0xE9, 0xFF] + Array("\",\"revision\":".utf8)))
            ]),
        Kind(
            name: "text-errors",
            rules: [
                FaultRule(jobs, .replacing(#""state":"succeeded""#, with: #""error":"disk full","state":"failed""#))
            ]),
        Kind(name: "poison", lies: [.poisonErrors]),
        Kind(name: "keys", rules: [FaultRule(jobs, .replacing(outputs, with: #""outputs":{"# + controlKeys + "}"))]),
        Kind(name: "most-a", rules: [number("1.7e308")]), Kind(name: "most-b", rules: [number("1.7e308")]),
        Kind(name: "exponents", rules: [number("1e400")]),
        Kind(
            name: "tokens",
            rules: [
                FaultRule([.list], .adding("\"next_page_token\":\"" + String(repeating: "t", count: 200_000) + "\","))
            ]),
        Kind(name: "nested", rules: [FaultRule([.list, .job], .nestedArrays(bytes: 1 << 20))]),
        Kind(name: "never-stops", lies: [.neverStops, .ignoresTimeout], milliseconds: 600_000, deadlineSeconds: 5),
        Kind(name: "fractions", lies: [.fractions]), Kind(name: "figures", lies: [.hugeFigures]),
        Kind(name: "zero-times", lies: [.zeroTimes]),
    ]

    /// Odd in what they promise, honest in what they do: their tenants' runs succeed.
    static let harmless: Set<String> = ["keeps-for-ever", "keeps-nothing"]

    private static let jobs: Set<Route> = [.list, .job, .submit, .stop]
    private static let outputs = #""outputs":{"rows":{"value":1}}"#
    private static let controlKeys = (0..<200).map { "\"\\u0001\\u001b[31m\\r\\n\($0)\":{\"value\":1}" }
        .joined(separator: ",")

    private static func retention(_ number: String) -> FaultRule {
        FaultRule([.status], .replacing("\"retention_s\":86400", with: "\"retention_s\":\(number)"))
    }

    private static func number(_ text: String) -> FaultRule {
        FaultRule(jobs, .replacing(outputs, with: "\"outputs\":{\"rows\":{\"value\":\(text)}}"))
    }

    /// A member more in each job.
    private static func adding(_ member: String) -> Fault {
        .replacing("\"revision\":", with: "\(member)\"revision\":")
    }
}
