import OMSModel
import OMSProtocol

/// What a gateway does about a message that is larger than the broker takes, and about orders that it cannot hear.
extension Gateway {
    /// Of one part of a list.
    var partBytes: Int { min(MessageParts.bytes, messageLimit / 2) }

    mutating func notSent(_ refusal: NotSent, at now: Moment) {
        if let limit = refusal.limit { messageLimit = min(messageLimit, max(Self.leastMessage, limit)) }
        switch (refusal.message.topic, refusal.message.payload) {
        case (.jobEvent(let tenant, let provider), .jobEvent(let event)):
            tellLess(event, refusal, of: tenant, provider, at: now)
        case (.providerCatalog(let provider), .catalog):
            warn(provider, refusal, at: now)
        case (.providerHealth(let provider), .health(let health)):
            // Without what the provider says of itself it is some hundred bytes.
            guard health.report != nil || health.error?.errors != nil else { return }
            var less = health
            less.report = nil
            less.error?.errors = nil
            if let detail = health.error?.detail { less.error?.detail = MessageSize.cut(detail, to: 512) }
            publish(.providerHealth(provider), .health(less))
        default: break  // a list that comes again comes in smaller parts
        }
    }

    /// Below this no broker is of use, and nothing is made smaller.
    private static var leastMessage: Int { 4_096 }

    /// The end of a job must be told, whatever of it can be.
    private mutating func tellLess(
        _ event: JobEvent, _ refusal: NotSent, of tenant: TenantID, _ provider: ProviderID, at now: Moment
    ) {
        let room = messageLimit - MessageSize.envelopeBytes
        var less = event
        if MessageCut.fit(&less, into: room) > room, less.outputs != nil {
            // Nobody must take no outputs for some.
            less.outputs = nil
            less.state = .failed
            less.error = Problem(
                .tooLarge,
                "it succeeded at the provider, but its outputs cannot be told: \(refusal.text); larger ones go by reference "
                    + "(href)", retryable: false)
            jobs[event.job]?.outputs = nil
            jobs[event.job]?.state = .failed
            jobs[event.job]?.error = less.error
            MessageCut.fit(&less, into: room)
        }
        guard less != event else { return }
        publish(.jobEvent(tenant, provider), .jobEvent(less))
    }

    private mutating func warn(_ provider: ProviderID, _ refusal: NotSent, at now: Moment) {
        let problem = Problem(.tooLarge, "its catalogue cannot be told: \(refusal.text)")
        if doors[provider]?.take(.warning(problem), at: now) == true { announceHealth(provider, at: now) }
    }

    // MARK: - Deaf

    /// The broker does not let this gateway hear the orders for a provider: it does not serve it, and says so.
    mutating func deafened(_ provider: ProviderID, _ why: String) {
        deaf[provider] = why
        guard let door = doors.removeValue(forKey: provider) else { return }
        effects.append(.report(.detached(provider)))
        publish(
            .gatewayAck(id),
            .gatewayAck(
                GatewayAck(
                    id: "deaf", command: .attach, provider: provider, version: door.version, boot: boot,
                    error: Problem(.unavailable, why))))
    }
}
