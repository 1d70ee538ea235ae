import Glibc

/// Ports of 127.0.0.1 that nobody listens on just now.
package enum FreePorts {
    package static func find(_ count: Int) throws(DevError) -> [Int] {
        // All held until the last is found, so that they differ.
        var held: [Int32] = []
        defer { for descriptor in held { close(descriptor) } }
        var ports: [Int] = []
        for _ in 0..<count {
            guard let (descriptor, port) = bind(0) else {
                throw DevError("no free TCP port on 127.0.0.1: \(String(cString: strerror(errno)))")
            }
            held.append(descriptor)
            ports.append(port)
        }
        return ports
    }

    /// - Parameter option: What the operator wrote, for the sentence.
    package static func check(_ port: Int, option: String) throws(DevError) {
        guard (1...65_535).contains(port) else { throw DevError("\(option) must be from 1 to 65535, not \(port)") }
        guard let (descriptor, _) = bind(port) else {
            throw DevError(
                "port \(port) of 127.0.0.1 is taken or not allowed (\(String(cString: strerror(errno)))); "
                    + "choose another with \(option), or leave the option out")
        }
        close(descriptor)
    }

    private static func bind(_ port: Int) -> (Int32, Int)? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        var one: Int32 = 1
        // As the servers do it: a port in TIME_WAIT counts as free.
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let found = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0
            }
        }
        guard found else {
            let reason = errno
            close(descriptor)
            errno = reason
            return nil
        }
        return (descriptor, Int(UInt16(bigEndian: address.sin_port)))
    }
}
