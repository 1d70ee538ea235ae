import ArgumentParser
import FoundationEssentials
import OMSDev

/// Where the broker is: an option, else a variable, else the default.
struct ConnectionOptions: ParsableArguments {
    @Option(help: "Host of the MQTT broker (OMS_MQTT_HOST; default 127.0.0.1).")
    var mqttHost: String?

    @Option(help: "Port of the MQTT broker (OMS_MQTT_PORT; default 1883).")
    var mqttPort: Int?

    @Option(help: "User at the broker (OMS_MQTT_USER; default admin).")
    var mqttUser: String?

    @Option(help: "File with the password (OMS_MQTT_PASSWORD_FILE). Passwords never stand in a command line.")
    var mqttPasswordFile: String?

    func endpoint() throws -> BusEndpoint {
        let environment = Executables.environment
        var port = mqttPort
        if port == nil, let text = environment("OMS_MQTT_PORT") {
            guard let number = Int(text) else { throw DevError("OMS_MQTT_PORT is '\(text)', which is no port number") }
            port = number
        }
        if let port, !(1...65_535).contains(port) { throw DevError("--mqtt-port must be from 1 to 65535, not \(port)") }
        guard let file = mqttPasswordFile ?? environment("OMS_MQTT_PASSWORD_FILE") else {
            throw DevError(
                "no password for the MQTT broker: name its file with --mqtt-password-file or OMS_MQTT_PASSWORD_FILE "
                    + "('oms dev' prints a file to source that sets it)")
        }
        guard let data = FileManager.default.contents(atPath: file) else {
            throw DevError(
                "cannot read the password file \(file); check --mqtt-password-file or OMS_MQTT_PASSWORD_FILE")
        }
        let line = String(decoding: data, as: UTF8.self).split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
        return BusEndpoint(
            host: mqttHost ?? environment("OMS_MQTT_HOST") ?? "127.0.0.1", port: port ?? 1883,
            user: mqttUser ?? environment("OMS_MQTT_USER") ?? "admin", password: line)
    }
}
