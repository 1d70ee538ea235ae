/// A UUID of version 7 (RFC 9562 section 5.7): 48 bits of Unix milliseconds, then 74 bits that make it unique.
///
/// OMS *derives* ids instead of drawing them: the time is the tick's due time and the other bits are a hash of what
/// the id stands for (tenant, service, tick, provider, attempt). So a Work Manager that died between firing a tick and
/// recording it fires it again *with the same ids*, and the provider's idempotent submit makes the second one
/// harmless (docs/internals/architecture.md, "Derived ids").
package struct UUIDv7<Kind>: Hashable, Comparable, Sendable {
    package let high: UInt64
    package let low: UInt64

    /// - Parameters:
    ///   - time: becomes the leading 48 bits.
    ///   - parts: what the id stands for, in a fixed order; joined with a byte that no name contains.
    package init(time: Timestamp, of parts: String...) {
        let hash = fnv1a128(parts.joined(separator: "\u{1F}").utf8)
        let milliseconds = UInt64(bitPattern: max(0, time.milliseconds)) & 0xFFFF_FFFF_FFFF
        high = milliseconds << 16 | 0x7000 | UInt64(truncatingIfNeeded: hash >> 64) & 0x0FFF
        low = 0x8000_0000_0000_0000 | UInt64(truncatingIfNeeded: hash) & 0x3FFF_FFFF_FFFF_FFFF
    }

    package static func < (a: UUIDv7, b: UUIDv7) -> Bool { (a.high, a.low) < (b.high, b.low) }

    package var time: Timestamp { Timestamp(milliseconds: Int64(high >> 16)) }
}

package enum JobKind {}
package enum RunKind {}
/// One submission to one provider: at most one job at the provider ever has this id.
package typealias JobID = UUIDv7<JobKind>
/// One firing of one tenant service; it becomes a job at each chosen provider.
package typealias RunID = UUIDv7<RunKind>
package enum OperationKind {}
package typealias OperationID = UUIDv7<OperationKind>

extension UUIDv7: CustomStringConvertible, LosslessStringConvertible {
    package var description: String {
        var text = [UInt8]()
        text.reserveCapacity(36)
        for index in 0..<32 {
            if index == 8 || index == 12 || index == 16 || index == 20 { text.append(UInt8(ascii: "-")) }
            let word = index < 16 ? high >> (60 - 4 * UInt64(index)) : low >> (60 - 4 * UInt64(index - 16))
            let nibble = UInt8(truncatingIfNeeded: word & 15)
            text.append(nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") - 10 + nibble)
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Accepts the hyphenated form in either case, and only version 7 with the RFC 9562 variant.
    package init?(_ text: some StringProtocol) {
        var words: (UInt64, UInt64) = (0, 0)
        var count = 0
        var position = 0
        for byte in text.utf8 {
            defer { position += 1 }
            if position == 8 || position == 13 || position == 18 || position == 23 {
                guard byte == UInt8(ascii: "-") else { return nil }
                continue
            }
            let nibble: UInt64
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): nibble = UInt64(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): nibble = UInt64(byte - UInt8(ascii: "a") + 10)
            case UInt8(ascii: "A")...UInt8(ascii: "F"): nibble = UInt64(byte - UInt8(ascii: "A") + 10)
            default: return nil
            }
            if count < 16 { words.0 = words.0 << 4 | nibble } else { words.1 = words.1 << 4 | nibble }
            count += 1
        }
        guard position == 36, count == 32, words.0 >> 12 & 15 == 7, words.1 >> 62 == 2 else { return nil }
        (high, low) = words
    }
}

extension UUIDv7: Codable {
    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let id = UUIDv7(text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "'\(text)' is not a UUID of version 7"))
        }
        self = id
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// FNV-1a with 128 bits (draft-eastlake-fnv section 2): short, well spread, the same everywhere and for ever.
/// Not meant against an adversary: the parts are names that the registry has checked.
package func fnv1a128(_ bytes: some Sequence<UInt8>) -> UInt128 {
    let prime: UInt128 = 1 << 88 | 0x13B
    var hash: UInt128 = 0x6C62_272E_07BB_0142_62B8_2175_6295_C58D
    for byte in bytes { hash = (hash ^ UInt128(byte)) &* prime }
    return hash
}
