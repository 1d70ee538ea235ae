import CMosquitto
import Glibc
import OMSRuntime

/// Owns one libmosquitto client for the life of one connection.
///
/// A client that has lost its connection is thrown away and a new one made: the library otherwise keeps and resends
/// messages on its own, and after a refused CONNACK or a server's DISCONNECT its state is of no use.
///
/// `@unchecked Sendable`: made and connected on a helper thread, then handed to the loop's thread, which alone uses it
/// from then on. The hand-over goes through a lock, which orders the two.
final class MosquittoHandle: @unchecked Sendable {
    private let handle: OpaquePointer
    private let inbox = CallbackInbox()

    /// `mosquitto_lib_init` is not thread-safe; a global `let` runs once.
    private static let initialized: Void = { _ = mosquitto_lib_init() }()

    init(_ configuration: MQTTConfiguration) throws(MQTTError) {
        _ = Self.initialized
        let context = Unmanaged.passUnretained(inbox).toOpaque()  // alive as long as this object, which owns the handle
        guard let created = mosquitto_new(configuration.clientID, true, context) else {
            throw MQTTError(code: .invalid, message: "cannot create a client: errno \(errno)")
        }
        handle = created
        CallbackInbox.attach(to: handle)
        // Queue packets for `write()` instead of sending at once: a PUBACK then leaves after our handler has run.
        mosquitto_threaded_set(handle, true)
        mosquitto_int_option(handle, MOSQ_OPT_PROTOCOL_VERSION, Int32(MQTT_PROTOCOL_V5))
        mosquitto_int_option(handle, MOSQ_OPT_TCP_NODELAY, 1)
        mosquitto_int_option(handle, MOSQ_OPT_RECEIVE_MAXIMUM, 1_000)
        mosquitto_int_option(handle, MOSQ_OPT_SEND_MAXIMUM, 1_000)
        if let username = configuration.username {
            try Self.check(mosquitto_username_pw_set(handle, username, configuration.password), "username")
        }
        if let will = configuration.will { try set(will) }
    }

    deinit { mosquitto_destroy(handle) }

    /// Blocks until TCP has connected; only for a helper thread.
    func connect(address: String, configuration: MQTTConfiguration) throws(MQTTError) {
        // Version 2.0.11 sends only the first property of a CONNECT, so there is one at most; absent means expiry 0.
        // The receive maximum travels as an option, see `init`.
        var properties: OpaquePointer?
        defer { mosquitto_property_free_all(&properties) }
        if configuration.sessionExpirySeconds > 0 {
            mosquitto_property_add_int32(
                &properties, Int32(MQTT_PROP_SESSION_EXPIRY_INTERVAL.rawValue), configuration.sessionExpirySeconds)
        }
        try Self.check(
            mosquitto_connect_bind_v5(
                handle, address, Int32(configuration.port), Int32(configuration.keepAliveSeconds), nil, properties),
            "connect")
        var milliseconds = UInt32(clamping: configuration.userTimeout.roundedUpMilliseconds)
        // Without it, data to a host that vanished is retransmitted for a quarter of an hour.
        setsockopt(
            mosquitto_socket(handle), Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, &milliseconds,
            socklen_t(MemoryLayout<UInt32>.size))
    }

    /// -1 once the library has closed it.
    var socket: Int32 { mosquitto_socket(handle) }
    var wantsWrite: Bool { mosquitto_want_write(handle) }
    func takeArrivals() -> [Arrival] { inbox.takeAll() }

    /// Reads what the socket holds, at most some hundred packets so that other sources of the loop get their turn.
    func read() -> String? {
        for _ in 0..<256 {
            errno = 0
            let code = mosquitto_loop_read(handle, 1)
            if code != Self.success { return Self.text(code) }
            // Success with EAGAIN means that the socket is empty. A closed one is noticed by the caller.
            if errno == EAGAIN || mosquitto_socket(handle) < 0 { return nil }
        }
        return nil
    }

    func write() -> String? {
        let code = mosquitto_loop_write(handle, 1)
        return code == Self.success ? nil : Self.text(code)
    }

    /// Keep-alive; call about once a second.
    func housekeeping() -> String? {
        let code = mosquitto_loop_misc(handle)
        return code == Self.success ? nil : Self.text(code)
    }

    func publish(_ message: MQTTMessage) throws(MQTTError) -> Int32 {
        var properties: OpaquePointer?
        defer { mosquitto_property_free_all(&properties) }
        try Self.append(message, to: &properties)
        var packetID: Int32 = 0
        try Self.check(
            mosquitto_publish_v5(
                handle, &packetID, message.topic, Int32(message.payload.count), message.payload, Int32(message.qos),
                message.retain, properties), "publish")
        return packetID
    }

