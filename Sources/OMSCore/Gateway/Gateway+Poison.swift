import OMSModel
import OMSProtocol

/// A provider whose answers end this process would end it again after every start, and all other providers with it. What was
/// being read is noted before it is read (`BlackBox`), so the next process knows.
extension Gateway {
    /// Decides about a provider that is attached: called, called after the others, or not at all. A document that was changed
    /// since is an operator's word that the cause is gone.
    /// - Parameter deaths: of all gateways, as far as the registry knows.
    mutating func judge(_ door: inout Door, deaths: Int?, at now: Moment) {
        if let suspect = suspects[door.provider], suspect.version != door.version {
            suspects[door.provider] = nil
            effects.append(.record(.forgiven(door.provider)))
            publish(.gatewayPresence(id), .presence(presence(.online)))
        }
        let deaths = min(max(deaths ?? 0, suspects[door.provider]?.deaths ?? 0), SuspectProvider.maxDeaths)
        guard deaths >= SuspectProvider.limit else {
            if door.isQuarantined {
                door.isQuarantined = false
                door.circuit = .closed
                door.status = .unknown
                door.error = nil
            }
            // Once: the attachment is repeated now and then.
            if deaths > 0, door.checked == nil, door.askFrom == 0 {
                door.askFrom = now.monotonic + timing.suspectMilliseconds
            }
            return
        }
        guard !door.isQuarantined else { return }
        door.isQuarantined = true
        door.circuit = .open
        door.status = .quarantined
        door.error = Problem(.quarantined, SuspectProvider.text(deaths: deaths))
        effects.append(.report(.quarantined(door.provider, deaths: deaths)))
    }
}
