/// Names one timer of one loop.
package struct LoopTimer: Sendable, Hashable {
    let identifier: UInt64
}

/// One-shot timers ordered by deadline. A plain value: the loop's thread owns it.
struct TimerQueue {
    private struct Entry {
        var deadline: Int64
        var identifier: UInt64

        /// Equal deadlines run in the order in which they were set.
        static func < (left: Entry, right: Entry) -> Bool {
            (left.deadline, left.identifier) < (right.deadline, right.identifier)
        }
    }

    /// A binary min-heap. Cancelled timers stay in it until they surface or outnumber the live ones.
    private var heap: [Entry] = []
    private var work: [UInt64: () -> Void] = [:]
    private(set) var lastIdentifier: UInt64 = 0

    var count: Int { work.count }

    /// When to wake up next. May be that of a cancelled timer: one needless turn, no harm.
    var nextDeadline: Int64? { heap.first?.deadline }

    mutating func add(deadline: Int64, _ action: @escaping () -> Void) -> LoopTimer {
        lastIdentifier += 1
        work[lastIdentifier] = action
        heap.append(Entry(deadline: deadline, identifier: lastIdentifier))
        siftUp(heap.count - 1)
        return LoopTimer(identifier: lastIdentifier)
    }

    mutating func cancel(_ timer: LoopTimer) {
        guard work.removeValue(forKey: timer.identifier) != nil else { return }
        // Request deadlines are set and cancelled all the time: without this, memory would grow with their length.
        if heap.count > 64 && heap.count > 2 * work.count {
            heap = heap.filter { work[$0.identifier] != nil }
            heap.sort { $0 < $1 }  // a sorted array is a heap
        }
    }

    /// The next timer that is due and was set no later than `latest`.
    mutating func popDue(now: Int64, notAfter latest: UInt64) -> (() -> Void)? {
        while let first = heap.first, first.deadline <= now, first.identifier <= latest {
            removeFirst()
            if let action = work.removeValue(forKey: first.identifier) { return action }
        }
        return nil
    }

    private mutating func removeFirst() {
        let last = heap.removeLast()
        guard !heap.isEmpty else { return }
        heap[0] = last
        siftDown()
    }

    private mutating func siftUp(_ start: Int) {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child] < heap[parent] else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private mutating func siftDown() {
        var parent = 0
        while true {
            var smallest = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child] < heap[smallest] {
                smallest = child
            }
            guard smallest != parent else { return }
            heap.swapAt(parent, smallest)
            parent = smallest
        }
    }
}
