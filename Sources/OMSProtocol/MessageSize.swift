import OMSModel

/// What a value takes in a message: measured by encoding it as it is sent. An estimate that is wrong once stops whoever
/// relies on it for ever, for the same message would be refused again each time.
package enum MessageSize {
    /// What the envelope needs beside the data: attributes of our own making and the longest topic's type.
    package static let envelopeBytes = 512
    /// The largest data of a message.
    package static let maxData = EnvelopeCodec.maxBytes - envelopeBytes

    /// Of what cannot be encoded at all: it fits nowhere, and may still be added up.
    package static let unencodable = 1 << 40

    package static func bytes(_ value: some Encodable) -> Int { (try? JSON.encode(value).count) ?? unencodable }

    /// What a text takes, its quotes included: a control character becomes up to six bytes.
    package static func bytes(_ text: String) -> Int { text.encodedBytes }

    /// The beginning of a text that takes at most so many bytes in a message, whole characters only.
    package static func cut(_ text: String, to limit: Int) -> String {
        guard bytes(text) > limit else { return text }
        var left = limit - 2 - 3  // quotes, dots
        let kept = text.unicodeScalars.prefix { scalar in
            left -= scalar.value < 0x80 ? String(scalar).encodedBytes - 2 : UTF8.width(scalar)
            return left >= 0
        }
        return String(kept) + "..."
    }
}
