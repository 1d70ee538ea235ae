import Foundation

/// Runs libFuzzer (docs/internals/fuzzing.md). Which target: `OMS_FUZZ_TARGET`; everything else: libFuzzer's own options.
@main
enum FuzzMain {
    static func main() {
        guard FuzzTarget.chosen != nil else {
            let known = FuzzTarget.allCases.map(\.rawValue).joined(separator: ", ")
            FileHandle.standardError.write(Data("OMS_FUZZ_TARGET must be one of \(known)\n".utf8))
            exit(2)
        }
        var count = CommandLine.argc
        var arguments = CommandLine.unsafeArgv
        exit(
            runDriver(&count, &arguments) { start, count in
                FuzzTarget.chosen?.check(Array(UnsafeBufferPointer(start: start, count: count)))
                return 0
            })
    }
}

typealias FuzzBody = @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt

/// Of libFuzzer's library without a main function.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>, _ body: FuzzBody
) -> CInt

enum FuzzTarget: String, CaseIterable {
    /// What a Service Provider answers, into the gateway, and on to the others.
    case answers
    /// What stands on the bus, into each core.
    case envelopes
    /// What a new gateway process finds.
    case ledger
    /// Page tokens, ETags, Retry-After.
    case headers
    /// Documents of operators.
    case yaml

    static let chosen = ProcessInfo.processInfo.environment["OMS_FUZZ_TARGET"].flatMap { FuzzTarget(rawValue: $0) }

    func check(_ bytes: [UInt8]) {
        var costs = run(bytes)
        guard costs.contains(where: { $0 > Self.limit }) else { return }
        // Others use the machine as well: what it takes at best is what it costs.
        for _ in 0..<3 {
            let again = run(bytes)
            costs = zip(costs, again).map { min($0, $1) }
        }
        guard let worst = costs.max(), worst > Self.limit else { return }
        Self.end("one message takes \(worst / 1_000_000) ms; at most \(Self.limit / 1_000_000)")
    }

    /// - Returns: nanoseconds of the processor's time for each message.
    private func run(_ bytes: [UInt8]) -> [Int64] {
        var costs = Costs()
        do {
            switch self {
            case .answers, .envelopes, .ledger, .headers: try FuzzScript.play(bytes, &costs)
            case .yaml: try FuzzDocuments.read(bytes, &costs)
            }
        } catch {
            Self.end("\(error)")
        }
        return costs.nanoseconds
    }

    /// libFuzzer keeps the input of whatever traps; an optimised build does not say why it trapped, so that is said before.
    static func end(_ why: String) -> Never {
        FileHandle.standardError.write(Data("Fatal error: \(why.prefix(4_000))\n".utf8))
        fatalError(why)
    }

    /// 50 ms is what a message may cost. The checked build is some three times slower (`OMS_FUZZ_BUDGET_MS`).
    private static let limit: Int64 =
        (ProcessInfo.processInfo.environment["OMS_FUZZ_BUDGET_MS"].flatMap { Int64($0) } ?? 150) * 1_000_000
}

/// What each message took, in processor time of this thread.
struct Costs {
    var nanoseconds: [Int64] = []

    mutating func measure<Result>(_ body: () throws -> Result) rethrows -> Result {
        let began = Self.spent
        defer { nanoseconds.append(Self.spent - began) }
        return try body()
    }

    private static var spent: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
