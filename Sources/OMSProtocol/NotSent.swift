/// Why a message did not leave this process, told to the core that wanted it sent. Whatever is lost on the way is sent
/// again by its owner; these would be refused again for ever.
package struct NotSent: Hashable, Sendable {
    package enum Reason: Hashable, Sendable {
        /// - Parameters:
        ///   - bytes: of the whole message.
        ///   - limit: what it may have.
        case tooLarge(bytes: Int, limit: Int)
        /// A value that JSON has no text for.
        case notEncodable(String)
    }

    package var message: Message
    package var reason: Reason

    package init(_ message: Message, _ reason: Reason) {
        self.message = message
        self.reason = reason
    }

    /// What is known of the limit now: nil if it was not the size.
    package var limit: Int? { if case .tooLarge(_, let limit) = reason { limit } else { nil } }

    /// One sentence for operators, which names the broker's figure where that is the smaller one.
    package var text: String {
        switch reason {
        case .tooLarge(let bytes, let limit):
            "\(message.topic.kind.row.type) for \(message.topic.name) is \(bytes) bytes, and "
                + (limit < EnvelopeCodec.maxBytes
                    ? "the broker takes at most \(limit) (its max_packet_size; OMS uses up to \(EnvelopeCodec.maxBytes))"
                    : "a message has at most \(limit)")
        case .notEncodable(let why):
            "\(message.topic.kind.row.type) for \(message.topic.name) cannot be encoded: \(why)"
        }
    }
}
