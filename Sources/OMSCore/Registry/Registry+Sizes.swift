import OMSModel
import OMSProtocol

/// What the registry does about a message that is larger than the broker takes: whoever waits for it is told, in figures.
extension Registry {
    mutating func notSent(_ refusal: NotSent, at now: Moment) {
        if let limit = refusal.limit { messageLimit = min(messageLimit, max(Self.leastMessage, limit)) }
        switch (refusal.message.topic, refusal.message.payload) {
        case (.wmControl(let tenant), .wmControl(let control)): notSent(control, to: tenant, refusal, at: now)
        case (.response, .response(let response)): notSent(response, refusal)
        case (.gatewayControl, .gatewayControl(let control)): notSent(control, refusal, at: now)
        case (.event, .event(var event)):
            // For people: the beginning is worth more than nothing.
            let text = MessageSize.cut(event.text, to: 1_024)
            guard text != event.text else { return }
            event.text = text
            publish(.event, .event(event))
        default: break  // of a fixed size; the log has it
        }
    }

    /// Below this no broker is of use, and nothing is made smaller.
    static var leastMessage: Int { 4_096 }
    /// Of the data of a message.
    var dataLimit: Int { messageLimit - MessageSize.envelopeBytes }
    /// So many entries of a list, whose usual number fits into the largest message.
    func entries(_ usual: Int) -> Int { max(1, usual * messageLimit / EnvelopeCodec.maxBytes) }

    private mutating func notSent(
        _ control: WMControl, to tenant: TenantID, _ refusal: NotSent, at now: Moment
    ) {
        guard let track = tenants[tenant], control.epoch == track.epoch else { return }
        if let resume = control.resume, !resume.open.isEmpty {
            var less = resume.fitting(control.config, bytes: dataLimit)
            if less.open.count < resume.open.count {
                less.more = (resume.more ?? 0) + resume.open.count - less.open.count
                var smaller = control
                smaller.id = commandID()
                smaller.resume = less
                return publish(.wmControl(tenant), .wmControl(smaller))
            }
        }
        let services = control.config?.services.count ?? 0
        explain(
            tenant, ReasonCode.messageTooLarge.rawValue,
            "its Work Manager cannot be told its configuration (\(control.command.rawValue), \(services) services): "
                + refusal.text, at: now)
        // Unchanged it is refused again: now and then is enough, and at once after a change.
        if track.phase == .starting { timers.set(.tenant(tenant), now.monotonic + Self.unsendableMilliseconds) }
    }

    static var unsendableMilliseconds: Int64 { 30_000 }

    /// An answer that says so is better than none.
    private mutating func notSent(_ response: ClientResponse, _ refusal: NotSent) {
        guard response.error?.slug != ProblemSlug.tooLarge.rawValue,
            case .response(let client) = refusal.message.topic
        else { return }
        let size: String
        switch refusal.reason {
        case .tooLarge(let bytes, let limit): size = "the answer is \(bytes) bytes, a message has at most \(limit)"
        case .notEncodable(let why): size = "the answer cannot be written: \(why)"
        }
        publish(
            .response(client),
            .response(
                ClientResponse(
                    id: response.id, status: 413,
                    error: Problem(
                        .tooLarge,
                        "\(size); ask for less, with --limit, --tenant or one service, or read the view in PostgreSQL "
                            + "(docs/operate/reporting.md)", status: 413))))
    }

    private mutating func notSent(_ control: GatewayControl, _ refusal: NotSent, at now: Moment) {
        switch control.command {
        // Their timers repeat them, in smaller parts from now on.
        case .seal, .sweep, .giveUp: break
        case .attach, .detach:
            guard let provider = control.provider else { return }
            refuse(provider, refusal.text, at: now)
        }
    }

    /// No gateway serves this provider, and why.
    mutating func refuse(_ provider: ProviderID, _ why: String, at now: Moment) {
        timers.set(.provider(provider), now.monotonic + Self.unsendableMilliseconds)
        guard let track = providers[provider], track.refusal != why else { return }
        providers[provider]?.refusal = why
        announce("provider.refused", nil, "provider \(provider) is not served: \(why)")
        settleHealth(provider, at: now)
    }
}
