import Glibc

/// A range of IP addresses, such as `10.0.0.0/8` or `fd00::/8`.
package struct CIDR: Sendable, Hashable {
    private let network: [UInt8]
    private let prefix: Int

    /// Nil for text that is no address range. Without a `/`, one address.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        var four = in_addr()
        var six = in6_addr()
        if inet_pton(AF_INET, parts[0], &four) == 1 {
            network = withUnsafeBytes(of: four) { Array($0) }
        } else if inet_pton(AF_INET6, parts[0], &six) == 1 {
            network = withUnsafeBytes(of: six) { Array($0) }
        } else {
            return nil
        }
        let bits = network.count * 8
        guard parts.count == 2 else {
            prefix = bits
            return
        }
        guard let length = Int(parts[1]), (0...bits).contains(length) else { return nil }
        prefix = length
    }

    /// The first address, in network order.
    package var bytes: [UInt8] { network }

    package func contains(_ address: [UInt8]) -> Bool {
        guard address.count == network.count else { return false }
        let whole = prefix / 8
        guard address.prefix(whole) == network.prefix(whole) else { return false }
        let rest = prefix % 8
        return rest == 0 || (address[whole] ^ network[whole]) >> UInt8(8 - rest) == 0
    }
}

/// Which addresses a request may go to, judged after name resolution: a check of the URL's text would miss names that
/// resolve to private addresses and odd spellings such as `0x7f.1`.
package struct AddressPolicy: Sendable {
    package var allowedPrivate: [CIDR]
    /// Outside the allowed private blocks only https is spoken: elsewhere anybody on the way could read the credential
    /// and forge the answers.
    package var requiresTLSOutside: Bool

    package init(allowedPrivate: [CIDR] = [], requiresTLSOutside: Bool = false) {
        self.allowedPrivate = allowedPrivate
        self.requiresTLSOutside = requiresTLSOutside
    }

    /// Loopback, private, shared (CGNAT), link-local with the clouds' metadata services, "this network", documentation,
    /// benchmarking, multicast, reserved; unspecified, unique local, the NAT64, 6to4 and Teredo ranges, which can hide
    /// a private IPv4 address.
    private static let refused: [CIDR] = [
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",
        "240.0.0.0/4", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32", "2001:db8::/32", "2002::/16",
        "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    ].compactMap { CIDR($0) }

    private static let mapped = CIDR("::ffff:0:0/96")

    /// - Parameter address: 4 or 16 bytes in network order.
    package func allows(_ address: [UInt8], overTLS: Bool = true) -> Bool {
        // An IPv4 address in IPv6 clothes is judged as what it is.
        if let mapped = Self.mapped, mapped.contains(address) {
            return allows(Array(address.suffix(4)), overTLS: overTLS)
        }
        guard address.count == 4 || address.count == 16 else { return false }
        if allowedPrivate.contains(where: { $0.contains(address) }) { return true }
        if requiresTLSOutside, !overTLS { return false }
        return !Self.refused.contains { $0.contains(address) }
    }

    func allows(_ address: UnsafeMutablePointer<sockaddr>, overTLS: Bool) -> Bool {
        switch Int32(address.pointee.sa_family) {
        case AF_INET:
            address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { pointer in
                allows(withUnsafeBytes(of: pointer.pointee.sin_addr) { Array($0) }, overTLS: overTLS)
            }
        case AF_INET6:
            address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { pointer in
                allows(withUnsafeBytes(of: pointer.pointee.sin6_addr) { Array($0) }, overTLS: overTLS)
            }
        default: false
        }
    }
}
