import OMSCore
import OMSProtocol
import Testing

/// Each relation is one of the sentences of `SafetyTimes`; a time that is changed without the others breaks one.
@Suite("Safety times")
struct SafetyTimesTests {
    /// A client notices a dead link within two keep-alives.
    private let noticed = 2 * SafetyTimes.keepAliveMilliseconds

    @Test("what a cut-off gateway had begun is over before the registry gives its providers to another one")
    func gatewayIsGone() {
        #expect(noticed + SafetyTimes.decisionMilliseconds < SafetyTimes.gatewayIsGoneMilliseconds)
        #expect(noticed + SafetyTimes.callMilliseconds < SafetyTimes.gatewayIsGoneMilliseconds)
        #expect(noticed + SafetyTimes.gatewayGivesUpMilliseconds < SafetyTimes.gatewayIsGoneMilliseconds)
    }

    @Test(
        "a gateway that was stopped knows it before it carries out what it had decided, and loses no session for less")
    func stops() {
        // A stop that is too short to be noticed is too short for another gateway to have its providers.
        #expect(SafetyTimes.gatewayGivesUpMilliseconds < SafetyTimes.gatewayIsGoneMilliseconds)
        // The broker has ended its session by then, so that a new connection tells it what is.
        #expect(SafetyTimes.keepAliveMilliseconds * 3 / 2 < SafetyTimes.gatewayGivesUpMilliseconds)
        #expect(SafetyTimes.decisionMilliseconds < SafetyTimes.gatewayGivesUpMilliseconds)
        #expect(SafetyTimes.stopIsOverMilliseconds >= SafetyTimes.keepAliveMilliseconds * 3 / 2)
    }

    @Test(
        "a registry gives no orders for some time before PostgreSQL ends its silent session",
        arguments: [5, 10, 60, 3_600])
    func trust(session seconds: Int64) {
        let margin = SafetyTimes.trustMargin(session: seconds * 1_000)
        #expect(margin >= 1_000 && margin < seconds * 500)
    }

    @Test("the times of a gateway at work are these, and nobody else's")
    func used() {
        let timing = GatewayTiming()
        #expect(timing.holdMilliseconds == SafetyTimes.gatewayGivesUpMilliseconds)
        #expect(timing.callMilliseconds == Int(SafetyTimes.callMilliseconds))
        #expect(timing.statusCallMilliseconds <= timing.callMilliseconds)
        #expect(BusSession.keepAliveSeconds * 1_000 == Int(SafetyTimes.keepAliveMilliseconds))
    }
}