    /// One SUBSCRIBE packet; all must agree in QoS and options.
    func subscribe(_ subscriptions: [MQTTSubscription]) throws(MQTTError) -> Int32 {
        guard let first = subscriptions.first else { preconditionFailure("a SUBSCRIBE needs a filter") }
        let options = first.retainHandling.rawValue | (first.noLocal ? Int32(MQTT_SUB_OPT_NO_LOCAL.rawValue) : 0)
        // The array wants mutable C strings, although the library only reads them.
        var filters: [UnsafeMutablePointer<CChar>?] = subscriptions.map { strdup($0.filter) }
        defer { for filter in filters { free(filter) } }
        var packetID: Int32 = 0
        try Self.check(
            mosquitto_subscribe_multiple(
                handle, &packetID, Int32(filters.count), &filters, Int32(first.qos), options, nil), "subscribe")
        return packetID
    }

    func unsubscribe(_ filter: String) throws(MQTTError) -> Int32 {
        var packetID: Int32 = 0
        try Self.check(mosquitto_unsubscribe_v5(handle, &packetID, filter, nil), "unsubscribe")
        return packetID
    }

    /// Queues a DISCONNECT with "normal disconnection", after which the broker drops the will.
    func sendDisconnect() { _ = mosquitto_disconnect_v5(handle, 0, nil) }

    private func set(_ will: MQTTConfiguration.Will) throws(MQTTError) {
        var properties: OpaquePointer?
        if will.delaySeconds > 0 {
            mosquitto_property_add_int32(
                &properties, Int32(MQTT_PROP_WILL_DELAY_INTERVAL.rawValue), will.delaySeconds)
        }
        let message = will.message
        let code = mosquitto_will_set_v5(
            handle, message.topic, Int32(message.payload.count), message.payload, Int32(message.qos), message.retain,
            properties)
        // On success the list belongs to the library.
        if code != Self.success { mosquitto_property_free_all(&properties) }
        try Self.check(code, "will")
    }

    /// Fresh for each publish: a copied list loses all but its first item in 2.0.11.
    private static func append(_ message: MQTTMessage, to list: inout OpaquePointer?) throws(MQTTError) {
        if let seconds = message.messageExpiry {
            try check(
                mosquitto_property_add_int32(&list, Int32(MQTT_PROP_MESSAGE_EXPIRY_INTERVAL.rawValue), seconds),
                "expiry")
        }
        if let type = message.contentType {
            try check(
                mosquitto_property_add_string(&list, Int32(MQTT_PROP_CONTENT_TYPE.rawValue), type), "content type")
        }
        if let topic = message.responseTopic {
            try check(
                mosquitto_property_add_string(&list, Int32(MQTT_PROP_RESPONSE_TOPIC.rawValue), topic), "response topic")
        }
        if let data = message.correlationData {
            guard let count = UInt16(exactly: data.count) else {
                throw MQTTError(code: .invalid, message: "correlation data longer than 65535 bytes")
            }
            try check(
                mosquitto_property_add_binary(&list, Int32(MQTT_PROP_CORRELATION_DATA.rawValue), data, count),
                "correlation data")
        }
    }

    private static let success = Int32(MOSQ_ERR_SUCCESS.rawValue)

    private static func check(_ code: Int32, _ what: String) throws(MQTTError) {
        switch mosq_err_t(rawValue: code) {
        case MOSQ_ERR_SUCCESS: return
        case MOSQ_ERR_NO_CONN, MOSQ_ERR_CONN_LOST, MOSQ_ERR_ERRNO, MOSQ_ERR_EAI, MOSQ_ERR_LOOKUP, MOSQ_ERR_CONN_REFUSED:
            throw MQTTError(code: .connectionLost, message: "\(what): \(text(code))")
        case MOSQ_ERR_OVERSIZE_PACKET, MOSQ_ERR_PAYLOAD_SIZE:
            throw MQTTError(code: .tooLarge, message: "\(what): \(text(code))")
        default: throw MQTTError(code: .invalid, message: "\(what): \(text(code))")
        }
    }

    static func text(_ code: Int32) -> String {
        // For this code the reason is in errno; `strerror` of the library says so in its own words.
        String(cString: mosquitto_strerror(code))
    }

    static func reason(_ code: Int) -> String { String(cString: mosquitto_reason_string(Int32(clamping: code))) }
}
