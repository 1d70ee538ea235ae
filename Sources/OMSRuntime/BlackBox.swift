import CSystem
import Glibc

/// Remembers beyond the death of this process what it was working on: a trap takes the whole process down, and the next one
/// must know what not to take up again first. The page belongs to the file, so the kernel keeps it however the process ends.
///
/// It has slots, for threads that work on different things at once. Each is written by one thread.
package final class BlackBox: Sendable {
    /// What stood in a slot when the process before ended.
    package struct Note: Hashable, Sendable {
        package var text: String
        /// The thread of this slot died of a trap or an abort; else the process was killed from outside.
        package var isTrapped: Bool

        package init(text: String, isTrapped: Bool) {
            self.text = text
            self.isTrapped = isTrapped
        }
    }

    private static let slotBytes = 128
    private let page: UInt64
    private let slots: Int

    /// - Returns: the box, emptied, and what the process before left in it.
    /// - Throws: `Incarnation.Failure` if the file cannot be written.
    package static func open(folder: String, slots: Int = 1) throws -> (box: BlackBox, notes: [Note]) {
        let path = "\(folder)/handling"
        let size = slots * slotBytes
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0, ftruncate(descriptor, off_t(size)) == 0 else {
            throw Incarnation.Failure(description: "cannot write '\(path)': \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        // The block itself: a mapped page without one ends the process (SIGBUS) when the disk is full as it is first written.
        let reserved = posix_fallocate(descriptor, 0, off_t(size))
        guard reserved == 0 else {
            throw Incarnation.Failure(description: "cannot write '\(path)': \(String(cString: strerror(reserved)))")
        }
        guard let page = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), page != MAP_FAILED else {
            throw Incarnation.Failure(description: "cannot map '\(path)': \(String(cString: strerror(errno)))")
        }
        let bytes = UnsafeMutableRawBufferPointer(start: page, count: size)
        var notes: [Note] = []
        for slot in 0..<slots {
            let part = bytes[(slot * slotBytes)..<((slot + 1) * slotBytes)]
            let text = part.prefix(slotBytes - 1).prefix { $0 != 0 }
            if !text.isEmpty {
                notes.append(
                    Note(text: String(decoding: text, as: UTF8.self), isTrapped: part[part.endIndex - 1] != 0))
            }
        }
        bytes.initializeMemory(as: UInt8.self, repeating: 0)
        return (BlackBox(page: UInt64(UInt(bitPattern: page)), slots: slots), notes)
    }

    private init(page: UInt64, slots: Int) {
        self.page = page
        self.slots = slots
    }

    deinit {
        if let pointer = UnsafeMutableRawPointer(bitPattern: UInt(page)) { munmap(pointer, slots * Self.slotBytes) }
    }

    private func start(of slot: Int) -> UnsafeMutableRawPointer? {
        guard (0..<slots).contains(slot) else { return nil }
        return UnsafeMutableRawPointer(bitPattern: UInt(page))?.advanced(by: slot * Self.slotBytes)
    }

    /// Cheap: some bytes of memory.
    package func handle(_ text: String, slot: Int = 0) {
        guard let pointer = start(of: slot) else { return }
        var index = 0
        for byte in text.utf8.prefix(Self.slotBytes - 2) {
            pointer.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
            index += 1
        }
        pointer.storeBytes(of: 0, toByteOffset: index, as: UInt8.self)
    }

    package func clear(slot: Int = 0) { start(of: slot)?.storeBytes(of: 0, as: UInt8.self) }

    /// From now on a trap of the calling thread is told from an end that came from outside. The box must outlive the thread.
    package func markTraps(slot: Int) {
        guard let pointer = start(of: slot) else { return }
        let mark = pointer.advanced(by: Self.slotBytes - 1).assumingMemoryBound(to: UInt8.self)
        // Without it only the certainty is lost.
        _ = oms_mark_traps(mark)
    }

    /// For tests of what follows: dies as of an overflow.
    package static func trap() { oms_trap() }
}
