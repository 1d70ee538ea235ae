package import OMSModel

/// Lists that may become longer than a message (`EnvelopeCodec.maxBytes`) are sent in parts, or cut where the rest comes
/// by itself later. How many bytes an element takes is estimated from above: encoding it twice would cost more than the
/// space that this leaves unused.
package enum MessageParts {
    /// Leaves room for whatever else is in the message.
    package static let bytes = 120_000

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

    /// How many elements fit; at least one, so that there is an end.
    package static func prefix<Element>(
        of elements: some Collection<Element>, bytes: Int, size: (Element) -> Int
    ) -> Int {
        var count = 0
        var left = bytes
        for element in elements {
            left -= size(element)
            if left < 0, count > 0 { break }
            count += 1
        }
        return count
    }
}

extension JSONValue {
    package var roughBytes: Int { encodedBytes }
}

extension ServicePlan {
    package var roughBytes: Int {
        let locations = [dataSource, outputSource].compactMap { $0?.uri.utf8.count }.reduce(0, +)
        return 1_200 + 200 * providers.count + locations + (parameters?.roughBytes ?? 0)
    }
}

extension OpenRun {
    package var roughBytes: Int {
        350 + 40 * (consumed?.count ?? 0) + (plan?.roughBytes ?? 0) + 280 * jobs.count
    }
}

extension LeftJob { package var roughBytes: Int { 420 + 40 * (upstream?.count ?? 0) } }

extension SweptJob {
    package var roughBytes: Int {
        let texts = [error?.detail, error?.title, error?.type].compactMap { $0?.utf8.count }.reduce(0, +)
        return 250 + texts + 150 * (error?.errors?.count ?? 0)
    }
}

extension WorkManagerResume {
    /// As many open runs as one message can have, the oldest first. The rest comes to the Work Manager by the comparison
    /// of its open jobs with the rows, while those end.
    /// - Parameter config: of the same message: what a run's plan has in common with it is not said twice.
    package func fitting(_ config: WorkManagerConfig?, bytes: Int = 190_000) -> WorkManagerResume {
        var cut = self
        if let config {
            for index in cut.open.indices where cut.open[index].plan == config.service(cut.open[index].service) {
                cut.open[index].plan = nil
            }
        }
        cut.open.sort { ($0.due, $0.run) < ($1.due, $1.run) }
        let left = bytes - (config?.services.reduce(0) { $0 + $1.roughBytes } ?? 0)
        let count = MessageParts.prefix(of: cut.open, bytes: left, size: \.roughBytes)
        guard count < cut.open.count else { return cut }
        cut.more = cut.open.count - count
        cut.open = Array(cut.open.prefix(count))
        return cut
    }
}
