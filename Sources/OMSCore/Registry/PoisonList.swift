package import OMSModel
package import OMSProtocol

/// Messages whose handling ended the registry's process: what it was handling is noted before it begins (the shell's black
/// box), and what was noted at two deaths is not handled any more. A day later it is tried again: the release, or the sender,
/// may be another one.
package struct PoisonList: Hashable, Sendable {
    private struct Suspect: Hashable {
        var name: String
        var deaths: Int
        /// Of the last death.
        var at: Timestamp
    }

    private static let deathsUntilSetAside = 2
    private static let keptMilliseconds: Int64 = 86_400_000
    private static let most = 100

    private var suspects: [Suspect] = []

    package init() {}

    /// - Parameter text: as `text` writes it. Lines that it did not write say nothing.
    package init(_ text: String) {
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: " ", maxSplits: 2)
            guard parts.count == 3, let deaths = Int(parts[0]), (1...1_000).contains(deaths),
                let at = Timestamp(parts[1])
            else { continue }
            suspects.append(Suspect(name: String(parts[2]), deaths: deaths, at: at))
        }
        suspects = Array(suspects.suffix(Self.most))
    }

    package var text: String { suspects.map { "\($0.deaths) \($0.at) \($0.name)\n" }.joined() }

    /// What a process that died was handling.
    package mutating func died(handling name: String, at now: Timestamp) {
        forgetOld(at: now)
        if let index = suspects.firstIndex(where: { $0.name == name }) {
            suspects[index].deaths = min(suspects[index].deaths + 1, 1_000)
            suspects[index].at = now
        } else {
            suspects.append(Suspect(name: name, deaths: 1, at: now))
            suspects = Array(suspects.suffix(Self.most))
        }
    }

    /// A clock that was set back makes nothing old, and one that was set forth only tries again too soon.
    private mutating func forgetOld(at now: Timestamp) {
        suspects.removeAll { now.milliseconds - $0.at.milliseconds >= Self.keptMilliseconds }
    }

    package func isSetAside(_ name: String, at now: Timestamp) -> Bool {
        guard !suspects.isEmpty, let known = suspects.first(where: { $0.name == name }) else { return false }
        return known.deaths >= Self.deathsUntilSetAside
            && now.milliseconds - known.at.milliseconds < Self.keptMilliseconds
    }

    package func setAside(at now: Timestamp) -> [String] {
        suspects.map(\.name).filter { isSetAside($0, at: now) }
    }

    /// What a message is known by at its next coming: its topic says whose and what it is; what everybody sends over one topic
    /// is told apart by what it asks, whoever asks it. No line break, and short enough for the black box.
    package static func name(of message: Message) -> String {
        let topic = message.topic.name
        guard case .request(let request) = message.payload else { return topic }
        var hash = Hash()
        hash.add(request.method)
        hash.add(request.params)
        return "\(topic) \(String(hash.value, radix: 16))"
    }

    /// FNV-1a: the same in every process, unlike Swift's own.
    private struct Hash {
        private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

        mutating func add(byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }

        mutating func add(_ text: String) {
            for byte in text.utf8 { add(byte: byte) }
            add(byte: 0xFF)  // in no text
        }

        mutating func add(_ value: JSONValue) {
            switch value {
            case .null: add(byte: 0)
            case .bool(let flag): add(byte: flag ? 2 : 1)
            case .string(let text):
                add(byte: 3)
                add(text)
            case .array(let elements):
                add(byte: 4)
                for element in elements { add(element) }
                add(byte: 0xFE)
            case .object(let members):
                add(byte: 5)
                for (name, member) in members.sorted(by: { $0.key < $1.key }) {
                    add(name)
                    add(member)
                }
                add(byte: 0xFE)
            default:
                add(byte: 6)
                add("\(value)")
            }
        }
    }
}
