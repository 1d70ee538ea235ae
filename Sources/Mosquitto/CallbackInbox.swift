import CMosquitto
import Glibc

/// What a C callback saw, copied.
enum Arrival {
    case connectAnswer(code: Int, limits: MQTTBrokerLimits)
    case disconnected(code: Int)
    case message(MQTTMessage)
    case publishAnswer(packetID: Int32, code: Int)
    case subscribeAnswer(packetID: Int32, codes: [Int])
    case unsubscribeAnswer(packetID: Int32)
}

/// Where C callbacks leave what they saw.
///
/// They run inside `mosquitto_loop_read` and the like, under a lock of the library, so they only append; the client
/// takes everything out after each call. Confined to whichever thread uses the handle.
final class CallbackInbox {
    private(set) var arrivals: [Arrival] = []

    func takeAll() -> [Arrival] {
        if arrivals.isEmpty { return [] }
        defer { arrivals = [] }
        return arrivals
    }

    /// Makes `handle`, whose user pointer must be this inbox, report to it.
    static func attach(to handle: OpaquePointer) {
        mosquitto_connect_v5_callback_set(handle) { _, inbox, code, _, properties in
            CallbackInbox.append(.connectAnswer(code: Int(code), limits: CallbackInbox.limits(properties)), inbox)
        }
        mosquitto_disconnect_v5_callback_set(handle) { _, inbox, code, _ in
            CallbackInbox.append(.disconnected(code: Int(code)), inbox)
        }
        mosquitto_publish_v5_callback_set(handle) { _, inbox, packetID, code, _ in
            CallbackInbox.append(.publishAnswer(packetID: packetID, code: Int(code)), inbox)
        }
        mosquitto_subscribe_v5_callback_set(handle) { _, inbox, packetID, count, codes, _ in
            let copied = UnsafeBufferPointer(start: codes, count: Int(count)).map { Int($0) }
            CallbackInbox.append(.subscribeAnswer(packetID: packetID, codes: copied), inbox)
        }
        mosquitto_unsubscribe_v5_callback_set(handle) { _, inbox, packetID, _ in
            CallbackInbox.append(.unsubscribeAnswer(packetID: packetID), inbox)
        }
        mosquitto_message_v5_callback_set(handle) { _, inbox, message, properties in
            guard let message = message?.pointee, let topic = message.topic else { return }
            CallbackInbox.append(.message(CallbackInbox.copy(message, topic: topic, properties)), inbox)
        }
    }

    /// What is absent is not limited (MQTT 5, section 3.2.2.3).
    private static func limits(_ properties: OpaquePointer?) -> MQTTBrokerLimits {
        var limits = MQTTBrokerLimits()
        var bytes: UInt32 = 0
        if mosquitto_property_read_int32(
            properties, Int32(MQTT_PROP_MAXIMUM_PACKET_SIZE.rawValue), &bytes, false) != nil
        {
            limits.maximumPacketBytes = Int(bytes)
        }
        var count: UInt16 = 0
        if mosquitto_property_read_int16(properties, Int32(MQTT_PROP_RECEIVE_MAXIMUM.rawValue), &count, false) != nil {
            limits.receiveMaximum = Int(count)
        }
        func byte(_ name: mqtt5_property) -> UInt8? {
            var value: UInt8 = 0
            return mosquitto_property_read_byte(properties, Int32(name.rawValue), &value, false) == nil ? nil : value
        }
        if let qos = byte(MQTT_PROP_MAXIMUM_QOS) { limits.maximumQoS = Int(qos) }
        if let flag = byte(MQTT_PROP_RETAIN_AVAILABLE) { limits.retains = flag != 0 }
        if let flag = byte(MQTT_PROP_WILDCARD_SUB_AVAILABLE) { limits.takesWildcards = flag != 0 }
        return limits
    }

    private static func append(_ arrival: Arrival, _ pointer: UnsafeMutableRawPointer?) {
        guard let pointer else { preconditionFailure("mosquitto_new was given the inbox") }
        // The handle's owner also owns the inbox and destroys the handle first, so the inbox is alive here.
        Unmanaged<CallbackInbox>.fromOpaque(pointer).takeUnretainedValue().arrivals.append(arrival)
    }

    private static func copy(
        _ message: mosquitto_message, topic: UnsafeMutablePointer<CChar>, _ properties: OpaquePointer?
    ) -> MQTTMessage {
        let payload = UnsafeRawBufferPointer(start: message.payload, count: Int(message.payloadlen))
        var copied = MQTTMessage(
            topic: String(cString: topic), payload: Array(payload), qos: Int(message.qos), retain: message.retain)
        var property = properties
        while let current = property {
            switch UInt32(bitPattern: mosquitto_property_identifier(current)) {
            case MQTT_PROP_MESSAGE_EXPIRY_INTERVAL.rawValue:
                var seconds: UInt32 = 0
                if mosquitto_property_read_int32(
                    current, Int32(MQTT_PROP_MESSAGE_EXPIRY_INTERVAL.rawValue), &seconds, false) != nil
                {
                    copied.messageExpiry = seconds
                }
            case MQTT_PROP_CONTENT_TYPE.rawValue: copied.contentType = readString(current, MQTT_PROP_CONTENT_TYPE)
            case MQTT_PROP_RESPONSE_TOPIC.rawValue: copied.responseTopic = readString(current, MQTT_PROP_RESPONSE_TOPIC)
            case MQTT_PROP_CORRELATION_DATA.rawValue: copied.correlationData = readBinary(current)
            default: break  // of the many properties of MQTT 5, these are the ones in use
            }
            property = mosquitto_property_next(current)
        }
        return copied
    }

    /// The library allocates what it hands out here; it is ours to free.
    private static func readString(_ property: OpaquePointer, _ name: mqtt5_property) -> String? {
        var text: UnsafeMutablePointer<CChar>?
        guard mosquitto_property_read_string(property, Int32(name.rawValue), &text, false) != nil, let text else {
            return nil
        }
        defer { free(text) }
        return String(cString: text)
    }

    private static func readBinary(_ property: OpaquePointer) -> [UInt8]? {
        var bytes: UnsafeMutableRawPointer?
        var count: UInt16 = 0
        let name = Int32(MQTT_PROP_CORRELATION_DATA.rawValue)
        guard mosquitto_property_read_binary(property, name, &bytes, &count, false) != nil else { return nil }
        defer { free(bytes) }
        return Array(UnsafeRawBufferPointer(start: bytes, count: Int(count)))
    }
}
