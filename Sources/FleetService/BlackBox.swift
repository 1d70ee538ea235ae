import Glibc
import OMSModel
import OMSRuntime

/// Remembers beyond the death of this process whose Work Manager it was looking after: a trap in one takes the whole
/// process down, and the registry must know which tenant to pause. The page belongs to the file, so the kernel keeps it
/// however the process ends.
final class BlackBox: Sendable {
    private static let size = 64
    private let page: UInt64

    /// - Returns: the box, and the tenant whose Work Manager was being looked after when the process before died.
    static func open(folder: String) throws -> (box: BlackBox, suspect: TenantID?) {
        let path = "\(folder)/handling"
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
        let bytes = UnsafeRawBufferPointer(start: page, count: size).prefix { $0 != 0 }
        let suspect = TenantID(String(decoding: bytes, as: UTF8.self))
        let box = BlackBox(page: UInt64(UInt(bitPattern: page)))
        box.clear()
        return (box, suspect)
    }

    private init(page: UInt64) { self.page = page }

    deinit { if let pointer = UnsafeMutableRawPointer(bitPattern: UInt(page)) { munmap(pointer, Self.size) } }

    /// Cheap: some bytes of memory.
    func handle(_ tenant: TenantID) {
        guard let pointer = UnsafeMutableRawPointer(bitPattern: UInt(page)) else { return }
        let target = UnsafeMutableRawBufferPointer(start: pointer, count: Self.size)
        var index = 0
        for byte in tenant.text.utf8.prefix(Self.size - 1) {
            target[index] = byte
            index += 1
        }
        target[index] = 0
    }

    func clear() { UnsafeMutableRawPointer(bitPattern: UInt(page))?.storeBytes(of: 0, as: UInt8.self) }
}
