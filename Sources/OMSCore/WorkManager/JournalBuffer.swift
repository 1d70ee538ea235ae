import OMSModel
import OMSProtocol

/// The unacknowledged part of a Work Manager's journal: numbers entries, hands out batches, goes back when the
/// acknowledgement does not move. It is the only copy until the registry has committed it.
package struct JournalBuffer: Sendable {
    /// From here on the Work Manager fires nothing new, so that memory stays bounded while the registry is away.
    package static let holdAbove = 20_000
    /// Entries on the wire without an acknowledgement.
    static let window = 2_000
    /// Well below the 256 KiB of a message.
    static let maxBatchBytes = 120_000
    static let resendAfterMilliseconds: Int64 = 3_000

    private var entries: [(entry: JournalEntry, bytes: Int)] = []
    /// Number of `entries[0]`.
    private var firstSeq = 1
    /// Highest number sent since the last going back.
    private var sent = 0
    private var lastProgress: Int64 = 0

    package var lastSeq: Int { firstSeq + entries.count - 1 }
    package var unacknowledged: Int { entries.count }
    package var isFull: Bool { entries.count >= Self.holdAbove }

    mutating func append(_ entry: JournalEntry, at now: Moment) {
        if entries.isEmpty { lastProgress = now.monotonic }
        entries.append((entry, entry.approximateBytes))
    }

    /// - Parameter seq: everything up to it is committed. Values outside the known range are ignored: they belong to
    ///   a message that time has overtaken.
    mutating func acknowledge(_ seq: Int, at now: Moment) {
        guard seq >= firstSeq, seq <= lastSeq else { return }
        entries.removeFirst(seq - firstSeq + 1)
        firstSeq = seq + 1
        sent = max(sent, seq)
        lastProgress = now.monotonic
    }

    /// The batches to publish now.
    mutating func takeBatches(at now: Moment) -> [(firstSeq: Int, entries: [JournalEntry])] {
        if entries.isEmpty { return [] }
        if sent >= firstSeq, now.monotonic - lastProgress >= Self.resendAfterMilliseconds {
            sent = firstSeq - 1  // go back; only one batch, until somebody answers
            lastProgress = now.monotonic
            return takeBatch().map { [$0] } ?? []
        }
        var batches: [(firstSeq: Int, entries: [JournalEntry])] = []
        while sent - firstSeq + 1 < Self.window, let batch = takeBatch() { batches.append(batch) }
        return batches
    }

    /// A new connection: what was in flight is forgotten by the wire.
    mutating func connectionRestored() { sent = firstSeq - 1 }

    var nextResend: Int64? { entries.isEmpty ? nil : lastProgress + Self.resendAfterMilliseconds }

    private mutating func takeBatch() -> (firstSeq: Int, entries: [JournalEntry])? {
        let from = max(sent + 1, firstSeq)
        guard from <= lastSeq else { return nil }
        var batch: [JournalEntry] = []
        var bytes = 0
        for (entry, size) in entries[(from - firstSeq)...] {
            if !batch.isEmpty, batch.count >= Journal.maxEntries || bytes + size > Self.maxBatchBytes { break }
            batch.append(entry)
            bytes += size
        }
        sent = from + batch.count - 1
        return (from, batch)
    }
}

extension JournalEntry {
    /// Close enough to pack batches; the codec has the last word on the size.
    var approximateBytes: Int {
        var bytes = 700
        if let outputs = job?.outputs { bytes += JSONValue.object(outputs).approximateBytes }
        if let outputs = run?.result?.outputs { bytes += JSONValue.object(outputs).approximateBytes }
        if let parameters = run?.plan?.parameters { bytes += parameters.approximateBytes }
        return bytes
    }
}

extension JSONValue {
    var approximateBytes: Int { encodedBytes }
}
