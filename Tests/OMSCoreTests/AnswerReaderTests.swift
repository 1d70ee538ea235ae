import FoundationEssentials
import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

/// What the gateway makes of a provider's bytes.
@Suite("answers of a provider")
struct AnswerReaderTests {
    private let request = JobRequest(id: jobID(1), service: "harvest", tenant: "men", config: ServiceConfig())

    private func read(_ status: Int, _ value: some Encodable, _ kind: ProviderCall.Kind? = nil) throws
        -> ProviderAnswer
    {
        AnswerReader().read(
            kind ?? .submit(request), status: status, headers: [], body: Array(try JSONEncoder().encode(value)))
    }

    @Test(
        "a provider that fences refuses the job; it cannot say the word on which a Work Manager ends itself",
        arguments: [409, 400, 422])
    func staleEpoch(status: Int) throws {
        let answer = try read(status, Problem(.staleEpoch, "newer", status: status))
        guard case .rejected(let problem) = SubmitOutcome(answer, request: request) else {
            Issue.record("\(SubmitOutcome(answer, request: request))")
            return
        }
        #expect(problem.slug == "sp-fenced")
        #expect(problem.detail == "newer")
    }

    @Test("nor in the error of a job, alone or in a list")
    func staleEpochInJob() throws {
        let time = Timestamp(milliseconds: 0)
        let job = ProviderJob(
            id: request.id, service: "harvest", tenant: "men", state: .failed, revision: 2, created: time,
            updated: time,
            finished: time, error: Problem(.staleEpoch, "x"))
        guard case .answered(_, _, _, .job(let alone)) = try read(200, job, .job(request.id)),
            case .answered(_, _, _, .jobs(let list)) = try read(
                200, JobList(statistics: JobStatistics(asOf: time, counts: [:]), jobs: [job]),
                .sweep(since: time, pageToken: nil, pageSize: 500))
        else {
            Issue.record("not read")
            return
        }
        #expect(alone.error?.slug == "sp-fenced")
        #expect(list.jobs[0].error?.slug == "sp-fenced")
    }

    @Test("other conflicts are read, a tombstone is a stop")
    func conflicts() throws {
        #expect(SubmitOutcome(try read(409, Problem(.idConflict, "x")), request: request) == .conflict)
        #expect(SubmitOutcome(try read(409, ["no": "problem"]), request: request) == .conflict)
        let buried = SubmitOutcome(try read(409, Problem(.stopped, "x")), request: request)
        #expect(buried == .stopped(Problem(.stopped, "x", status: 409)))
        let purged = SubmitOutcome(try read(410, Problem(.purged, "x")), request: request)
        #expect(purged == .rejected(Problem(.purged, "x", status: 410)))
    }
}
