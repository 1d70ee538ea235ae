import OMSCore
import OMSModel
import OMSProtocol

/// A safety rule that is left out on purpose, at the edge of a core or in a simulated part, to show that the
/// simulation would notice.
package enum Mutant: String, CaseIterable, Sendable {
    /// The gateway's disk forgets the fences.
    case volatileFence = "volatile-fence"
    /// The gateway's disk forgets the intents.
    case volatileIntent = "volatile-intent"
    /// Effects do not wait for the disk.
    case effectsBeforeLedger = "effects-before-ledger"
    /// What the disk refused is published all the same.
    case promisesUnwritten = "promises-unwritten"
    /// A process that was stopped sends what it had decided before.
    case staleDecisions = "stale-decisions"
    /// A provider executes what it gets, as often as it gets it.
    case providerRunsTwice = "provider-not-idempotent"
    /// A provider forgets a stop that overtook its submit.
    case providerForgetsStops = "no-tombstones"
    /// A submit without an answer counts as not sent.
    case timeoutIsFailure = "timeout-is-not-sent"
    /// The journal is acknowledged before it is committed.
    case acknowledgeBeforeCommit = "ack-before-commit"
    /// The acknowledgement is committed without all of its effects.
    case journalNotAtomic = "journal-not-atomic"
    /// The end of an epoch is written without its receipt.
    case endWithoutReceipt = "end-without-receipt"
    /// An epoch is opened with the next number, whatever number was sealed.
    case expectedIgnored = "epoch-not-the-sealed-one"
    /// A terminal row may change.
    case terminalRowChanges = "terminal-row-changes"
    /// An epoch's number is given out twice.
    case epochNumberTwice = "epoch-number-twice"
    /// A control command for another incarnation of the fleet is carried out.
    case controlOfOtherBoot = "control-for-another-process"
    /// A fleet's last will counts as a proof of its end.
    case willIsProof = "will-is-proof-of-death"
    /// Nothing is sent twice: no journal, no command.
    case noRepetition = "no-repetition"
    /// A gateway's last will counts as a proof that it acts for nobody any more.
    case lostGatewayIsGone = "lost-gateway-is-gone"
    /// A seal counts as given when it was asked for.
    case sealNotAwaited = "seal-not-awaited"
    /// A gateway confirms a seal while calls of the old epoch are under way.
    case sealInFlight = "seal-with-calls-in-flight"
    /// A seal counts, although nobody heard what went out for the epochs that it ends.
    case listIgnored = "seal-without-list"
    /// A gateway's ledger forgets what has ended.
    case forgetfulLedger = "ledger-forgets-ended"
    /// A Work Manager that is to drain says at once that it is done, and the sweep, which would end what it left, says so too.
    case doneBeforeEnd = "done-before-the-end"
    /// A registry that gets the lock again believes that nobody else had it meanwhile.
    case termIgnored = "registry-goes-on-after-another"
    /// Two registries at once: the database's lock is not asked.
    case lockIgnored = "no-registry-lock"
    /// The registry does not hear of epochs that began and are not in its restored database.
    case begunIgnored = "restored-epochs-ignored"
    /// The registry does not hear that a Work Manager was told of more commits than its restored database has.
    case toldIgnored = "restored-journal-ignored"
    /// A job that a gateway names is found, also when it is so old that it may have been pruned.
    case prunedIsFound = "pruned-is-found"
    /// The newest run and tick of a service are pruned like any other.
    case newestIsPruned = "newest-is-pruned"
    /// A run that has ended is pruned with a job that has not.
    case openJobIsPruned = "open-job-is-pruned"
    /// Nobody tells the gateways what an operator gave up.
    case giveUpUntold = "give-up-not-told"
    /// The registry takes the larger of what it remembers and what the database says: a loss stays hidden.
    case lossHidden = "database-loss-hidden"
    /// A fact that the database refused is acknowledged, and its row does not get what could be stored.
    case refusedWithoutRow = "refused-end-without-row"
    /// What is refused while everything is refused counts as facts that are odd: each is acknowledged and set aside.
    case outageSetAside = "outage-set-aside"
    /// What is too large for the broker is not sent, and nobody hears of it.
    case refusalUnheard = "refusal-unheard"
    /// A fact that is too large for a message stays as it is, and all that follow it wait.
    case largeFactBlocks = "large-fact-blocks"
    /// A gateway's word that is too large is not said in fewer words.
    case largeEndUntold = "large-end-untold"
    /// What was cut to fit is not marked.
    case cutUnmarked = "cut-unmarked"
    /// A gateway without the broker goes on as if nothing had happened.
    case gatewayHoldsOn = "gateway-never-gives-up"

    /// Rules of the retention need one.
    var isOfRetention: Bool { [.prunedIsFound, .newestIsPruned, .openJobIsPruned].contains(self) }

    /// Rules for a database that loses or refuses need one that does.
    var isOfDatabase: Bool { [.lossHidden, .refusedWithoutRow, .outageSetAside].contains(self) }

    /// Rules about what is too large need something that is.
    var isOfSizes: Bool { [.refusalUnheard, .largeFactBlocks, .largeEndUntold, .cutUnmarked].contains(self) }

    static func lossOfLedger(_ mutants: Set<Mutant>) -> @Sendable (LedgerEntry) -> Bool {
        let (fences, intents) = (mutants.contains(.volatileFence), mutants.contains(.volatileIntent))
        guard fences || intents else { return { _ in false } }
        return { entry in
            switch entry {
            case .fence: fences
            case .intent: intents
            case .begun, .acknowledged, .ended, .givenUp, .forgiven: false
            }
        }
    }

    static func altered(_ answer: ProviderAnswer, to call: ProviderCall, _ mutants: Set<Mutant>) -> ProviderAnswer {
        guard mutants.contains(.timeoutIsFailure), case .failed(.maybeSent, let fault, let text) = answer else {
            return answer
        }
        return .failed(.notSent, fault, text)
    }

    static func altered(_ message: Message, for node: Node, _ mutants: Set<Mutant>) -> Message {
        if mutants.isEmpty { return message }
        switch message.payload {
        case .wmControl(var control) where mutants.contains(.controlOfOtherBoot) && node.role == .fleet:
            if control.fleet == node.id { control.boot = node.boot }
            return Message(message.topic, .wmControl(control))
        case .presence(var presence) where mutants.contains(.willIsProof) && node.role == .registry:
            if presence.state == .lost, message.topic.kind == .fleetPresence { presence.state = .offline }
            return Message(message.topic, .presence(presence))
        case .presence(var presence) where mutants.contains(.lostGatewayIsGone) && node.role == .registry:
            if presence.state == .lost, message.topic.kind == .gatewayPresence { presence.state = .offline }
            return Message(message.topic, .presence(presence))
        case .gatewayAck(var ack) where mutants.contains(.listIgnored) && node.role == .registry:
            ack.left = nil
            for index in ack.sealed?.indices ?? 0..<0 where ack.sealed?[index].listed != nil {
                ack.sealed?[index].listed = 0
            }
            return Message(message.topic, .gatewayAck(ack))
        case .gatewayAck(var ack) where mutants.contains(.begunIgnored) && node.role == .registry:
            for index in ack.sealed?.indices ?? 0..<0 { ack.sealed?[index].begun = nil }
            return Message(message.topic, .gatewayAck(ack))
        case .wmStatus(var status) where mutants.contains(.toldIgnored) && node.role == .registry:
            status.ackSeq = nil
            return Message(message.topic, .wmStatus(status))
        case .journal(var journal) where mutants.contains(.cutUnmarked) && node.role == .registry:
            for index in journal.entries.indices {
                journal.entries[index].job?.omitted = nil
                journal.entries[index].run?.omitted = nil
                journal.entries[index].run?.result?.omitted = nil
            }
            return Message(message.topic, .journal(journal))
        default: return message
        }
    }

    /// A rule for restored databases needs some.
    static let ofRestores: Set<Mutant> = [.begunIgnored, .toldIgnored]
}

