import OMSModel
import OMSProtocol

/// The unacknowledged part of a Work Manager's journal: numbers entries, hands out batches, goes back when the
/// acknowledgement does not move. It is the only copy until the registry has committed it.
package struct JournalBuffer: Sendable {
    /// From here on the Work Manager fires nothing new, so that memory stays bounded while the registry is away.
    package static let holdAbove = 20_000
    /// And from here on, in bytes.
    static let holdAboveBytes = 64 << 20
    /// Entries on the wire without an acknowledgement.
    static let window = 2_000
    /// Of a batch, well below the 256 KiB of a message; less when the broker takes less.
    static let maxBatchBytes = 120_000
    static let resendAfterMilliseconds: Int64 = 3_000

    private var entries: [(entry: JournalEntry, bytes: Int)] = []
    /// Of the data of a message, in bytes: beyond it an entry is reduced.
    private var limit = MessageSize.maxData
    private var batchBytes = JournalBuffer.maxBatchBytes
    private var heldBytes = 0
    /// Number of `entries[0]`.
    private var firstSeq = 1
    /// Highest number sent since the last going back.
    private var sent = 0
    private var lastProgress: Int64 = 0

    package var lastSeq: Int { firstSeq + entries.count - 1 }
    package var unacknowledged: Int { entries.count }
    package var isFull: Bool { entries.count >= Self.holdAbove || heldBytes >= Self.holdAboveBytes }

    /// An entry that no message could carry is reduced at once: it would stop all that follow it.
    mutating func append(_ entry: JournalEntry, at now: Moment) {
        if entries.isEmpty { lastProgress = now.monotonic }
        var entry = entry
        let bytes = MessageCut.fit(&entry, into: limit - Self.frameBytes)
        entries.append((entry, bytes))
        heldBytes += bytes
    }

    /// Of a journal message, besides its entries.
    private static let frameBytes = 128

    /// A batch did not leave, because it is too large or cannot be encoded. What is sent from now on is smaller.
    /// - Parameter limit: of a whole message, where that is known.
    /// - Returns: whether there is any hope in sending again.
    mutating func refused(from seq: Int, count: Int, limit told: Int?, at now: Moment) -> Bool {
        guard seq >= firstSeq, count > 0, seq + count - 1 <= lastSeq else { return false }
        let range = (seq - firstSeq)..<(seq - firstSeq + count)
        let before = entries[range].reduce(0) { $0 + $1.bytes }
        let known = told.map { max(0, $0 - MessageSize.envelopeBytes) } ?? limit
        limit = min(limit, known)
        // What the figures do not explain, half of it may.
        let aim = before + Self.frameBytes > limit ? limit - Self.frameBytes : before / 2
        for index in range where count == 1 || entries[index].bytes > limit - Self.frameBytes {
            heldBytes -= entries[index].bytes
            entries[index].bytes = MessageCut.fit(&entries[index].entry, into: aim)
            heldBytes += entries[index].bytes
        }
        batchBytes = min(batchBytes, max(limit - Self.frameBytes, 1), count > 1 ? max(before / 2, 1) : batchBytes)
        sent = min(sent, seq - 1)
        lastProgress = now.monotonic
        // A batch of several can be divided; one entry must have become smaller.
        return count > 1 || entries[range.lowerBound].bytes < before
    }

    /// - Parameter seq: everything up to it is committed. Values outside the known range are ignored: they belong to
    ///   a message that time has overtaken.
    mutating func acknowledge(_ seq: Int, at now: Moment) {
        guard seq >= firstSeq, seq <= lastSeq else { return }
        let gone = seq - firstSeq + 1
        heldBytes -= entries[..<gone].reduce(0) { $0 + $1.bytes }
        entries.removeFirst(gone)
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
            if !batch.isEmpty, batch.count >= Journal.maxEntries || bytes + size > batchBytes { break }
            batch.append(entry)
            bytes += size + 1
        }
        sent = from + batch.count - 1
        return (from, batch)
    }
}
