import OMSProtocol

/// How long the gateway waits for what. Tests against real servers shorten these; the standard is for work.
package struct GatewayTiming: Hashable, Sendable {
    /// Until a call is given up.
    package var callMilliseconds = Int(SafetyTimes.callMilliseconds)
    package var statusCallMilliseconds = 5_000
    /// Between two health probes.
    package var probeMilliseconds: Int64 = 5_000
    /// Between two looks at the catalogue.
    package var servicesMilliseconds: Int64 = 30_000
    /// An open job that neither the sweep nor an answer mentioned for so long is read by itself.
    package var quietMilliseconds: Int64 = 30_000
    /// Between the two looks that must both fail before a job counts as absent.
    package var absenceMilliseconds: Int64 = 2_000
    /// An open job of which the provider has said nothing readable for so long is lost: no job stays open for ever.
    package var lostAfterMilliseconds: Int64 = 86_400_000
    /// Without the broker for so long, a gateway gives its providers up.
    package var holdMilliseconds = SafetyTimes.gatewayGivesUpMilliseconds
    /// Back-off: doubling from the base up to the cap.
    package var backoffBaseMilliseconds: Int64 = 500
    package var backoffCapMilliseconds: Int64 = 30_000

    /// Until a provider that this gateway died of is asked again: others first.
    package var suspectMilliseconds: Int64 = 5_000

    /// Connections that one provider may have at once.
    package static let maxCallsPerProvider = 16
    /// `Retry-After` counts up to here; what a provider cannot promise within is asked for again all the same.
    package static let maxRetryAfterSeconds = 300

    package init() {}

    func callLimit(_ kind: ProviderCall.Kind) -> Int {
        switch kind {
        case .status: statusCallMilliseconds
        case .services, .sweep, .job, .batch, .submit, .stop: callMilliseconds
        }
    }
}
