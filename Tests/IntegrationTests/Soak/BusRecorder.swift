import Foundation
import Mosquitto
import OMSDev
import OMSModel
import OMSProtocol
import OMSRuntime

/// Hears everything at the broker itself, as a dashboard would, and judges each message as it comes.
final class BusRecorder: Sendable {
    struct Finding: Sendable {
        var messages = 0
        var connections = 0
        /// Highest epoch of `wm/epoch` by tenant.
        var epochs: [String: Int] = [:]
        /// When the present value of a retained topic came, by topic name (monotonic milliseconds).
        var retained: [String: Int64] = [:]
        var violations: [String] = []
    }

    private let finding: Locked<Finding>
    private let client: MQTTClient
    private let loop: EventLoop

    private init(finding: Locked<Finding>, client: MQTTClient, loop: EventLoop) {
        self.finding = finding
        self.client = client
        self.loop = loop
    }

    static func start(_ endpoint: BusEndpoint) async -> BusRecorder {
        let loop = EventLoop(name: "recorder")
        let finding = Locked(Finding())
        var configuration = MQTTConfiguration(
            host: endpoint.host, port: endpoint.port, clientID: BusConnection.uniqueID("recorder").text,
            username: endpoint.user, password: endpoint.password)
        configuration.reconnectCap = .milliseconds(500)
        let client = MQTTClient(loop: loop, configuration: configuration) { event in
            switch event {
            case .connected: finding.withLock { $0.connections += 1 }
            case .disconnected: finding.withLock { $0.retained = [:] }  // the broker may have lost them
            case .messages(let messages):
                for message in messages { finding.withLock { judge(message, &$0) } }
            case .published, .subscribed, .unsubscribed, .refused: break
            case .subscriptionRefused(let filter, let code):
                finding.withLock { $0.violations.append("the broker refused to show \(filter): \(code)") }
            }
        }
        await client.setSubscriptions([MQTTSubscription("#", qos: 0)])
        await client.start()
        return BusRecorder(finding: finding, client: client, loop: loop)
    }

    func stop() async {
        await client.disconnect(deadline: .seconds(1))
        let loop = loop
        HelperThread.run(name: "recorder-end") { loop.shutdown() }
    }

    var found: Finding { finding.withLock { $0 } }

    private static func judge(_ packet: MQTTMessage, _ finding: inout Finding) {
        finding.messages += 1
        func violation(_ text: String) {
            guard finding.violations.count < 50 else { return }
            finding.violations.append("\(packet.topic): \(text)")
        }
        let (message, header): (Message, EnvelopeHeader?)
        do {
            (message, header) = try EnvelopeCodec().decode(topic: packet.topic, packet.payload)
        } catch {
            return violation("unreadable: \(error)")
        }
        if let header {
            let role = role(of: header.source)
            let writers = message.topic.kind.row.writers
            if !writers.contains(where: { role.contains($0) }) {
                violation("written by \(header.source), allowed: \(writers.map(\.rawValue))")
            }
        }
        if message.topic.kind.row.retain { finding.retained[packet.topic] = MonotonicClock.milliseconds }
        if case .wmEpoch(let tenant) = message.topic, case .wmEpoch(let epoch) = message.payload {
            let known = finding.epochs[tenant.text] ?? 0
            if epoch.epoch < known { violation("epoch \(epoch.epoch) after \(known), from \(header?.source ?? "")") }
            finding.epochs[tenant.text] = max(known, epoch.epoch)
        }
    }

    private static func role(of source: String) -> [Role] {
        switch source.split(separator: "/").first {
        case "oms": [.registry]
        case "fleet": [.fleet]
        case "gateway": [.gateway]
        case "cli": [.admin, .monitor]
        default: []
        }
    }
}
