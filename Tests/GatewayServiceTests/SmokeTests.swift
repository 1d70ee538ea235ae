import HostileProvider
import OMSModel
import Testing

@Suite struct SmokeTests {
    @Test func anHonestProviderRunsAJobOnce() async throws {
        let provider = try HostileProvider()
        let gateway = GatewayHarness()
        await gateway.attach("sp", provider.url)
        let job = newJob()
        await gateway.submit(job)
        #expect(try await gateway.end(of: job).state == .succeeded)
        #expect(provider.log.executions(of: job) == 1 && provider.log.submits(of: job) == 1)
        await gateway.stop()
    }
}
