package import OMSModel

/// Lists that may become longer than a message (`EnvelopeCodec.maxBytes`) are sent in parts, or cut where the rest comes
/// by itself later. What an element takes is measured.
package enum MessageParts {
    /// Leaves room for whatever else is in the message.
    package static let bytes = 120_000

    package static func split<Element: Encodable>(
        _ elements: [Element], bytes: Int = bytes
    ) -> [ArraySlice<Element>] {
        split(elements, bytes: bytes) { MessageSize.bytes($0) + 1 }
    }

    package static func split<Element>(
        _ elements: [Element], bytes: Int = bytes, size: (Element) -> Int
    ) -> [ArraySlice<Element>] {
        var parts: [ArraySlice<Element>] = []
        var rest = elements[...]
        while !rest.isEmpty {
            let part = rest.prefix(prefix(of: rest, bytes: bytes, size: size))
            parts.append(part)
            rest = rest.dropFirst(part.count)
        }
        return parts
    }

    /// How many elements fit.
    /// - Parameter least: so many in any case; one, where there must be an end.
    package static func prefix<Element>(
        of elements: some Collection<Element>, bytes: Int, least: Int = 1, size: (Element) -> Int
    ) -> Int {
        var count = 0
        var left = bytes
        for element in elements {
            left -= size(element)
            if left < 0, count >= least { break }
            count += 1
        }
        return count
    }
}

extension WorkManagerResume {
    /// What its last ticks and runs take, beside the open runs.
    private var fixedBytes: Int {
        var fixed = self
        fixed.open = []
        fixed.more = Int.max
        return MessageSize.bytes(fixed)
    }

    /// As many open runs as one message can have, the oldest first. The rest comes to the Work Manager by the comparison
    /// of its open jobs with the rows, while those end.
    /// - Parameters:
    ///   - config: of the same message: what a run's plan has in common with it is not said twice.
    ///   - bytes: of the whole data.
    package func fitting(_ config: WorkManagerConfig?, bytes: Int = MessageSize.maxData) -> WorkManagerResume {
        var cut = self
        if let config {
            for index in cut.open.indices where cut.open[index].plan == config.service(cut.open[index].service) {
                cut.open[index].plan = nil
            }
        }
        cut.open.sort { ($0.due, $0.run) < ($1.due, $1.run) }
        let left = bytes - WMControl.frameBytes - fixedBytes - (config.map { MessageSize.bytes($0) } ?? 0)
        let count = MessageParts.prefix(of: cut.open, bytes: left, least: 0) { MessageSize.bytes($0) + 1 }
        guard count < cut.open.count else { return cut }
        cut.more = cut.open.count - count
        cut.open = Array(cut.open.prefix(count))
        return cut
    }
}

extension WMControl {
    /// Of a command besides its configuration and resume: ids, numbers, a reason.
    static let frameBytes = 2_048

    /// What of a message a configuration may take: the rest is for what a Work Manager has to know of the epochs before.
    /// - Parameter limit: of a message, in bytes.
    package static func configurationLimit(_ services: Int, limit: Int = EnvelopeCodec.maxBytes) -> Int {
        // For each service its last tick, its last run and what that has consumed; for the oldest open run its jobs.
        limit - MessageSize.envelopeBytes - frameBytes - 300 * services - 8_192
    }
}