extension World {
    /// Answers that a mutant gives in the place of those who should.
    func forge(_ message: Message) {
        switch message.payload {
        case .gatewayControl(let control)
        where control.command == .seal && options.mutants.contains(.sealNotAwaited):
            forgeSeal(message, control)
        case .wmControl(let control) where control.command == .drain && options.mutants.contains(.doneBeforeEnd):
            guard case .wmControl(let tenant) = message.topic else { return }
            let ack = WMAck(
                id: control.id, command: .drain, phase: .done, epoch: control.epoch, generation: control.generation,
                fleet: control.fleet, remaining: 0, lastSeq: 0)
            route(Message(.wmAck(tenant), .wmAck(ack)), from: -1)
        case .gatewayControl(let control)
        where control.command == .sweep && options.mutants.contains(.doneBeforeEnd):
            forgeSweep(message, control)
        default: break
        }
    }

    private func forgeSweep(_ message: Message, _ control: GatewayControl) {
        guard let sweep = control.sweep, case .gatewayControl(let id) = message.topic,
            let node = nodes.first(where: { $0.id == id })
        else { return }
        let ended = sweep.jobs.map { SweptJob(job: $0.job, provider: $0.provider, state: .stopped) }
        let ack = GatewayAck(
            id: control.id, command: .sweep, boot: node.boot,
            swept: SweepReport(tenant: sweep.tenant, epoch: sweep.epoch, ended: ended, remaining: []))
        route(Message(.gatewayAck(id), .gatewayAck(ack)), from: -1)
    }

