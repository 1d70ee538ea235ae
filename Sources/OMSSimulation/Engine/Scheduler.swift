/// What happens next: a heap of (time, order of scheduling), so that equal times never depend on anything else.
struct Scheduler {
    private struct Entry {
        var at: SimTime
        var order: Int
        var slot: Int
    }

    private var heap: [Entry] = []
    /// The actions themselves stay put while the heap moves small entries.
    private var slots: [Action?] = []
    private var free: [Int] = []
    private var order = 0

    var count: Int { heap.count }

    mutating func add(_ action: Action, at time: SimTime) {
        let slot: Int
        if let reused = free.popLast() {
            slot = reused
            slots[slot] = action
        } else {
            slot = slots.count
            slots.append(action)
        }
        order += 1
        heap.append(Entry(at: time, order: order, slot: slot))
        siftUp(heap.count - 1)
    }

    mutating func next() -> (at: SimTime, action: Action)? {
        guard let first = heap.first else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            siftDown(0)
        }
        guard let action = slots[first.slot] else { preconditionFailure("a scheduled slot holds an action") }
        slots[first.slot] = nil
        free.append(first.slot)
        return (first.at, action)
    }

    private static func before(_ a: Entry, _ b: Entry) -> Bool {
        a.at != b.at ? a.at < b.at : a.order < b.order
    }

    private mutating func siftUp(_ start: Int) {
        var index = start
        let entry = heap[index]
        while index > 0, Self.before(entry, heap[(index - 1) / 2]) {
            heap[index] = heap[(index - 1) / 2]
            index = (index - 1) / 2
        }
        heap[index] = entry
    }

    private mutating func siftDown(_ start: Int) {
        var index = start
        let entry = heap[index]
        while true {
            var child = 2 * index + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, Self.before(heap[child + 1], heap[child]) { child += 1 }
            guard Self.before(heap[child], entry) else { break }
            heap[index] = heap[child]
            index = child
        }
        heap[index] = entry
    }
}
