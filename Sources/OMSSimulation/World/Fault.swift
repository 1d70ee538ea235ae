import OMSModel
import OMSProtocol

/// One act of the nemesis, drawn from the seed before the history begins: so that one can be left out and the others
/// stay.
struct Fault {
    enum Kind {
        case kill(node: Int, silently: Bool, down: SimTime)
        /// kill -9 or SIGSTOP in the middle of a batch of effects, after so many of them.
        case cut(node: Int, effects: Int, kills: Bool, down: SimTime)
        case pause(node: Int, SimTime)
        case goodbye(node: Int, down: SimTime)
        case partition(node: Int, SimTime)
        case broker(down: SimTime)
        case databaseDown(SimTime)
        case backup
        /// The registries are stopped, the last backup is put back, and they are started again.
        case restore(down: SimTime)
        /// The last backup stands in the database's place while the registries run on: a replica that lagged was promoted
        /// (their sessions break), or somebody restored it.
        case fallBack(breaksSessions: Bool)
        /// Everything that changes something is refused, whatever it is.
        case databaseRefuses(SimTime)
        /// From here on some ends of jobs cannot be stored whole: what is refused once is refused for ever.
        case factsRefused
        /// The broker refuses whatever is larger; nil: until the end of the history.
        case smallMessages(bytes: Int, SimTime?)
        case databaseStalls(SimTime)
        case databaseFlaky(SimTime)
        case weather(ProviderID, String, ProviderWeather, SimTime)
        case providerRestart(ProviderID, forgetting: Bool)
        case ledgerFull(node: Int, SimTime)
        case ledgerSlow(node: Int, SimTime)
        case wallStep(node: Int, milliseconds: Int64)
        case storm(loss: Double, doubling: Double, delay: SimTime, SimTime)
        case suspend(TenantID, SimTime)
        /// And declared again.
        case offboard(TenantID, SimTime)
        case reparameterise(ScenarioID)
        case respecify(ProviderID)
        case replace(TenantID, deadlineSeconds: Int)
        case abort(TenantID)
        case drainFleet(NodeID, SimTime)
        /// Jobs that are stopped there meanwhile say `stopping` for ever, until an operator gives them up.
        case neverStops(ProviderID, SimTime)
    }

    var at: SimTime
    var kind: Kind

    func description(_ nodes: [(role: Role, id: NodeID)]) -> String {
        func name(_ node: Int) -> String { nodes[node].id.text }
        func seconds(_ time: SimTime) -> String { "\(SimClock.text(time)) s" }
        let what =
            switch kind {
            case .kill(let node, let silently, let down):
                "kill -9 \(name(node))\(silently ? " with its machine" : ""), back after \(seconds(down))"
            case .cut(let node, let effects, let kills, let down):
                "\(kills ? "kill -9" : "SIGSTOP") \(name(node)) within a batch, \(effects) effects on, for \(seconds(down))"
            case .pause(let node, let time): "SIGSTOP \(name(node)) for \(seconds(time))"
            case .goodbye(let node, let down): "stop \(name(node)), back after \(seconds(down))"
            case .partition(let node, let time): "cut \(name(node)) from the broker for \(seconds(time))"
            case .broker(let down): "kill -9 the broker, empty back after \(seconds(down))"
            case .databaseDown(let time): "the database is down for \(seconds(time))"
            case .backup: "the database is backed up"
            case .restore(let down): "the database is restored, registries back after \(seconds(down))"
            case .fallBack(let breaks):
                "the database falls back to its backup while registries run\(breaks ? ", and sessions break" : "")"
            case .databaseRefuses(let time): "the database refuses every change for \(seconds(time))"
            case .factsRefused: "the database refuses some ends of jobs from here on"
            case .smallMessages(let bytes, let time):
                "the broker takes at most \(bytes) bytes " + (time.map { "for \(seconds($0))" } ?? "from here on")
            case .databaseStalls(let time): "the database stalls for \(seconds(time))"
            case .databaseFlaky(let time): "database connections break for \(seconds(time))"
            case .weather(let provider, let name, _, let time): "\(provider) is \(name) for \(seconds(time))"
            case .providerRestart(let provider, let forgetting):
                "\(provider) restarts\(forgetting ? " and forgets everything" : "")"
            case .ledgerFull(let node, let time): "the ledger of \(name(node)) is full for \(seconds(time))"
            case .ledgerSlow(let node, let time): "the ledger of \(name(node)) is slow for \(seconds(time))"
            case .wallStep(let node, let step): "the wall clock of \(name(node)) steps by \(step) ms"
            case .storm(let loss, let doubling, let delay, let time):
                "loss \(loss), doubling \(doubling), delays to \(seconds(delay)) for \(seconds(time))"
            case .suspend(let tenant, let time): "suspend \(tenant) for \(seconds(time))"
            case .offboard(let tenant, let time): "off-board \(tenant), again there after \(seconds(time))"
            case .reparameterise(let scenario): "change \(scenario)"
            case .respecify(let provider): "change \(provider)"
            case .replace(let tenant, let deadline): "replace \(tenant) with \(deadline) s to drain"
            case .abort(let tenant): "abort what is under way for \(tenant)"
            case .neverStops(let provider, let time): "\(provider) ends no job that is stopped for \(seconds(time))"
            case .drainFleet(let fleet, let time): "empty \(fleet) for \(seconds(time))"
            }
        return "\(SimClock.text(at)) s: \(what)"
    }
}
