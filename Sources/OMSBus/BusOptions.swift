package import ArgumentParser
import FoundationEssentials
package import Mosquitto
package import OMSProtocol

/// How a process reaches the broker. One definition of the flags and environment keys for all of them.
///
/// ## Configuration keys
/// - `--mqtt-host` / `OMS_MQTT_HOST` (default 127.0.0.1)
/// - `--mqtt-port` / `OMS_MQTT_PORT` (default 1883)
/// - `--mqtt-user` / `OMS_MQTT_USER` (default: the role's name)
/// - `--mqtt-password-file` / `OMS_MQTT_PASSWORD_FILE`: first line is the password; it never stands in argv
package struct BusOptions: ParsableArguments {
    @Option(help: "Host of the MQTT broker (or OMS_MQTT_HOST).")
    package var mqttHost: String?
    @Option(help: "Port of the MQTT broker (or OMS_MQTT_PORT).")
    package var mqttPort: Int?
    @Option(help: "User at the MQTT broker (or OMS_MQTT_USER).")
    package var mqttUser: String?
    @Option(help: "File whose first line is the password (or OMS_MQTT_PASSWORD_FILE).")
    package var mqttPasswordFile: String?

    package init() {}

    /// - Parameter clientID: for people who read the broker's log. What is added to it nobody can guess: whoever may connect
    ///   at all can take over the connection of a client whose id he knows, and what this begins with is no secret.
    /// - Throws: `OptionError` that names the option and the remedy.
    package func configuration(clientID: String, role: Role) throws -> MQTTConfiguration {
        let environment = ProcessInfo.processInfo.environment
        let portText = mqttPort.map(String.init) ?? environment["OMS_MQTT_PORT"] ?? "1883"
        guard let port = Int(portText), (1...65_535).contains(port) else {
            throw OptionError("--mqtt-port (or OMS_MQTT_PORT) must be from 1 to 65535, not '\(portText)'")
        }
        var password: String?
        if let path = mqttPasswordFile ?? environment["OMS_MQTT_PASSWORD_FILE"] {
            password = try SecretFile.read(path, option: "--mqtt-password-file")
        }
        var configuration = MQTTConfiguration(
            host: mqttHost ?? environment["OMS_MQTT_HOST"] ?? "127.0.0.1", port: port,
            clientID: "\(clientID)-\(ClientSecret.make())",
            username: mqttUser ?? environment["OMS_MQTT_USER"] ?? role.rawValue, password: password)
        configuration.keepAliveSeconds = BusSession.keepAliveSeconds
        configuration.sessionExpirySeconds = UInt32(BusSession.sessionExpirySeconds)
        return configuration
    }
}

/// A wrong option, in one sentence.
package struct OptionError: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

package enum SecretFile {
    /// The first line of a file.
    package static func read(_ path: String, option: String) throws -> String {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw OptionError(
                "\(option): cannot read '\(path)'; it must be a readable file whose first line is the secret")
        }
        let text = String(decoding: data, as: UTF8.self)
        guard let line = text.split(whereSeparator: \.isNewline).first, !line.isEmpty else {
            throw OptionError("\(option): '\(path)' is empty; its first line must be the secret")
        }
        return String(line)
    }
}

package enum ClientSecret {
    /// 128 random bits from the system's source, as 32 hexadecimal digits. Never published.
    package static func make() -> String {
        var random = SystemRandomNumberGenerator()
        return (0..<2).map { _ in
            let digits = String(random.next() as UInt64, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}
