import OMSModel

/// Where a provider's interface begins, read strictly: what the transfer library would repair in its own way is refused here.
enum BaseAddress {
    private static let form = "https://host[:port][/path]"
    private static let maxBytes = 2_000

    /// - Returns: what is wrong with it and what to write instead; nil: nothing.
    static func fault(in text: String) -> String? {
        guard text.utf8.count <= maxBytes else { return "is longer than \(maxBytes) bytes" }
        guard let scheme = ["https://", "http://"].first(where: text.hasPrefix) else {
            let small = text.lowercased()
            if small != text, small.hasPrefix("http://") || small.hasPrefix("https://") {
                return "'\(text)': write the scheme in small letters"
            }
            return "'\(text)' is not an address of the form \(form)"
        }
        if let odd = text.unicodeScalars.first(where: { !(0x21..<0x7F).contains($0.value) }) {
            return odd.isASCII || odd.properties.isWhitespace
                ? "'\(text)' holds a space or a control character"
                : "'\(text)' holds '\(odd)': write a host in its ASCII form (xn--...) and percent-encode a path"
        }
        for (sign, why) in [
            ("@", "a name or password belongs into the gateway's credential file"), ("?", "a query cannot be kept"),
            ("#", "a fragment cannot be kept"), ("\\", "write '/'"),
        ] where text.contains(sign) {
            return "'\(text)' holds '\(sign)': \(why); the form is \(form)"
        }
        let rest = text.dropFirst(scheme.count)
        let authority = rest.prefix { $0 != "/" }
        return hostFault(authority).map { "'\(text)': \($0)" }
            ?? pathFault(rest.dropFirst(authority.count)).map { "'\(text)': \($0)" }
    }

    private static func hostFault(_ authority: Substring) -> String? {
        var host = authority
        var port: Substring?
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else {
                return "the bracket of the IPv6 address is not closed"
            }
            host = authority[..<end].dropFirst()
            let after = authority[authority.index(after: end)...]
            if !after.isEmpty, !after.hasPrefix(":") { return "only a port may follow the IPv6 address" }
            port = after.isEmpty ? nil : after.dropFirst()
            if host.isEmpty
                || !host.utf8.allSatisfy({ isHex($0) || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") })
                || !host.contains(":")
            {
                return "'\(host)' is no IPv6 address"
            }
        } else {
            if let colon = authority.firstIndex(of: ":") {
                host = authority[..<colon]
                port = authority[authority.index(after: colon)...]
            }
            if let fault = nameFault(host) { return fault }
        }
        guard let port else { return nil }
        guard port.utf8.allSatisfy(isDigit), let number = Int(port.prefix(9)), (1...65_535).contains(number) else {
            return "the port must be from 1 to 65535, not '\(port)'"
        }
        return nil
    }

    private static func nameFault(_ host: Substring) -> String? {
        if host.isEmpty { return "the host is missing; the form is \(form)" }
        if host.utf8.contains(where: { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) }) {
            return "write the host in small letters: \(host.lowercased())"
        }
        let labels = host.split(separator: ".", omittingEmptySubsequences: false)
        guard host.utf8.count <= 253, labels.allSatisfy({ (1...63).contains($0.utf8.count) }) else {
            return "the host has an empty part, or is too long"
        }
        // Underscores are no host names, but names of containers.
        guard
            host.utf8.allSatisfy({
                isDigit($0) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || [45, 46, 95].contains($0)
            }), labels.allSatisfy({ !$0.hasPrefix("-") && !$0.hasSuffix("-") })
        else { return "the host may hold a-z, 0-9, '-', '_' and '.'" }
        // 127.1, 0x7f000001 and 2130706433 are 127.0.0.1 to some and a name to others.
        if let last = labels.last, last.utf8.allSatisfy(isDigit) || last.hasPrefix("0x") {
            let isPlain =
                labels.count == 4
                && labels.allSatisfy { label in
                    label.utf8.allSatisfy(isDigit) && Int(label).map { $0 <= 255 && "\($0)" == label } == true
                }
            if !isPlain { return "write an IPv4 address as four numbers from 0 to 255" }
        }
        return nil
    }

    private static func pathFault(_ path: Substring) -> String? {
        if path.isEmpty { return nil }
        if path.contains("//") { return "the path has an empty part ('//')" }
        let bytes = Array(path.utf8)
        for (index, byte) in bytes.enumerated() where byte == UInt8(ascii: "%") {
            guard index + 2 < bytes.count, isHex(bytes[index + 1]), isHex(bytes[index + 2]) else {
                return "a '%' in the path must be followed by two hexadecimal digits"
            }
        }
        let dots = path.lowercased().replacing("%2e", with: ".").split(separator: "/")
        if dots.contains(where: { $0 == "." || $0 == ".." }) { return "write the path without '.' and '..'" }
        return nil
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
    private static func isHex(_ byte: UInt8) -> Bool {
        isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte | 0x20)
    }
}
