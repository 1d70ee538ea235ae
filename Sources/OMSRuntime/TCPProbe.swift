import Glibc

/// Finds out with a deadline whether a TCP service answers, for libraries whose own connect has none.
package enum TCPProbe {
    package struct Failure: Error, CustomStringConvertible {
        package var description: String
    }

    /// Resolves `host` and returns the first numeric address that accepts a connection, which is closed again.
    ///
    /// Blocks, so only for a helper thread. `getaddrinfo` knows no deadline but that of resolv.conf.
    package static func firstReachableAddress(host: String, port: Int, timeout: Duration) throws(Failure) -> String {
        let deadline = MonotonicClock.milliseconds + timeout.roundedUpMilliseconds
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICSERV
        var found: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &found)
        guard code == 0 else {
            throw Failure(description: "cannot resolve \(host): \(String(cString: gai_strerror(code)))")
        }
        defer { freeaddrinfo(found) }
        var last = "no address"
        var next = found
        while let candidate = next?.pointee {
            let numeric = name(of: candidate)
            if let failure = connectFailure(candidate, deadline: deadline) {
                last = "\(numeric): \(failure)"
            } else {
                return numeric
            }
            next = candidate.ai_next
        }
        throw Failure(description: "cannot reach \(host):\(port): \(last)")
    }

    private static func name(of address: addrinfo) -> String {
        var buffer = [UInt8](repeating: 0, count: Int(NI_MAXHOST))
        let count = buffer.count
        _ = buffer.withUnsafeMutableBytes { bytes in
            getnameinfo(
                address.ai_addr, address.ai_addrlen, bytes.bindMemory(to: CChar.self).baseAddress, socklen_t(count),
                nil, 0,
                NI_NUMERICHOST)
        }
        return String(decoding: buffer.prefix { $0 != 0 }, as: UTF8.self)
    }

    /// Nil when the connection was established.
    private static func connectFailure(_ address: addrinfo, deadline: Int64) -> String? {
        let flags = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(address.ai_family, flags, 0)
        guard descriptor >= 0 else { return String(cString: strerror(errno)) }
        defer { close(descriptor) }
        if connect(descriptor, address.ai_addr, address.ai_addrlen) == 0 { return nil }
        guard errno == EINPROGRESS else { return String(cString: strerror(errno)) }
        while true {
            var polled = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            let left = deadline - MonotonicClock.milliseconds
            if left <= 0 { return "timeout" }
            let count = poll(&polled, 1, Int32(clamping: left))
            if count == 0 || (count < 0 && errno == EINTR) { continue }
            var error: Int32 = 0
            var size = socklen_t(MemoryLayout<Int32>.size)
            getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size)
            return error == 0 ? nil : String(cString: strerror(error))
        }
    }
}

/// One blocking piece of work on a thread of its own: never on the pool of Swift's tasks, which has a thread per core.
package enum HelperThread {
    /// The caller bounds how many of its helpers run at once.
    package static func run(name: String, _ work: @escaping @Sendable () -> Void) {
        final class Box: Sendable {
            let work: @Sendable () -> Void
            init(_ work: @escaping @Sendable () -> Void) { self.work = work }
        }
        var handle = pthread_t()
        // The retained reference belongs to the thread, which takes it over in its first line.
        let argument = Unmanaged.passRetained(Box(work)).toOpaque()
        let code = pthread_create(
            &handle, nil,
            { argument in
                guard let argument else { preconditionFailure("pthread_create passes on what it was given") }
                Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().work()
                return nil
            }, argument)
        precondition(code == 0, "cannot create thread \(name): errno \(code)")
        pthread_detach(handle)
    }
}
