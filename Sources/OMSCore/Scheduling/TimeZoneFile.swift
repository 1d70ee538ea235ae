import OMSModel

/// Reads a compiled time zone, as it stands below `/usr/share/zoneinfo` (TZif, RFC 9636), into `ZoneRules`.
///
/// Such a file has the transitions that are known one by one, and a rule (`TimeZoneRule`) for all that come after.
enum TimeZoneFile {
    /// The largest of the IANA files is under 4 KiB.
    static let maxBytes = 65_536

    /// - Parameter years: outside of them the nearest offset holds on.
    /// - Returns: nil for what is no time zone file of version 2 or later.
    static func rules(_ name: String, _ bytes: [UInt8], years: ClosedRange<Int>) -> ZoneRules? {
        guard bytes.count <= maxBytes else { return nil }
        var reader = Reader(rest: bytes[...])
        // The first block has 32-bit times, for programs of the last century.
        guard let old = reader.header(), old.version >= UInt8(ascii: "2"), reader.skip(old.bodyBytes(timeBytes: 4)),
            let header = reader.header(), (1...256).contains(header.types), let body = reader.body(header)
        else { return nil }
        let from = CivilDate(year: years.lowerBound, month: 1, day: 1).days * 86_400
        let until = CivilDate(year: years.upperBound, month: 1, day: 1).days * 86_400

        var offset = body.offsets[0]
        var initial = offset
        var transitions: [ZoneRules.Transition] = []
        func change(at moment: Int64, to next: Int64) {
            defer { offset = next }
            // A change of the law without a change of the clock is no transition.
            guard next != offset, moment < until else { return }
            if moment <= from { initial = next } else { transitions.append(.init(at: moment, offset: next)) }
        }
        for (moment, type) in zip(body.moments, body.types) { change(at: moment, to: body.offsets[type]) }
        if let text = reader.footer(), !text.isEmpty {
            guard let rule = TimeZoneRule(text) else { return nil }
            let last = body.moments.last ?? .min
            for year in years {
                for (moment, next) in rule.transitions(in: year) where moment > last { change(at: moment, to: next) }
            }
            // A rule without a change of the clock says what holds since the last one.
            if rule.summer == nil, body.moments.isEmpty { initial = rule.standard }
        }
        return ZoneRules(name: name, initialOffset: initial, transitions: transitions)
    }

    struct Header {
        var version: UInt8
        var utIndicators, standardIndicators, leapSeconds, times, types, characters: Int

        func bodyBytes(timeBytes: Int) -> Int {
            times * (timeBytes + 1) + types * 6 + characters + leapSeconds * (timeBytes + 4) + standardIndicators
                + utIndicators
        }
    }

    struct Body {
        var moments: [Int64]
        var types: [Int]
        /// By type: local time minus UTC, in seconds.
        var offsets: [Int64]
    }

    /// Takes bytes from the front; nil where there are not enough.
    struct Reader {
        var rest: ArraySlice<UInt8>

        mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
            guard count >= 0, count <= rest.count else { return nil }
            defer { rest = rest.dropFirst(count) }
            return rest.prefix(count)
        }

        mutating func skip(_ count: Int) -> Bool { take(count) != nil }

        mutating func integer(bytes count: Int) -> Int64? {
            guard let bytes = take(count), let first = bytes.first else { return nil }
            return bytes.dropFirst().reduce(Int64(Int8(bitPattern: first))) { $0 << 8 | Int64($1) }
        }

        mutating func header() -> Header? {
            guard let magic = take(4), magic.elementsEqual("TZif".utf8), let version = take(1)?.first, skip(15)
            else { return nil }
            var counts: [Int] = []
            for _ in 0..<6 {
                guard let count = integer(bytes: 4), (0...Int64(maxBytes)).contains(count) else { return nil }
                counts.append(Int(count))
            }
            return Header(
                version: version, utIndicators: counts[0], standardIndicators: counts[1], leapSeconds: counts[2],
                times: counts[3], types: counts[4], characters: counts[5])
        }

        /// With 64-bit times.
        mutating func body(_ header: Header) -> Body? {
            var body = Body(moments: [], types: [], offsets: [])
            for _ in 0..<header.times {
                guard let moment = integer(bytes: 8), moment > body.moments.last ?? .min else { return nil }
                body.moments.append(moment)
            }
            guard let types = take(header.times) else { return nil }
            body.types = types.map { Int($0) }
            for _ in 0..<header.types {
                guard let offset = integer(bytes: 4), abs(offset) <= 93_600, skip(2) else { return nil }
                body.offsets.append(offset)
            }
            guard body.types.allSatisfy({ $0 < header.types }),
                skip(header.characters + header.leapSeconds * 12 + header.standardIndicators + header.utIndicators)
            else { return nil }
            return body
        }

        /// The text between the two newlines at the end.
        mutating func footer() -> String? {
            guard take(1)?.first == UInt8(ascii: "\n"), let end = rest.firstIndex(of: UInt8(ascii: "\n")) else {
                return nil
            }
            return String(decoding: rest[..<end], as: UTF8.self)
        }
    }
}
