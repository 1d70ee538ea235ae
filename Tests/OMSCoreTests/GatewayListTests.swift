import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("A provider whose list is of no use")
struct GatewayListTests {
    let id = jobID(1)

    @Test(
        "with a list that cannot be used, each job is looked at by itself before its deadline, and not without a floor",
        arguments: [
            ProviderAnswer.failed(.maybeSent, .tooLarge, "over 16 MiB"), .failed(.maybeSent, .timeout, "no answer"),
            Life.ok(.malformed("1,400 rows; at most 1,000")),
        ])
    func unusableList(answer: ProviderAnswer) {
        var life = Life()
        for number in 1...8 { life.bench.command(.submit, jobID(number), deadline: 25_000) }
        life.pass(20_000) { bench, call in
            switch call.kind {
            case .sweep, .batch: answer
            case .job(let id): Life.ok(.job(bench.job(id, bench.now > 5_000 ? .succeeded : .running)))
            default: Life.regular(call, bench)
            }
        }
        let ended = Set(life.bench.events.filter { $0.state == .succeeded }.map(\.job))
        #expect(ended.count == 8, "the list hid \(8 - ended.count) ends")
        #expect(life.asked["GET /jobs/{id}"] ?? 0 <= 8 * 10)
    }

    @Test("a list that is refused for now is no list that cannot be read", arguments: [408, 425, 429, 503])
    func patience(status: Int) {
        var life = Life()
        for number in 1...8 { life.bench.command(.submit, jobID(number), deadline: 60_000) }
        life.pass(20_000) { bench, call in
            switch call.kind {
            case .sweep, .batch: Life.ok(.problem(Problem(type: "about:blank")), status)
            default: Life.regular(call, bench)
            }
        }
        #expect(life.asked["GET /jobs/{id}"] ?? 0 == 0, "who asks for patience is not asked more than before")
    }

    @Test("pages that cannot be read become smaller until one can, and grow again")
    func smallerPages() {
        var life = Life()
        var sizes: [Int] = []
        life.bench.command(.submit, id, deadline: 600_000)
        life.pass(60_000) { bench, call in
            guard case .sweep(_, _, let size) = call.kind else { return Life.regular(call, bench) }
            sizes.append(size)
            return size > 7 ? Life.ok(.malformed("more than 40,000 values")) : Life.regular(call, bench)
        }
        #expect(sizes.first == 500 && sizes.min() == 7 && sizes.contains(14), "\(sizes.prefix(20))")
        #expect(sizes.count { $0 <= 7 } >= sizes.count / 3)
    }
}
