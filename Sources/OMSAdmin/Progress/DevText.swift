import OMSDev
import OMSModel
import OMSProtocol

/// What `oms dev` says about itself.
enum DevText {
    static func line(_ event: DevEvent) -> TerminalText? {
        switch event {
        case .starting: nil
        case .ready(let name): "\(name) is ready"
        case .note(let text): TerminalText(line: text)
        case .child(.started(let name, let pid, let restarts)):
            restarts > 0 ? "\(name) restarted (process \(pid), restart \(restarts))" : nil
        case .child(.died(let name, let status, let restartAfter)):
            restartAfter.map { "\(name) died (\(status)); it is started again in \($0)" }
        case .child(.stopped): nil
        case .child(.restartFailed(let name, let reason)): "\(name) cannot be restarted: \(reason)"
        }
    }

    static func introduction(_ environment: DevEnvironment) -> [TerminalText] {
        let monitor = environment.bus(.monitor)
        let address: TerminalText = "-h 127.0.0.1 -p \(environment.mqttPort)"
        let passFile: TerminalText = "passfile=\(environment.folder.file("secrets/pgpass"))"
        var lines: [TerminalText] = [
            "",
            "data folder   \(environment.folder.path)   (logs/, oms-dev.json, secrets/)",
            "MQTT broker   127.0.0.1:\(environment.mqttPort)   user \(monitor.user)   password \(monitor.password)",
            "  mosquitto_sub -V 5 \(address) -u \(monitor.user) -P \(monitor.password) -v -t 'tenant/#'",
            "PostgreSQL    127.0.0.1:\(environment.postgresPort)   database oms   user reporter (reads only)",
            "  psql 'host=127.0.0.1 port=\(environment.postgresPort) dbname=oms user=reporter \(passFile)'",
        ]
        if environment.options.extent >= .services {
            lines += [
                "in another terminal",
                "  source \(environment.folder.file("env"))",
                "  oms status; oms get runs; oms why; oms watch",
            ]
        }
        if environment.options.extent >= .demo { lines.append("  oms result men recommend; oms result men optimise") }
        return lines + [""]
    }
}