    /// A gateway has heard a seal.
    func forgeSeal(_ message: Message, _ control: GatewayControl) {
        guard case .gatewayControl(let id) = message.topic, let node = nodes.first(where: { $0.id == id }) else {
            return
        }
        let seals = control.seals?.map { Seal(tenant: $0.tenant, epoch: $0.epoch, listed: 0) }
        let ack = GatewayAck(id: control.id, command: .seal, boot: node.boot, sealed: seals)
        route(Message(.gatewayAck(id), .gatewayAck(ack)), from: -1)
    }

    /// Whether its core is told that a message did not leave.
    func hearsOfRefusal(_ message: Message) -> Bool {
        if options.mutants.contains(.refusalUnheard) { return false }
        switch message.payload {
        case .journal: return !options.mutants.contains(.largeFactBlocks)
        case .jobEvent: return !options.mutants.contains(.largeEndUntold)
        default: return true
        }
    }

    /// Whether a message may leave; what is forbidden by a mutant does not.
    func passesMutants(_ message: Message) -> Bool {
        if options.mutants.contains(.giveUpUntold), case .gatewayControl(let control) = message.payload {
            return control.command != .giveUp
        }
        guard options.mutants.contains(.noRepetition) else { return true }
        let key: String
        switch message.payload {
        case .jobCommand(let command): key = "\(message.topic.name) \(command.job) \(command.command)"
        case .journal(let journal): key = "\(message.topic.name) \(journal.epoch) \(journal.firstSeq)"
        case .wmControl(let control): key = "\(message.topic.name) \(control.epoch) \(control.command)"
        default: return true
        }
        return operatorDesk.seen.insert(key).inserted
    }
}

extension Mutant {
    /// Which of the gate's rules these leave out.
    static func left(of mutants: Set<Mutant>) -> Set<EffectGate.Rule> {
        var left: Set<EffectGate.Rule> = []
        if mutants.contains(.effectsBeforeLedger) { left.insert(.waitsForLedger) }
        if mutants.contains(.promisesUnwritten) { left.insert(.promisesOnlyWritten) }
        if mutants.contains(.staleDecisions) { left.insert(.dropsStaleDecisions) }
        return left
    }
}
