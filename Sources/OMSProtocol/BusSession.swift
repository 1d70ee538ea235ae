/// What every client of OMS asks of its session at the broker. docs/reference/asyncapi.yaml tells it to others.
package enum BusSession {
    package static let keepAliveSeconds = Int(SafetyTimes.keepAliveMilliseconds / 1000)
    /// The wire is volatile: what is sent while a client is away is not kept for it.
    package static let sessionExpirySeconds = 0
}
