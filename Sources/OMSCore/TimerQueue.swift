/// One deadline per key in a binary heap: with thousands of tenants, an event must not cost a walk over all.
/// Replaced deadlines stay in the heap until they surface (at most a few per key between two wakes).
package struct TimerQueue<Key: Hashable & Comparable & Sendable>: Sendable {
    private struct Entry: Sendable {
        var at: Int64
        var key: Key
    }
    private var heap: [Entry] = []
    private var current: [Key: Int64] = [:]

    package init() {}

    package var count: Int { current.count }

    package subscript(key: Key) -> Int64? { current[key] }

    package mutating func set(_ key: Key, _ at: Int64?) {
        guard current[key] != at else { return }
        current[key] = at
        guard let at else { return }
        heap.append(Entry(at: at, key: key))
        siftUp(heap.count - 1)
        if heap.count > 64, heap.count > 4 * current.count { rebuild() }
    }

    /// The earliest deadline.
    package mutating func next() -> Int64? {
        while let first = heap.first {
            if current[first.key] == first.at { return first.at }
            removeFirst()
        }
        return nil
    }

    /// Takes every key that is due, the earliest first.
    package mutating func popDue(_ now: Int64) -> [Key] {
        var due: [Key] = []
        while let at = next(), at <= now {
            due.append(heap[0].key)
            current[heap[0].key] = nil
            removeFirst()
        }
        return due
    }

    private static func before(_ a: Entry, _ b: Entry) -> Bool { (a.at, a.key) < (b.at, b.key) }

    private mutating func rebuild() {
        heap = current.map { Entry(at: $1, key: $0) }.sorted(by: Self.before)
    }

    private mutating func removeFirst() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var index = 0
        while true {
            var smallest = index
            for child in [2 * index + 1, 2 * index + 2]
            where child < heap.count && Self.before(heap[child], heap[smallest]) { smallest = child }
            if smallest == index { return }
            heap.swapAt(index, smallest)
            index = smallest
        }
    }

    private mutating func siftUp(_ start: Int) {
        var index = start
        while index > 0, Self.before(heap[index], heap[(index - 1) / 2]) {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }
}
